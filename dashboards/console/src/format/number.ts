/** Numbers as people read them. */

/** A whole number with thin grouping from five digits on: 9999, 10 000. */
export function count(n: number | null | undefined): string {
  if (n === null || n === undefined) return "–";
  const digits = String(Math.round(n));
  return digits.length < 5 ? digits : digits.replace(/\B(?=(\d{3})+(?!\d))/g, "\u2009");
}

/** A measured value with up to `figures` significant figures, without an exponent where it can do without. */
export function value(n: number | null | undefined, figures = 5): string {
  if (n === null || n === undefined || Number.isNaN(n)) return "–";
  if (!Number.isFinite(n)) return n > 0 ? "∞" : "−∞";
  const size = Math.abs(n);
  if (size !== 0 && (size >= 1e9 || size < 1e-4)) return minus(n.toExponential(Math.max(0, figures - 1)));
  if (Number.isInteger(n)) return minus(String(n));
  const whole = size < 1 ? 1 : Math.floor(Math.log10(size)) + 1;
  return minus(n.toFixed(Math.min(6, Math.max(0, figures - whole))));
}

/** A share of 1 in percent; never rounded up to a whole that it is not. */
export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined || Number.isNaN(share)) return "–";
  if (share >= 1) return "100 %";
  if (share <= 0) return "0 %";
  return `${(Math.floor(share * 1000) / 10).toFixed(1)} %`;
}

/** Bytes in the unit a person would choose. */
export function bytes(n: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = n;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

const minus = (text: string): string => text.replace("-", "−");
