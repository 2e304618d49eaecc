/** Instants as people read them: local time, 24 hours, sortable dates; UTC travels in attributes and URLs. */

const two = (n: number): string => String(n).padStart(2, "0");

/** `13:05:09` in local time. */
export function clock(at: Date): string {
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** `2026-11-23` in local time. */
export function day(at: Date): string {
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

/** `2026-11-23 13:05:09` in local time. */
export function stamp(at: Date): string {
  return `${day(at)} ${clock(at)}`;
}

/** The clock alone for an instant of today, else with its date. */
export function near(at: Date, now: Date): string {
  return day(at) === day(now) ? clock(at) : stamp(at);
}

/** Offset of local time at `at`, as `UTC+8` or `UTC−3:30`. */
export function zone(at: Date): string {
  const minutes = -at.getTimezoneOffset();
  const sign = minutes < 0 ? "−" : "+";
  const [h, m] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return m === 0 ? `UTC${sign}${h}` : `UTC${sign}${h}:${two(m)}`;
}

/** The instant as RFC 3339 in UTC, to the second, for URLs and the API. */
export function utcSecond(at: Date): string {
  return `${at.toISOString().slice(0, 19)}Z`;
}

/** Read an RFC 3339 instant; null where it is none. */
export function instant(text: string | null | undefined): Date | null {
  if (!text) return null;
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? null : at;
}
