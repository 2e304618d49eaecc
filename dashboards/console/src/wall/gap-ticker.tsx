/** The newest gaps: what was never read or was lost, when and why. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { gaps } from "../api/queries";
import type { Gap } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { sayAge } from "../format/age";
import { near } from "../format/time";
import { useNow } from "../live/use-live";
import style from "./gap-ticker.module.css";

export function GapTicker({ names, most }: { names: ReadonlyMap<number, string>; most: number }) {
  const { say, reason } = useSpeech();
  const { data, isError } = useQuery(gaps({ limit: 20 }));
  const now = new Date(useNow(10_000));
  const items = data?.items.slice(0, most) ?? [];
  const whose = (gap: Gap): string =>
    gap.device === null
      ? say("console.gaps.gateway", { gateway: gap.gateway ?? "–" })
      : (names.get(gap.device) ?? say("console.device.number", { n: gap.device }));
  return (
    <section className={style.gaps}>
      <header>
        <h2>{say("console.gaps.title")}</h2>
        <Link to="/gateways">{say("console.gaps.all")}</Link>
      </header>
      {isError && <p className={style.note}>{say("console.error.unreachable")}</p>}
      {data !== undefined && items.length === 0 && <p className={style.note}>{say("console.gaps.none")}</p>}
      <ol>
        {items.map((gap) => (
          <li key={gap.id}>
            <time dateTime={gap.from_time}>{near(new Date(gap.from_time), now)}</time>
            <span className={style.length}>
              {sayAge((Date.parse(gap.to_time) - Date.parse(gap.from_time)) / 1000, say)}
            </span>
            <span className={style.whose} title={whose(gap)}>
              {whose(gap)}
            </span>
            <span className={style.reason} title={reason(gap.reason)}>
              {reason(gap.reason)}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
