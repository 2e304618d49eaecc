/** Gaps that touch this device: its own and its gateway's. */
import { useQuery } from "@tanstack/react-query";
import { gaps } from "../api/queries";
import { useSpeech } from "../catalogue/language";
import { sayAge } from "../format/age";
import { near } from "../format/time";
import { Failure } from "../shell/states";
import style from "./device.module.css";

export function Gaps({ device }: { device: number }) {
  const { say, reason } = useSpeech();
  const { data, error } = useQuery(gaps({ device, limit: 20 }));
  const now = new Date();
  return (
    <section className={style.section}>
      <h2>{say("console.gaps.title")}</h2>
      {error !== null && <Failure error={error} />}
      {data !== undefined && data.items.length === 0 && <p className={style.quiet}>{say("console.gaps.none")}</p>}
      <ol className={style.gaps}>
        {data?.items.map((gap) => (
          <li key={gap.id}>
            <time dateTime={gap.from_time}>{near(new Date(gap.from_time), now)}</time>
            <span>{sayAge((Date.parse(gap.to_time) - Date.parse(gap.from_time)) / 1000, say)}</span>
            <span>
              {reason(gap.reason)}
              {gap.polls !== null && <small> {say("console.gaps.polls", { n: gap.polls })}</small>}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
