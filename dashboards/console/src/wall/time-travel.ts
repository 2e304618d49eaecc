/** The second that the wall shows, kept in the address: `?at=…` and `&known=then|now`. */
import { useMemo } from "react";
import { useSearchParams } from "react-router";
import { instant, utcSecond } from "../format/time";

export type Known = "then" | "now";

export interface Moment {
  /** The past second that is looked at; null for now. */
  at: Date | null;
  known: Known;
  go: (at: Date | null, known?: Known) => void;
}

export function useMoment(): Moment {
  const [search, setSearch] = useSearchParams();
  const text = search.get("at");
  const known: Known = search.get("known") === "then" ? "then" : "now";
  return useMemo(
    () => ({
      at: instant(text),
      known,
      go: (at, next = known) =>
        setSearch((before) => {
          const after = new URLSearchParams(before);
          if (at === null) {
            after.delete("at");
            after.delete("known");
          } else {
            after.set("at", utcSecond(at));
            after.set("known", next);
          }
          return after;
        }),
    }),
    [text, known, setSearch],
  );
}
