/** An import's counts, turned from "what happened, by sheet" into a line per sheet; pure. */
import type { ImportAnswer } from "../api/types";

export interface SheetLine {
  sheet: string;
  created: number;
  changed: number;
  retired: number;
  unchanged: number;
}

const ORDER = ["enterprise", "site", "gateway", "model", "tag", "device"];

/** One line per sheet that the import touched, in the order of the book. */
export function sheets(answer: Pick<ImportAnswer, "created" | "changed" | "retired" | "unchanged">): SheetLine[] {
  const names = new Set([answer.created, answer.changed, answer.retired, answer.unchanged].flatMap(Object.keys));
  const rank = (name: string): number => {
    const at = ORDER.findIndex((word) => name.startsWith(word));
    return at < 0 ? ORDER.length : at;
  };
  return [...names]
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b))
    .map((sheet) => ({
      sheet,
      created: answer.created[sheet] ?? 0,
      changed: answer.changed[sheet] ?? 0,
      retired: answer.retired[sheet] ?? 0,
      unchanged: answer.unchanged[sheet] ?? 0,
    }));
}
