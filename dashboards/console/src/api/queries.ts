/** What the pages ask for, with how long an answer stays good. */
import { keepPreviousData, queryOptions } from "@tanstack/react-query";
import { ask } from "./client";
import type {
  CertificateList,
  Counts,
  DeviceDetail,
  DevicePage,
  DeviceSummary,
  Diagnostics,
  EnterpriseList,
  Exclusion,
  GapPage,
  GatewayList,
  Latest,
  Presence,
  ProtocolCounts,
  QuarantinePage,
  ReadingPage,
  Resolution,
  RulebookList,
  Series,
  Session,
} from "./types";

const PAGE = 500;
const MOST_PAGES = 40;

interface Paged<T> {
  items: T[];
  next: string | null;
}

/** Follow a list's cursor to its end (at most `MOST_PAGES` pages). */
async function all<T>(path: string, query: Record<string, string | undefined>, signal: AbortSignal): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const answer: Paged<T> = await ask<Paged<T>>(path, { ...query, limit: PAGE, cursor }, { signal });
    items.push(...answer.items);
    if (answer.next === null) break;
    cursor = answer.next;
  }
  return items;
}

export const session = queryOptions({
  queryKey: ["session"],
  queryFn: ({ signal }) => ask<Session>("/session", {}, { signal }),
  staleTime: 60_000,
});

export const rulebooks = queryOptions({
  queryKey: ["rulebooks"],
  queryFn: ({ signal }) => ask<RulebookList>("/rulebooks", {}, { signal }),
  staleTime: 3_600_000,
});

export const enterprises = queryOptions({
  queryKey: ["enterprises"],
  queryFn: ({ signal }) => ask<EnterpriseList>("/enterprises", {}, { signal }),
  staleTime: 60_000,
});

export const protocols = queryOptions({
  queryKey: ["protocols"],
  queryFn: ({ signal }) => ask<ProtocolCounts>("/counts/protocols", {}, { signal }),
  staleTime: 60_000,
});

/** The protocols that are supported and evidenced: now (both empty), or at a past second as known at another. */
export const protocolsAt = (at: string, knownAt: string) =>
  queryOptions({
    queryKey: ["protocols", at, knownAt],
    queryFn: ({ signal }) => ask<ProtocolCounts>("/counts/protocols", { at, as_known_at: knownAt }, { signal }),
    refetchInterval: at === "" ? 3_000 : false,
    staleTime: at === "" ? 0 : 60_000,
    placeholderData: keepPreviousData,
  });

/** Every registered device, for the wall's field and its names. */
export const roster = queryOptions({
  queryKey: ["roster"],
  queryFn: ({ signal }) => all<DeviceSummary>("/devices", {}, signal),
  staleTime: 60_000,
});

export interface DeviceFilter {
  state: string[];
  protocol: string;
  enterprise: string;
  search: string;
}

export const deviceList = (filter: DeviceFilter, cursor: string | undefined, signal: AbortSignal) =>
  ask<DevicePage>(
    "/devices",
    {
      state: filter.state,
      protocol: filter.protocol,
      enterprise: filter.enterprise,
      q: filter.search,
      limit: 200,
      cursor,
    },
    { signal },
  );

/** The count at a past second, as known at another (both RFC 3339). */
export const countAt = (at: string, knownAt: string) =>
  queryOptions({
    queryKey: ["count", at, knownAt],
    queryFn: ({ signal }) =>
      ask<Counts>("/counts/devices", { at, as_known_at: knownAt, window: "1h", limit: 1 }, { signal }),
    staleTime: 60_000,
    placeholderData: keepPreviousData,
  });

/** Every device of the frame that a scope did not count at a past second. */
export const absentAt = (at: string, knownAt: string, scope: "official" | "rehearsal") =>
  queryOptions({
    queryKey: ["absent", at, knownAt, scope],
    queryFn: ({ signal }) => all<Exclusion>("/counts/devices/excluded", { at, as_known_at: knownAt, scope }, signal),
    staleTime: 60_000,
  });

/** The count over time, from `from` to `to` (ms) in steps of `step_s`. */
export const series = (from: number, to: number, step_s: number, knownAt?: string) =>
  queryOptions({
    queryKey: ["series", from, to, step_s, knownAt],
    queryFn: ({ signal }) =>
      ask<Series>(
        "/counts/series",
        { from: new Date(from).toISOString(), to: new Date(to).toISOString(), step: step_s, as_known_at: knownAt },
        { signal },
      ),
    placeholderData: keepPreviousData,
    staleTime: 5_000,
  });

export const device = (id: number) =>
  queryOptions({
    queryKey: ["device", id],
    queryFn: ({ signal }) => ask<DeviceDetail>(`/devices/${id}`, {}, { signal }),
    staleTime: 5_000,
  });

export const presence = (id: number, from: number, to: number) =>
  queryOptions({
    queryKey: ["presence", id, from, to],
    queryFn: ({ signal }) =>
      ask<Presence>(
        `/devices/${id}/presence`,
        { from: new Date(from).toISOString(), to: new Date(to).toISOString() },
        { signal },
      ),
    placeholderData: keepPreviousData,
  });

export const latest = (id: number) =>
  queryOptions({
    queryKey: ["latest", id],
    queryFn: ({ signal }) => ask<Latest>(`/devices/${id}/latest`, {}, { signal }),
    refetchInterval: 1_000,
  });

/** Read a tag's columns to their end, page after page. */
async function columns(
  id: number,
  tag: string,
  from: number,
  to: number,
  resolution: Resolution,
  signal: AbortSignal,
): Promise<ReadingPage> {
  const query = { tag, resolution, from: new Date(from).toISOString(), to: new Date(to).toISOString(), limit: 5000 };
  const whole = await ask<ReadingPage>(`/devices/${id}/readings`, query, { signal });
  for (let pages = 1; whole.next !== null && pages < MOST_PAGES; pages += 1) {
    const page = await ask<ReadingPage>(`/devices/${id}/readings`, { ...query, cursor: whole.next }, { signal });
    whole.time.push(...page.time);
    whole.value?.push(...(page.value ?? []));
    whole.quality?.push(...(page.quality ?? []));
    whole.min?.push(...(page.min ?? []));
    whole.max?.push(...(page.max ?? []));
    whole.mean?.push(...(page.mean ?? []));
    whole.next = page.next;
  }
  return whole;
}

export const readings = (id: number, tag: string, from: number, to: number, resolution: Resolution) =>
  queryOptions({
    queryKey: ["readings", id, tag, from, to, resolution],
    queryFn: ({ signal }) => columns(id, tag, from, to, resolution, signal),
    placeholderData: keepPreviousData,
  });

export const diagnostics = (id: number) =>
  queryOptions({
    queryKey: ["diagnostics", id],
    queryFn: ({ signal }) => ask<Diagnostics>(`/devices/${id}/diagnostics`, {}, { signal }),
    refetchInterval: 5_000,
    retry: false,
  });

export const gaps = (query: { device?: number; gateway?: string; limit: number; cursor?: string }) =>
  queryOptions({
    queryKey: ["gaps", query],
    queryFn: ({ signal }) => ask<GapPage>("/gaps", { ...query }, { signal }),
    refetchInterval: 10_000,
    placeholderData: keepPreviousData,
  });

export const gatewayList = queryOptions({
  queryKey: ["gateways"],
  queryFn: ({ signal }) => ask<GatewayList>("/gateways", {}, { signal }),
  refetchInterval: 2_000,
});

/** What servers showed to a gateway; a gateway that does not answer is asked again with the next turn. */
export const certificates = (gateway: number, protocol: string) =>
  queryOptions({
    queryKey: ["certificates", gateway, protocol],
    queryFn: ({ signal }) => ask<CertificateList>(`/gateways/${gateway}/certificates`, { protocol }, { signal }),
    refetchInterval: 10_000,
    retry: false,
  });

export const quarantine = queryOptions({
  queryKey: ["quarantine"],
  queryFn: ({ signal }) => ask<QuarantinePage>("/quarantine", { limit: 50 }, { signal }),
  refetchInterval: 10_000,
});
