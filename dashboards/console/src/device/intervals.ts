/** Presence intervals cut to a range, as places on a bar; pure. */
import type { StateWord } from "../api/types";

export interface Interval {
  state: StateWord;
  from: number;
  /** ms since 1970; null while it lasts. */
  to: number | null;
  reason: string;
}

export interface Piece extends Interval {
  /** Left edge and width as shares of the range, 0 to 1. */
  left: number;
  width: number;
}

/** Cut `intervals` to [from, to] (ms) and say where each lies; what lies outside is left out. */
export function place(intervals: readonly Interval[], from: number, to: number): Piece[] {
  const span = to - from;
  if (!(span > 0)) return [];
  return intervals.flatMap((interval) => {
    const start = Math.max(interval.from, from);
    const end = Math.min(interval.to ?? to, to);
    if (end <= start) return [];
    return [{ ...interval, left: (start - from) / span, width: (end - start) / span }];
  });
}

/** Share of the range spent in each state, of what the intervals cover. */
export function shares(pieces: readonly Piece[]): Map<StateWord, number> {
  const sum = new Map<StateWord, number>();
  for (const piece of pieces) sum.set(piece.state, (sum.get(piece.state) ?? 0) + piece.width);
  return sum;
}
