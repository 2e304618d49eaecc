/** Why devices are not counted, in both scopes; each reason leads to the list of its devices. */
import { Link } from "react-router";
import { useSpeech } from "../catalogue/language";
import { count } from "../format/number";
import type { Picture } from "./picture";
import style from "./breakdown.module.css";

const MOST = 5;
const STATE_OF: Record<string, string> = {
  "excluded.offline": "offline",
  "excluded.linked": "linked",
  "excluded.responding": "responding",
  "excluded.unobserved": "unobserved",
};

export function Exclusions({ picture }: { picture: Picture | null }) {
  const { say, reason } = useSpeech();
  const rehearsal = picture?.rehearsal.excludedByReason ?? {};
  const official = picture?.official.excludedByReason ?? {};
  const reasons = [...new Set([...Object.keys(rehearsal), ...Object.keys(official)])];
  const weight = (key: string): number => (rehearsal[key] ?? 0) * 1e6 + (official[key] ?? 0);
  reasons.sort((a, b) => weight(b) - weight(a));
  return (
    <section className={style.breakdown}>
      <table>
        <thead>
          <tr>
            <th scope="col">{say("console.excluded.title")}</th>
            <th scope="col">{say("console.scope.rehearsal")}</th>
            <th scope="col">{say("console.scope.official")}</th>
          </tr>
        </thead>
        <tbody>
          {reasons.length === 0 && (
            <tr>
              <td colSpan={3}>{say("console.excluded.none")}</td>
            </tr>
          )}
          {reasons.slice(0, MOST).map((key) => {
            const state = STATE_OF[key];
            return (
              <tr key={key}>
                <th scope="row" title={reason(key)}>
                  {state !== undefined ? <Link to={`/devices?state=${state}`}>{reason(key)}</Link> : reason(key)}
                </th>
                <td data-kind="rehearsal">{count(rehearsal[key] ?? 0)}</td>
                <td data-kind="official">{count(official[key] ?? 0)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}
