/** Series for charts; pure. */

/**
 * Put null points into a series where it is silent for longer than `silence`, so that no line is drawn over a gap.
 *
 * times: ascending; values: as many columns of the same length. Returns new columns, times first.
 */
export function breakAtGaps(
  times: readonly number[],
  values: readonly (readonly (number | null)[])[],
  silence: number,
): [number[], ...(number | null)[][]] {
  const outTimes: number[] = [];
  const outValues: (number | null)[][] = values.map(() => []);
  times.forEach((time, index) => {
    const before = times[index - 1];
    if (before !== undefined && time - before > silence) {
      outTimes.push((before + time) / 2);
      for (const column of outValues) column.push(null);
    }
    outTimes.push(time);
    values.forEach((column, i) => outValues[i]?.push(column[index] ?? null));
  });
  return [outTimes, ...outValues];
}

/** Upper end of a count axis that holds `most` and the first tier above it, without crowding the line. */
export function countAxisTop(most: number, tiers: readonly number[]): number {
  const above = [...tiers].sort((a, b) => a - b).find((tier) => tier >= most);
  const top = Math.max(most, above ?? most, 1) * 1.08;
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(top)) - 1);
  return Math.ceil(top / unit) * unit;
}

/** The sample in the middle of a sorted copy; the lower one of two. Null when there is none. */
export function median(samples: readonly number[]): number | null {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
}
