/** Gateways and whether they watch, gaps in what was acquired, and what was refused. */
import { Page } from "../shell/page";
import { useSpeech } from "../catalogue/language";
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
        <GapList />
        <Quarantine />
      </div>
    </Page>
  );
}
