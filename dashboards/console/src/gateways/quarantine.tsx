/** Messages that the platform refused to take in, and why; nothing is shown where there are none. */
import { useQuery } from "@tanstack/react-query";
import { quarantine } from "../api/queries";
import { useSpeech } from "../catalogue/language";
import { bytes } from "../format/number";
import { stamp } from "../format/time";
import { Failure } from "../shell/states";
import style from "./gateways.module.css";

export function Quarantine() {
  const { say, reason } = useSpeech();
  const { data, error } = useQuery(quarantine);
  return (
    <section>
      <h2>{say("console.quarantine.title")}</h2>
      <p className={style.explain}>{say("console.quarantine.explain")}</p>
      {error !== null && <Failure error={error} />}
      {data?.items.length === 0 && <p className={style.explain}>{say("console.quarantine.none")}</p>}
      {data !== undefined && data.items.length > 0 && (
        <div className={style.scroll} role="region" aria-label={say("console.quarantine.title")} tabIndex={0}>
          <table className={style.table}>
            <thead>
              <tr>
                <th scope="col">{say("console.quarantine.at")}</th>
                <th scope="col">{say("console.gateways.gateway")}</th>
                <th scope="col">{say("console.presence.reason")}</th>
                <th scope="col" data-kind="number">
                  {say("console.quarantine.size")}
                </th>
                <th scope="col">{say("console.quarantine.replayed")}</th>
              </tr>
            </thead>
            <tbody>
              {data.items.map((item) => (
                <tr key={item.id}>
                  <td>{stamp(new Date(item.recorded_at))}</td>
                  <td>{item.gateway ?? "–"}</td>
                  <td>{reason(item.reason)}</td>
                  <td data-kind="number">{bytes(item.bytes)}</td>
                  <td>{item.replayed_at === null ? "–" : stamp(new Date(item.replayed_at))}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
