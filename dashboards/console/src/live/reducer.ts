/**
 * What the wall knows from the live stream, as a function of what came and when.
 *
 * Old numbers are never live: without a newer count for `STALE_AFTER_MS` the picture is stale, whether the
 * connection broke or the platform fell silent, and stays so until a newer count comes.
 */
import type { LiveCount, LiveStates, StateWord } from "../api/types";

export const STALE_AFTER_MS = 5000;

/** A device whose age stays below this (s) is not told anew with every reading: its age is then only "under". */
export const FRESH_S = 5;

export type Connection = "connecting" | "live" | "stale";

export interface Seen {
  state: StateWord;
  /** When the last reading came, ms since 1970 by the platform's clock; null where none ever did. */
  lastReading: number | null;
  /** Readings go on coming, the newest being younger than `FRESH_S`. */
  fresh: boolean;
}

export interface Live {
  connection: Connection;
  counts: LiveCount | null;
  /** Local time, ms, at which the newest count came. */
  countedAt: number | null;
  /** Platform's clock less this browser's, ms. */
  skew: number;
  states: ReadonlyMap<number, Seen>;
}

export type LiveEvent =
  | { kind: "count"; counts: LiveCount }
  | { kind: "states"; change: LiveStates }
  | { kind: "lost" }
  | { kind: "tick" };

export const NOTHING: Live = { connection: "connecting", counts: null, countedAt: null, skew: 0, states: new Map() };

/** Return the picture after `event`, which came at `now` (local ms since 1970). */
export function reduce(live: Live, event: LiveEvent, now: number): Live {
  switch (event.kind) {
    case "count": {
      const at = Date.parse(event.counts.at);
      const newest = live.counts === null ? Number.NEGATIVE_INFINITY : Date.parse(live.counts.at);
      if (!(at > newest)) return aged(live, now); // a repeated or older count proves nothing
      return { ...live, connection: "live", counts: event.counts, countedAt: now, skew: at - now };
    }
    case "states": {
      const at = Date.parse(event.change.at);
      const states = new Map(event.change.snapshot ? [] : live.states);
      for (const [device, state, age_s] of event.change.states) {
        const lastReading = age_s === null ? null : at - age_s * 1000;
        states.set(device, { state, lastReading, fresh: age_s !== null && age_s <= FRESH_S });
      }
      for (const device of event.change.gone) states.delete(device);
      return { ...live, states };
    }
    case "lost":
      return live.connection === "live" ? { ...live, connection: "stale" } : live;
    case "tick":
      return aged(live, now);
  }
}

function aged(live: Live, now: number): Live {
  if (live.connection !== "live" || live.countedAt === null) return live;
  return now - live.countedAt > STALE_AFTER_MS ? { ...live, connection: "stale" } : live;
}

/** The age of a device's last reading at `now` (ms, the platform's clock): exactly, or only that it is under `under_s`. */
export function readingAge(seen: Seen | undefined, now: number): { age_s: number | null; under_s: number | null } {
  if (seen === undefined || seen.lastReading === null) return { age_s: null, under_s: null };
  if (seen.fresh) return { age_s: null, under_s: FRESH_S };
  return { age_s: Math.max(0, (now - seen.lastReading) / 1000), under_s: null };
}

/** The age of the newest reading of all devices, as in `readingAge`. */
export function newestAge(states: ReadonlyMap<number, Seen>, now: number): { age_s: number | null; under_s: number | null } {
  let newest: Seen | undefined;
  for (const seen of states.values()) {
    if (seen.fresh) return readingAge(seen, now);
    if ((seen.lastReading ?? 0) > (newest?.lastReading ?? 0)) newest = seen;
  }
  return readingAge(newest, now);
}

/** How many devices are in each state. */
export function tally(states: ReadonlyMap<number, Seen>): Record<StateWord, number> {
  const sum: Record<StateWord, number> = { connected: 0, responding: 0, linked: 0, offline: 0, unobserved: 0 };
  for (const seen of states.values()) sum[seen.state] += 1;
  return sum;
}
