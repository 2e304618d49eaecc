/** The list of devices: filtered by the address, read page by page as one scrolls. */
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { Input, Select } from "antd";
import { useEffect, useMemo, useState } from "react";
import { useSearchParams } from "react-router";
import { type DeviceFilter, deviceList, enterprises, protocols } from "../api/queries";
import { STATES } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { count } from "../format/number";
import { useLive } from "../live/use-live";
import { Page } from "../shell/page";
import { Empty, Failure, Waiting } from "../shell/states";
import { DeviceTable } from "./device-table";
import style from "./devices.module.css";
import { readFilter, writeFilter } from "./filter";

const TYPING_MS = 250;
const REFRESH_MS = 10_000;

export default function Devices() {
  const { say } = useSpeech();
  const [address, setAddress] = useSearchParams();
  const filter = useMemo(() => readFilter(address), [address]);
  const live = useLive();
  const tenants = useQuery(enterprises).data?.items;
  const names = useMemo(() => new Map(tenants?.map((tenant) => [tenant.code, tenant.name])), [tenants]);
  const list = useInfiniteQuery({
    queryKey: ["devices", filter],
    queryFn: ({ pageParam, signal }) => deviceList(filter, pageParam, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next ?? undefined,
    placeholderData: keepPreviousData,
    refetchInterval: REFRESH_MS,
  });
  const devices = useMemo(() => list.data?.pages.flatMap((page) => page.items) ?? [], [list.data]);
  const change = (next: Partial<DeviceFilter>): void =>
    setAddress(writeFilter({ ...filter, ...next }), { replace: true });
  const filtered = writeFilter(filter).size > 0;

  return (
    <Page title={say("console.devices.title")} theme="light">
      <Filters filter={filter} tenants={names} onChange={change} />
      <p className={style.sum} role="status">
        {list.data !== undefined &&
          say(list.hasNextPage ? "console.devices.at-least" : "console.devices.found", { n: count(devices.length) })}
        {filtered && (
          <button type="button" onClick={() => setAddress(new URLSearchParams(), { replace: true })}>
            {say("console.devices.clear")}
          </button>
        )}
      </p>
      {list.isError && <Failure error={list.error} retry={() => void list.refetch()} />}
      {list.isPending && <Waiting />}
      {list.isSuccess && devices.length === 0 && (
        <Empty>{say(filtered ? "console.devices.none" : "console.field.empty")}</Empty>
      )}
      {devices.length > 0 && (
        <DeviceTable
          devices={devices}
          states={live.states}
          skew={live.skew}
          enterpriseName={(code) => names.get(code) ?? code}
          onEnd={() => {
            if (list.hasNextPage && !list.isFetchingNextPage) void list.fetchNextPage();
          }}
        />
      )}
    </Page>
  );
}

interface FiltersProps {
  filter: DeviceFilter;
  tenants: ReadonlyMap<string, string>;
  onChange: (next: Partial<DeviceFilter>) => void;
}

function Filters({ filter, tenants, onChange }: FiltersProps) {
  const { say, word } = useSpeech();
  const supported = useQuery(protocols).data?.supported ?? [];
  const [typed, setTyped] = useState(filter.search);
  useEffect(() => setTyped(filter.search), [filter.search]);
  useEffect(() => {
    if (typed === filter.search) return;
    const timer = window.setTimeout(() => onChange({ search: typed }), TYPING_MS);
    return () => window.clearTimeout(timer);
  });
  const names = supported.flatMap((family) => family.protocols);
  return (
    <div className={style.filters} role="search">
      <Input.Search
        className={style.search}
        allowClear
        placeholder={say("console.devices.search")}
        aria-label={say("console.devices.search")}
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
        onSearch={(search) => onChange({ search })}
      />
      <Select
        mode="multiple"
        allowClear
        className={style.states}
        placeholder={say("console.devices.every-state")}
        aria-label={say("console.devices.state")}
        value={filter.state}
        onChange={(state) => onChange({ state })}
        options={STATES.map((state) => ({ value: state, label: word("state", state) }))}
      />
      <Select
        allowClear
        className={style.choice}
        placeholder={say("console.devices.every-enterprise")}
        aria-label={say("console.by.enterprise")}
        value={filter.enterprise || null}
        onChange={(enterprise: string | undefined) => onChange({ enterprise: enterprise ?? "" })}
        options={[...tenants].map(([value, label]) => ({ value, label }))}
      />
      <Select
        allowClear
        className={style.choice}
        placeholder={say("console.devices.every-protocol")}
        aria-label={say("console.by.protocol")}
        value={filter.protocol || null}
        onChange={(protocol: string | undefined) => onChange({ protocol: protocol ?? "" })}
        options={names.map((name) => ({ value: name, label: word("protocol", name) }))}
      />
    </div>
  );
}
