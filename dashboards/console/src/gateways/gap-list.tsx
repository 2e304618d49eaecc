/** Every gap, the newest first, with its reason; read on as far as one wants. */
import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Button } from "antd";
import { Link } from "react-router";
import { ask } from "../api/client";
import { roster } from "../api/queries";
import type { Gap, GapPage } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { sayAge } from "../format/age";
import { stamp } from "../format/time";
import { Empty, Failure, Waiting } from "../shell/states";
import style from "./gateways.module.css";

const PAGE = 50;
const LATE_MS = 60_000;

export function GapList() {
  const { say } = useSpeech();
  const list = useInfiniteQuery({
    queryKey: ["gap-list"],
    queryFn: ({ pageParam, signal }) => ask<GapPage>("/gaps", { limit: PAGE, cursor: pageParam }, { signal }),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next ?? undefined,
    refetchInterval: (query) => ((query.state.data?.pages.length ?? 0) > 1 ? false : 5000),
  });
  const gaps = list.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <section>
      <h2>{say("console.gaps.title.page")}</h2>
      <p className={style.explain}>{say("console.gaps.explain")}</p>
      {list.isPending && <Waiting />}
      {list.isError && <Failure error={list.error} retry={() => void list.refetch()} />}
      {list.isSuccess && gaps.length === 0 && <Empty>{say("console.gaps.none")}</Empty>}
      {gaps.length > 0 && (
        <div className={style.scroll} role="region" aria-label={say("console.gaps.title.page")} tabIndex={0}>
          <table className={style.table}>
            <thead>
              <tr>
                <th scope="col">{say("console.presence.from")}</th>
                <th scope="col" data-kind="number">
                  {say("console.presence.length")}
                </th>
                <th scope="col">{say("console.gaps.whose")}</th>
                <th scope="col">{say("console.presence.reason")}</th>
                <th scope="col" data-kind="number">
                  {say("console.gaps.polls.column")}
                </th>
              </tr>
            </thead>
            <tbody>
              {gaps.map((gap) => (
                <Row key={gap.id} gap={gap} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      {list.hasNextPage && (
        <Button onClick={() => void list.fetchNextPage()} loading={list.isFetchingNextPage} className={style.more}>
          {say("console.more")}
        </Button>
      )}
    </section>
  );
}

function Row({ gap }: { gap: Gap }) {
  const { say, reason } = useSpeech();
  const names = useQuery(roster).data;
  const late = Date.parse(gap.recorded_at) - Date.parse(gap.to_time) > LATE_MS;
  const gateway = say("console.gaps.gateway", { gateway: gap.gateway ?? "–" });
  return (
    <tr>
      <td>{stamp(new Date(gap.from_time))}</td>
      <td data-kind="number">{sayAge((Date.parse(gap.to_time) - Date.parse(gap.from_time)) / 1000, say)}</td>
      <td>
        {gap.device === null ? (
          gateway
        ) : (
          <Link to={`/devices/${gap.device}`}>
            {names?.find((device) => device.id === gap.device)?.name ?? say("console.device.number", { n: gap.device })}
          </Link>
        )}
        {gap.device === null && gap.partition !== null && (
          <small>{say("console.gateways.partition", { n: gap.partition })}</small>
        )}
      </td>
      <td>
        {reason(gap.reason)}
        {late && <small>{say("console.presence.late", { at: stamp(new Date(gap.recorded_at)) })}</small>}
      </td>
      <td data-kind="number">{gap.polls ?? "–"}</td>
    </tr>
  );
}
