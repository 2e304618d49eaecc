/** What the gateway knows of the device's session: asked over the bus, so it may not answer. */
import { useQuery } from "@tanstack/react-query";
import { Problem } from "../api/client";
import { diagnostics } from "../api/queries";
import { useSpeech } from "../catalogue/language";
import { count, value } from "../format/number";
import { near } from "../format/time";
import { Fact } from "./identity";
import style from "./device.module.css";

/** Sessions that only a broker sees. */
const UNSEEN = "not observable";

export function Diagnostics({ device }: { device: number }) {
  const { say, reason, word } = useSpeech();
  const { data, error } = useQuery(diagnostics(device));
  const now = new Date();
  const ms = (n: number | null | undefined): string => (n === null || n === undefined ? "" : say("console.ms", { n: value(n, 3) }));
  return (
    <section className={style.section}>
      <h2>{say("console.diagnostics.title")}</h2>
      {error !== null && (
        <p className={style.quiet}>
          {error instanceof Problem && error.status !== 0 ? error.message : say("console.diagnostics.silent")}
        </p>
      )}
      {data?.session === UNSEEN && <p className={style.note}>{say("console.session.unseen")}</p>}
      {data !== undefined && (
        <dl className={style.facts}>
          <Fact name={say("console.diagnostics.session")} text={word("console.session", data.session.replaceAll(" ", "-"))} />
          {data.polls === 0 ? (
            <Fact name={say("console.diagnostics.answers")} text={count(data.answers)} />
          ) : (
            <Fact name={say("console.diagnostics.polls")} text={`${count(data.answers)} / ${count(data.polls)}`} />
          )}
          <Fact name={say("console.diagnostics.latency")} text={ms(data.latency_ms_p50)} />
          <Fact name={say("console.diagnostics.latency99")} text={ms(data.latency_ms_p99)} />
          <Fact
            name={say("console.diagnostics.last-good")}
            text={data.last_good === null ? "" : near(new Date(data.last_good), now)}
          />
          {Object.entries(data.errors).map(([kind, n]) => (
            <Fact key={kind} name={reason(kind)} text={count(n)} />
          ))}
          {data.last_error !== "" && <Fact name={say("console.diagnostics.last-error")} text={reason(data.last_error)} />}
          <Fact name={say("console.identity.gateway")} text={data.gateway} />
        </dl>
      )}
    </section>
  );
}
