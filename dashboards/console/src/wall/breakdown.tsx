/** One breakdown: a row per word with the rehearsal's share of the registered devices and both counts. */
import { useSpeech } from "../catalogue/language";
import { count } from "../format/number";
import type { Row } from "./picture";
import style from "./breakdown.module.css";

interface BreakdownProps {
  title: string;
  rows: readonly Row[];
  name: (key: string) => string;
  /** Show `connected / registered` where the whole is known. */
  whole?: boolean;
}

export function Breakdown({ title, rows, name, whole = false }: BreakdownProps) {
  const { say } = useSpeech();
  return (
    <section className={style.breakdown} data-whole={whole}>
      <table>
        <thead>
          <tr>
            <th scope="col">{title}</th>
            <th scope="col">{say("console.scope.rehearsal")}</th>
            <th scope="col">{say("console.scope.official")}</th>
          </tr>
        </thead>
        <tbody>
          {rows.length === 0 && (
            <tr>
              <td colSpan={3}>{say("console.none")}</td>
            </tr>
          )}
          {rows.map((row) => (
            <tr key={row.key}>
              <th scope="row" title={name(row.key)}>
                {name(row.key)}
                {row.whole !== null && row.whole > 0 && (
                  <span className={style.bar} aria-hidden="true">
                    <i style={{ width: `${Math.min(1, row.rehearsal / row.whole) * 100}%` }} />
                    <b style={{ width: `${Math.min(1, row.official / row.whole) * 100}%` }} />
                  </span>
                )}
              </th>
              <td data-kind="rehearsal">
                {count(row.rehearsal)}
                {whole && row.whole !== null && <small> / {count(row.whole)}</small>}
              </td>
              <td data-kind="official">{count(row.official)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
