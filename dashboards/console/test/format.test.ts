import { expect, test } from "vitest";
import { speaker } from "../src/catalogue/catalogue";
import { ageSeconds, sayAge } from "../src/format/age";
import { bytes, count, percent, value } from "../src/format/number";
import { qualityWord } from "../src/format/quality";
import { breakAtGaps, countAxisTop } from "../src/format/series";
import { instant, near, stamp, utcSecond } from "../src/format/time";

const say = speaker("en");

test("an age is said in the coarsest unit that still says something", () => {
  const said = [0.42, 9.94, 9.96, 119.4, 120, 7199, 7200, 172_799, 172_800].map((age) => sayAge(age, say));
  expect(said).toEqual(["0.4 s", "9.9 s", "10 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 d"]);
});

test("an age that is not known is a dash, and one from the future is zero", () => {
  expect([null, undefined, Number.NaN].map((age) => sayAge(age, say))).toEqual(["–", "–", "–"]);
  expect(sayAge(-3, say)).toBe("0.0 s");
  expect(ageSeconds(2000, 1000)).toBe(0);
});

test("counts are grouped from five digits on", () => {
  expect([0, 520, 9999, 10_000, 1_234_567].map((n) => count(n))).toEqual([
    "0",
    "520",
    "9999",
    "10\u2009000",
    "1\u2009234\u2009567",
  ]);
  expect(count(null)).toBe("–");
});

test("a share is never rounded up to a whole that it is not", () => {
  expect([1, 0.99999, 0.5, 0].map(percent)).toEqual(["100 %", "99.9 %", "50.0 %", "0 %"]);
});

test("values keep five figures and whole numbers stay whole", () => {
  expect([1480.25, 0.0123456, -3, 123_456_789, 1e12, 0].map((n) => value(n))).toEqual([
    "1480.3",
    "0.0123",
    "−3",
    "123456789",
    "1.0000e+12",
    "0",
  ]);
  expect(value(Number.NaN)).toBe("–");
});

test("bytes are said in the unit a person would choose", () => {
  expect([512, 4812, 3 * 1024 ** 3].map(bytes)).toEqual(["512 B", "4.7 KiB", "3.0 GiB"]);
});

test("an instant of another day carries its date", () => {
  const at = new Date(2026, 10, 23, 8, 5, 9);
  expect(near(at, new Date(2026, 10, 23, 9, 0))).toBe("08:05:09");
  expect(near(at, new Date(2026, 10, 24, 9, 0))).toBe("2026-11-23 08:05:09");
  expect(stamp(at)).toBe("2026-11-23 08:05:09");
});

test("a second in the address survives the way there and back", () => {
  const at = new Date("2026-11-23T08:00:07.900Z");
  expect(instant(utcSecond(at))?.toISOString()).toBe("2026-11-23T08:00:07.000Z");
  expect([instant("never"), instant(""), instant(null)]).toEqual([null, null, null]);
});

test("quality numbers outside the named ones fall back on their severity", () => {
  expect([0, 17, 100, 150, 204, 250, null].map(qualityWord)).toEqual([
    "good",
    "good",
    "uncertain",
    "uncertain",
    "refused",
    "bad",
    null,
  ]);
});

test("no line is drawn over a silence", () => {
  expect(breakAtGaps([1, 2, 10, 11], [[5, 6, 7, 8]], 3)).toEqual([
    [1, 2, 6, 10, 11],
    [5, 6, null, 7, 8],
  ]);
});

test("the count axis holds the highest count and the first tier above it", () => {
  expect(countAxisTop(519, [50, 100, 500])).toBeGreaterThan(519);
  expect(countAxisTop(40, [50, 100, 500])).toBeGreaterThan(50);
  expect(countAxisTop(40, [50, 100, 500])).toBeLessThan(100);
  expect(countAxisTop(0, [])).toBeGreaterThan(0);
});
