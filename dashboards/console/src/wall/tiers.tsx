/** Both counts against the guideline's tiers, as the rulebook gives them. */
import type { Tier } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { count } from "../format/number";
import style from "./tiers.module.css";

interface TiersProps {
  tiers: readonly Tier[];
  rehearsal: number | null;
  official: number | null;
}

export function Tiers({ tiers, rehearsal, official }: TiersProps) {
  const { say, language } = useSpeech();
  const name = (tier: Tier): string =>
    language === "zh-CN" ? tier.short : say(`console.tier.${tier.id as "regional" | "industry" | "enterprise"}`);
  return (
    <section className={style.tiers}>
      <h2>{say("console.tiers.title")}</h2>
      <table>
        <thead>
          <tr>
            <th scope="col" className="unseen">
              {say("console.tiers.tier")}
            </th>
            <th scope="col">{say("console.scope.rehearsal")}</th>
            <th scope="col">{say("console.scope.official")}</th>
          </tr>
        </thead>
        <tbody>
          {tiers.map((tier) => (
            <tr key={tier.id}>
              <th scope="row" title={tier.text}>
                {name(tier)} <small>≥ {count(tier.devices)}</small>
              </th>
              <Progress kind="rehearsal" have={rehearsal} need={tier.devices} />
              <Progress kind="official" have={official} need={tier.devices} />
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Progress({ kind, have, need }: { kind: string; have: number | null; need: number }) {
  const { say } = useSpeech();
  const share = have === null ? 0 : Math.min(1, have / need);
  const met = have !== null && have >= need;
  const text =
    have === null ? "–" : met ? say("console.tiers.met") : say("console.tiers.missing", { n: count(need - have) });
  return (
    <td data-kind={kind} data-met={met}>
      <span>{text}</span>
      <span className={style.bar} aria-hidden="true">
        <i style={{ width: `${share * 100}%` }} />
      </span>
    </td>
  );
}
