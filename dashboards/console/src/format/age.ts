/** How old a value is, in the coarsest unit that still says something. */
import type { Say } from "../catalogue/catalogue";

const MINUTE_S = 60;
const HOUR_S = 3600;
const DAY_S = 86_400;

/** Seconds from `then` to `now`, both ms since 1970; never negative. */
export function ageSeconds(then: number, now: number): number {
  return Math.max(0, (now - then) / 1000);
}

/** Say the age of a reading: exactly, or that it is under so many seconds. */
export function sayReadingAge(age: { age_s: number | null; under_s: number | null }, say: Say): string {
  return age.under_s === null ? sayAge(age.age_s, say) : say("console.age.under", { n: age.under_s });
}

/** Say an age given in seconds: 0.4 s, 12 s, 3 min, 2 h, 5 d. A missing age is a dash. */
export function sayAge(age_s: number | null | undefined, say: Say): string {
  if (age_s === null || age_s === undefined || !Number.isFinite(age_s)) return "–";
  const age = Math.max(0, age_s);
  if (age < 9.95) return say("console.age.seconds", { n: age.toFixed(1) });
  if (age < 2 * MINUTE_S) return say("console.age.seconds", { n: Math.round(age) });
  if (age < 2 * HOUR_S) return say("console.age.minutes", { n: Math.floor(age / MINUTE_S) });
  if (age < 2 * DAY_S) return say("console.age.hours", { n: Math.floor(age / HOUR_S) });
  return say("console.age.days", { n: Math.floor(age / DAY_S) });
}

/** Say how far a clock is off, without its sign: 4 ms, 1.25 s, 61 min. */
export function sayOffset(offset_s: number, say: Say): string {
  const off = Math.abs(offset_s);
  if (off < 1) return say("console.ms", { n: Number((off * 1000).toPrecision(3)) });
  if (off < 2 * MINUTE_S) return say("console.age.seconds", { n: Number(off.toPrecision(3)) });
  if (off < 2 * HOUR_S) return say("console.age.minutes", { n: Number((off / MINUTE_S).toPrecision(3)) });
  return say("console.age.hours", { n: Number((off / HOUR_S).toPrecision(3)) });
}
