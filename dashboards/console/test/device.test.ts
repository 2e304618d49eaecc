import { expect, test } from "vitest";
import type { ReadingPage } from "../src/api/types";
import { sheets } from "../src/book/sheets";
import { facts, grouped } from "../src/device/facts";
import { place, shares } from "../src/device/intervals";
import { chartColumns } from "../src/device/trend-columns";
import { readFilter, writeFilter } from "../src/devices/filter";

test("presence is cut to the range and its shares add up", () => {
  const intervals = [
    { state: "offline", from: 0, to: 50, reason: "timeout" },
    { state: "connected", from: 50, to: null, reason: "value" },
  ] as const;
  const pieces = place(intervals, 25, 125);
  expect(pieces.map(({ left, width }) => [left, width])).toEqual([
    [0, 0.25],
    [0.25, 0.75],
  ]);
  expect(shares(pieces).get("connected")).toBe(0.75);
  expect(place(intervals, 10, 10)).toEqual([]);
});

test("nested evidence is flattened with dotted names", () => {
  expect(facts({ vendor: "A", basic: { code: "X", empty: "" }, list: [1, 2], nothing: null })).toEqual([
    ["vendor", "A"],
    ["basic.code", "X"],
    ["list", "1, 2"],
  ]);
});

test("evidence stands in groups: what belongs to none first, the server's last, empty ones left out", () => {
  const evidence = { server: { version: "1" }, birth: {}, nameplate: { maker: "A" }, model: "M", tags: ["a", "b"] };
  expect(grouped(evidence)).toEqual([
    {
      group: "",
      facts: [
        ["model", "M"],
        ["tags", "a, b"],
      ],
    },
    { group: "nameplate", facts: [["maker", "A"]] },
    { group: "server", facts: [["version", "1"]] },
  ]);
});

const page = (fields: Partial<ReadingPage>): ReadingPage => ({
  device: 1,
  tag: "speed",
  unit: "",
  resolution: "raw",
  from_time: "2026-11-23T08:00:00Z",
  to_time: "2026-11-23T08:01:00Z",
  time: [],
  next: null,
  ...fields,
});

test("bad values, texts and silences are holes in a trend", () => {
  const time = [0, 1, 2, 3, 20].map((s) => new Date(Date.UTC(2026, 10, 23, 8, 0, s)).toISOString());
  const [times, values] = chartColumns(page({ time, value: [1, "NaN", 3, 4, 5], quality: [0, 0, 200, 0, 0] }));
  expect(times).toHaveLength(6);
  expect(values).toEqual([1, null, null, 4, null, 5]);
});

test("a roll-up gives mean, least and greatest", () => {
  const time = [0, 1].map((m) => new Date(Date.UTC(2026, 10, 23, 8, m)).toISOString());
  const columns = chartColumns(page({ resolution: "minute", time, mean: [2, 3], min: [1, null], max: [4, 5] }));
  expect(columns.slice(1)).toEqual([
    [2, 3],
    [1, null],
    [4, 5],
  ]);
});

test("a filter survives the way through the address, and unknown states are left out", () => {
  const filter = { state: ["offline", "linked"], protocol: "modbus", enterprise: "yl-steel", search: "泵" };
  expect(readFilter(writeFilter(filter))).toEqual(filter);
  expect(readFilter(new URLSearchParams("state=offline&state=asleep")).state).toEqual(["offline"]);
  expect(writeFilter({ state: [], protocol: "", enterprise: "", search: "" }).toString()).toBe("");
});

test("an import's counts become one line per sheet in the order of the book", () => {
  const lines = sheets({ created: { devices: 3, enterprises: 1 }, changed: { devices: 2 }, retired: {}, unchanged: { zz: 4 } });
  expect(lines.map(({ sheet }) => sheet)).toEqual(["enterprises", "devices", "zz"]);
  expect(lines[1]).toEqual({ sheet: "devices", created: 3, changed: 2, retired: 0, unchanged: 0 });
});
