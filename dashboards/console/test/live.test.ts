import { expect, test } from "vitest";
import type { LiveCount, LiveStates } from "../src/api/types";
import { FRESH_S, type Live, type LiveEvent, newestAge, NOTHING, readingAge, reduce, STALE_AFTER_MS, tally } from "../src/live/reducer";

const START = Date.parse("2026-11-23T08:00:00Z");

const count = (at: number): LiveEvent => ({
  kind: "count",
  counts: { at: new Date(at).toISOString() } as LiveCount,
});
const states = (change: Partial<LiveStates>): LiveEvent => ({
  kind: "states",
  change: { at: new Date(START).toISOString(), snapshot: false, states: [], gone: [], ...change },
});
const after = (events: [LiveEvent, number][]): Live =>
  events.reduce((live, [event, now]) => reduce(live, event, now), NOTHING);

test("the picture is live once a count came", () => {
  expect(NOTHING.connection).toBe("connecting");
  expect(after([[count(START), START]]).connection).toBe("live");
});

test("without a newer count the picture is stale, and a newer one makes it live again", () => {
  const late = START + STALE_AFTER_MS + 1;
  const silent = after([
    [count(START), START],
    [{ kind: "tick" }, late],
  ]);
  expect(silent.connection).toBe("stale");
  expect(reduce(silent, count(late), late).connection).toBe("live");
});

test("a platform that repeats an old count is not live", () => {
  const repeated = after([
    [count(START), START],
    [count(START), START + 3000],
    [count(START - 1000), START + STALE_AFTER_MS + 1],
  ]);
  expect(repeated.connection).toBe("stale");
  expect(repeated.counts?.at).toBe(new Date(START).toISOString());
});

test("a lost connection is stale at once", () => {
  expect(
    after([
      [count(START), START],
      [{ kind: "lost" }, START + 10],
    ]).connection,
  ).toBe("stale");
});

test("the platform's clock is told from the browser's", () => {
  expect(after([[count(START), START - 7_000]]).skew).toBe(7_000);
});

test("a snapshot replaces everything, a change only what it names", () => {
  const first = reduce(NOTHING, states({ snapshot: true, states: [[1, "connected", 0.5], [2, "offline", null]] }), START);
  const changed = reduce(first, states({ states: [[2, "connected", 1]], gone: [1] }), START);
  expect([...changed.states.keys()]).toEqual([2]);
  expect(changed.states.get(2)).toEqual({ state: "connected", lastReading: START - 1000, fresh: true });
  const anew = reduce(changed, states({ snapshot: true, states: [[3, "linked", null]] }), START);
  expect([...anew.states.keys()]).toEqual([3]);
  expect(tally(anew.states)).toEqual({ connected: 0, responding: 0, linked: 1, offline: 0, unobserved: 0 });
});

test("the age of a device that goes on sending is only known to be under what is told", () => {
  const told = states({ snapshot: true, states: [[1, "connected", 0.4], [2, "offline", 42], [3, "offline", null]] });
  const { states: seen } = reduce(NOTHING, told, START);
  const later = START + 100_000;
  expect(readingAge(seen.get(1), later)).toEqual({ age_s: null, under_s: FRESH_S });
  expect(readingAge(seen.get(2), later)).toEqual({ age_s: 142, under_s: null });
  expect(readingAge(seen.get(3), later)).toEqual({ age_s: null, under_s: null });
  expect(newestAge(seen, later).under_s).toBe(FRESH_S);
});

test("a change leaves the earlier picture as it was", () => {
  const first = reduce(NOTHING, states({ snapshot: true, states: [[1, "connected", 0.5]] }), START);
  reduce(first, states({ states: [[1, "offline", 9]] }), START);
  expect(first.states.get(1)?.state).toBe("connected");
});
