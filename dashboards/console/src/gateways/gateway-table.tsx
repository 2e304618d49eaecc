/** Every gateway with its lease: watching now, or since when nobody hears from it. */
import { useQuery } from "@tanstack/react-query";
import { gatewayList } from "../api/queries";
import type { Gateway } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { sayAge } from "../format/age";
import { count } from "../format/number";
import { stamp } from "../format/time";
import { useLive, useNow } from "../live/use-live";
import { Empty, Failure, Waiting } from "../shell/states";
import style from "./gateways.module.css";

export function GatewayTable() {
  const { say } = useSpeech();
  const { data, error, isPending, refetch } = useQuery(gatewayList);
  const now = useNow(1000, useLive().skew);
  return (
    <section>
      <h2>{say("console.gateways.title")}</h2>
      {isPending && <Waiting />}
      {error !== null && <Failure error={error} retry={() => void refetch()} />}
      {data?.items.length === 0 && <Empty>{say("console.gateways.none")}</Empty>}
      {data !== undefined && data.items.length > 0 && (
        <div className={style.scroll} role="region" aria-label={say("console.gateways.title")} tabIndex={0}>
          <table className={style.table}>
            <thead>
              <tr>
                <th scope="col">{say("console.gateways.gateway")}</th>
                <th scope="col">{say("console.gateways.lease")}</th>
                <th scope="col">{say("console.gateways.watched")}</th>
                <th scope="col" data-kind="number">
                  {say("console.gateways.lag")}
                </th>
                <th scope="col" data-kind="number">
                  {say("console.gateways.devices")}
                </th>
                <th scope="col">{say("console.gateways.held")}</th>
                <th scope="col" data-kind="number">
                  {say("console.gateways.epoch")}
                </th>
                <th scope="col">{say("console.gateways.partitions")}</th>
                <th scope="col" data-kind="number">
                  {say("console.gateways.keys")}
                </th>
              </tr>
            </thead>
            <tbody>
              {data.items.map((gateway) => (
                <Row key={gateway.id} gateway={gateway} now={now} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Row({ gateway, now }: { gateway: Gateway; now: number }) {
  const { say } = useSpeech();
  const until = gateway.watched_until;
  const since = gateway.held_since;
  return (
    <tr>
      <th scope="row">
        {gateway.name} <small>{gateway.code}</small>
        {gateway.member_of !== null && (
          <small> · {say("console.gateways.member", { gateway: gateway.member_of })}</small>
        )}
      </th>
      <td data-lease={gateway.lease}>{say(`console.lease.${gateway.lease}`)}</td>
      <td title={until === null ? "" : stamp(new Date(until))}>
        {until === null ? "–" : say("console.ago", { age: sayAge((now - Date.parse(until)) / 1000, say) })}
      </td>
      <td data-kind="number">{sayAge(gateway.lag_s, say)}</td>
      <td data-kind="number">{count(gateway.devices)}</td>
      <td title={since === null ? "" : stamp(new Date(since))}>
        {since === null ? "–" : say("console.ago", { age: sayAge((now - Date.parse(since)) / 1000, say) })}
        {gateway.pinned > 0 && <small> · {say("console.gateways.pinned", { n: gateway.pinned })}</small>}
      </td>
      <td data-kind="number">{gateway.epoch ?? "–"}</td>
      <td className={style.partitions}>
        {gateway.partitions.map((partition) => (
          <span key={partition.partition} title={say("console.gateways.partition", { n: partition.partition })}>
            {count(partition.sequence)}
          </span>
        ))}
      </td>
      <td data-kind="number" data-none={gateway.keys === 0}>
        {gateway.keys}
      </td>
    </tr>
  );
}
