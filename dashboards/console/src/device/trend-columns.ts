/** A page of readings as the columns of a chart: times in s, value or mean, and the band around it; pure. */
import type { ReadingPage } from "../api/types";
import { breakAtGaps } from "../format/series";

export type Columns = [number[], ...(number | null)[][]];

/** Numbers stay, text such as `NaN` has no place on an axis. */
function numeric(value: number | string | null | undefined): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

/** Seconds without a reading after which the line is broken. */
function silence_s(page: ReadingPage, times: readonly number[]): number {
  if (page.resolution === "minute") return 90;
  if (page.resolution === "hour") return 5400;
  const steps = times.slice(1, 200).map((time, index) => time - (times[index] ?? time));
  const usual = [...steps].sort((a, b) => a - b)[Math.floor(steps.length / 2)] ?? 1;
  return Math.max(usual * 3, 0.5);
}

/** raw: [times, value]; minute and hour: [times, mean, min, max]. Bad values are holes. */
export function chartColumns(page: ReadingPage): Columns {
  const times = page.time.map((time) => Date.parse(time) / 1000);
  const columns =
    page.resolution === "raw"
      ? [(page.value ?? []).map((value, index) => ((page.quality?.[index] ?? 0) < 200 ? numeric(value) : null))]
      : [page.mean ?? [], page.min ?? [], page.max ?? []].map((column) => column.map(numeric));
  return breakAtGaps(times, columns, silence_s(page, times));
}
