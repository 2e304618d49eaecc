/** What the wall shows, from the live stream or from a question about a past second; pure. */
import type { Counts, Exclusion, LiveCount, OriginWord, StateWord } from "../api/types";
import type { Seen } from "../live/reducer";

export interface WindowFigures {
  min: number;
  median: number;
  p5: number;
  observed_share: number;
}

export interface ScopePicture {
  connected: number;
  byProtocol: Record<string, number>;
  byClass: Record<string, number>;
  byEnterprise: Record<string, number>;
  excluded: number;
  excludedByReason: Record<string, number> | null;
  window: WindowFigures | null;
}

export interface Picture {
  /** ms since 1970 */
  at: number;
  past: boolean;
  frame: number;
  byState: Record<StateWord, number>;
  frameByOrigin: Record<OriginWord, number>;
  connectedByOrigin: Record<OriginWord, number>;
  official: ScopePicture;
  rehearsal: ScopePicture;
}

type AnyScope = NonNullable<Counts["official"]> | LiveCount["official"];

function scope(answer: AnyScope, reasons: Record<string, number> | null): ScopePicture {
  return {
    connected: answer.connected,
    byProtocol: answer.by_protocol,
    byClass: answer.by_class,
    byEnterprise: answer.by_enterprise,
    excluded: answer.excluded_total,
    excludedByReason: reasons,
    window: answer.window,
  };
}

/** The picture of now. */
export function livePicture(count: LiveCount): Picture {
  return {
    at: Date.parse(count.at),
    past: false,
    frame: count.frame.devices,
    byState: count.rehearsal.by_state as Record<StateWord, number>,
    frameByOrigin: count.frame.by_origin as Record<OriginWord, number>,
    connectedByOrigin: count.frame.connected_by_origin as Record<OriginWord, number>,
    official: scope(count.official, count.official.excluded_by_reason),
    rehearsal: scope(count.rehearsal, count.rehearsal.excluded_by_reason),
  };
}

/** The picture of a past second; reasons come with the list of absent devices, null until it is there. */
export function pastPicture(
  count: Counts,
  officialAbsent: readonly Exclusion[] | undefined,
  rehearsalAbsent: readonly Exclusion[] | undefined,
): Picture | null {
  if (count.official === null || count.rehearsal === null) return null;
  return {
    at: Date.parse(count.at),
    past: true,
    frame: count.frame.devices,
    byState: count.rehearsal.by_state as Record<StateWord, number>,
    frameByOrigin: count.frame.by_origin as Record<OriginWord, number>,
    connectedByOrigin: count.frame.connected_by_origin as Record<OriginWord, number>,
    official: scope(count.official, officialAbsent === undefined ? null : byReason(officialAbsent)),
    rehearsal: scope(count.rehearsal, rehearsalAbsent === undefined ? null : byReason(rehearsalAbsent)),
  };
}

/** How many devices each first reason keeps out. */
export function byReason(absent: readonly Exclusion[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { reason } of absent) sum[reason] = (sum[reason] ?? 0) + 1;
  return sum;
}

/** The states of all devices of a past frame: those absent as listed, every other one connected. */
export function pastStates(devices: Iterable<number>, absent: readonly Exclusion[]): Map<number, Seen> {
  const states = new Map<number, Seen>();
  for (const device of devices) states.set(device, { state: "connected", lastReading: null, fresh: false });
  for (const { device, state } of absent) states.set(device, { state, lastReading: null, fresh: false });
  return states;
}

export interface Row {
  key: string;
  rehearsal: number;
  official: number;
  /** What the rehearsal's share is taken of; null where there is no such whole. */
  whole: number | null;
}

/** Rows of a breakdown, largest first; keys in `always` are kept even at 0 and in their own order. */
export function rows(
  rehearsal: Record<string, number>,
  official: Record<string, number>,
  whole: (key: string) => number | null,
  always: readonly string[] = [],
): Row[] {
  const keys = new Set([...always, ...Object.keys(rehearsal), ...Object.keys(official)]);
  const made = [...keys].map((key) => ({
    key,
    rehearsal: rehearsal[key] ?? 0,
    official: official[key] ?? 0,
    whole: whole(key),
  }));
  const rank = (key: string): number => (always.includes(key) ? always.indexOf(key) : always.length);
  return made.sort((a, b) => rank(a.key) - rank(b.key) || b.rehearsal - a.rehearsal || a.key.localeCompare(b.key));
}

/** At most `most` rows; what is left over is summed into one row under `restKey`. */
export function topRows(all: readonly Row[], most: number, restKey: string): { shown: Row[]; rest: number } {
  if (all.length <= most) return { shown: [...all], rest: 0 };
  const shown = all.slice(0, most - 1);
  const left = all.slice(most - 1);
  const sum = (pick: (row: Row) => number): number => left.reduce((total, row) => total + pick(row), 0);
  shown.push({
    key: restKey,
    rehearsal: sum((row) => row.rehearsal),
    official: sum((row) => row.official),
    whole: left.some((row) => row.whole === null) ? null : sum((row) => row.whole ?? 0),
  });
  return { shown, rest: left.length };
}
