import { expect, test } from "vitest";
import type { Exclusion, ProtocolCounts, Series } from "../src/api/types";
import { families, tally } from "../src/wall/families";
import { corner, deviceAt, neighbour, pack, placeOf } from "../src/wall/packing";
import { byReason, pastStates, rows, topRows } from "../src/wall/picture";
import { unwatched } from "../src/wall/trend-option";

const group = (key: string, from: number, n: number) => ({
  key,
  label: key,
  devices: Array.from({ length: n }, (_, index) => from + index),
});

test.each([1, 7, 520, 10_000])("a field of %i devices fits and leaves nobody out", (n) => {
  const packed = pack([group("a", 1, n)], 1160, 680, 28);
  expect(packed.groups.flatMap((placed) => placed.devices)).toHaveLength(n);
  expect(packed.height).toBeLessThanOrEqual(680);
  expect(packed.side).toBeGreaterThan(0);
  expect(packed.columns * packed.pitch).toBeLessThanOrEqual(1160 + 4);
});

test("where even the smallest squares do not fit, the field grows downwards", () => {
  const packed = pack([group("a", 1, 10_000)], 300, 100, 28);
  expect(packed.height).toBeGreaterThan(100);
  expect(placeOf(packed, 10_000)).not.toBeNull();
});

test("the point in the middle of each square finds its device", () => {
  const packed = pack([group("a", 1, 130), group("b", 500, 61)], 600, 400, 24);
  for (const placed of packed.groups) {
    placed.devices.forEach((device, index) => {
      const { x, y } = corner(packed, placed, index);
      expect(deviceAt(packed, x + packed.side / 2, y + packed.side / 2)).toBe(device);
    });
  }
});

test("many small groups stand in lanes, larger than in one column, and every square is still found", () => {
  const many = Array.from({ length: 12 }, (_, at) => group(`g${at}`, at * 100, 43));
  const packed = pack(many, 1160, 620, 28);
  expect(new Set(packed.groups.map((placed) => placed.left)).size).toBeGreaterThan(1);
  expect(packed.side).toBeGreaterThan(12);
  expect(packed.height).toBeLessThanOrEqual(620);
  for (const placed of packed.groups) {
    placed.devices.forEach((device, index) => {
      const { x, y } = corner(packed, placed, index);
      expect(x + packed.side).toBeLessThanOrEqual(1160);
      expect(deviceAt(packed, x + packed.side / 2, y + packed.side / 2)).toBe(device);
    });
  }
});

test("a point on a heading or beyond the last square finds nobody", () => {
  const packed = pack([group("a", 1, 3)], 600, 400, 24);
  expect(deviceAt(packed, 5, 3)).toBeNull();
  expect(deviceAt(packed, 5 * packed.pitch, 30)).toBeNull();
  expect(deviceAt(packed, -1, 30)).toBeNull();
});

test("arrow keys lead over the border between two groups and stop at the ends", () => {
  const packed = pack([group("a", 1, 5), group("b", 11, 5)], 200, 300, 24);
  expect(neighbour(packed, 5, "ArrowRight")).toBe(11);
  expect(neighbour(packed, 11, "ArrowLeft")).toBe(5);
  expect(neighbour(packed, 1, "ArrowDown")).toBe(11);
  expect(neighbour(packed, 11, "ArrowUp")).toBe(1);
  expect(neighbour(packed, 1, "ArrowLeft")).toBe(1);
  expect(neighbour(packed, 3, "End")).toBe(15);
});

test("breakdown rows keep words that must always stand, then go by size", () => {
  const made = rows({ b: 3, c: 9 }, { b: 1 }, () => 10, ["a", "b"]);
  expect(made.map(({ key, rehearsal, official }) => [key, rehearsal, official])).toEqual([
    ["a", 0, 0],
    ["b", 3, 1],
    ["c", 9, 0],
  ]);
});

test("what does not fit into a breakdown is summed, not dropped", () => {
  const all = rows({ a: 5, b: 4, c: 3, d: 2 }, { a: 1, d: 1 }, () => 10);
  const { shown, rest } = topRows(all, 3, "…");
  expect(rest).toBe(2);
  expect(shown.map(({ key, rehearsal, official, whole }) => [key, rehearsal, official, whole])).toEqual([
    ["a", 5, 1, 10],
    ["b", 4, 0, 10],
    ["…", 5, 1, 20],
  ]);
});

test("past states are connected unless listed as absent", () => {
  const absent = [{ device: 2, state: "offline", reason: "excluded.offline" }] as Exclusion[];
  const states = pastStates([1, 2], absent);
  expect([states.get(1)?.state, states.get(2)?.state]).toEqual(["connected", "offline"]);
  expect(byReason(absent)).toEqual({ "excluded.offline": 1 });
});

test("spans that were not wholly watched are joined", () => {
  const minute = (n: number) => new Date(Date.UTC(2026, 10, 23, 8, n)).toISOString();
  const series = {
    step_s: 60,
    time: [0, 1, 2, 3, 4].map(minute),
    observed: [5, 0, 4, 5, 0],
    frame: [5, 5, 5, 5, 5],
  } as unknown as Series;
  const at = (n: number) => Date.parse(minute(n));
  expect(unwatched(series)).toEqual([
    [at(1), at(3)],
    [at(4), at(5)],
  ]);
});

test("families are those supported and those counted, each with its variants, the guideline's three first", () => {
  const counted: ProtocolCounts = {
    at: "2026-11-23T08:00:00Z",
    as_known_at: "2026-11-23T08:00:00Z",
    supported: [
      { family: "MQTT", protocols: ["mqtt", "sparkplug"] },
      { family: "OPC UA", protocols: ["opcua"] },
    ],
    official: { marked: false, evidenced: 0, families: [] },
    rehearsal: {
      marked: true,
      evidenced: 2,
      families: [
        { family: "MQTT", devices: 3, variants: [{ protocol: "sparkplug", devices: 3 }] },
        { family: "BACnet", devices: 1, variants: [{ protocol: "bacnet", devices: 1 }] },
      ],
    },
  };
  const all = families(counted);
  expect(all.map(({ family, supported, rehearsal }) => [family, supported, rehearsal])).toEqual([
    ["OPC UA", true, 0],
    ["MQTT", true, 3],
    ["BACnet", false, 1],
  ]);
  expect(all[1]?.variants.map(({ protocol, rehearsal }) => [protocol, rehearsal])).toEqual([
    ["sparkplug", 3],
    ["mqtt", 0],
  ]);
  expect(tally(all)).toEqual({ supported: 2, rehearsal: 2, official: 0 });
});
