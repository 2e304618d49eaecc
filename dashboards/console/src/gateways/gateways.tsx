/** Gateways and whether they watch, certificates to decide on, gaps in what was acquired, and what was refused. */
import { Page } from "../shell/page";
import { useSpeech } from "../catalogue/language";
import { Certificates } from "./certificates";
import { GapList } from "./gap-list";
import { GatewayTable } from "./gateway-table";
import { Quarantine } from "./quarantine";
import style from "./gateways.module.css";

export default function Gateways() {
  const { say } = useSpeech();
  return (
    <Page title={say("console.nav.gateways")} theme="light">
      <div className={style.sections}>
        <GatewayTable />
        <Certificates />
        <GapList />
        <Quarantine />
      </div>
    </Page>
  );
}
