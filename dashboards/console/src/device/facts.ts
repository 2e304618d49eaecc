/** Evidence of any shape as groups of lines of name and text; pure. */

export interface Evidence {
  /** Where the facts stand, such as `nameplate`; empty for those at the top. */
  group: string;
  facts: [string, string][];
}

const NESTED = (given: unknown): given is Record<string, unknown> =>
  typeof given === "object" && given !== null && !Array.isArray(given);

/** Flatten nested objects with dotted names; lists are joined, what is empty is left out. */
export function facts(evidence: Record<string, unknown>, under = ""): [string, string][] {
  return Object.entries(evidence).flatMap(([name, given]): [string, string][] => {
    const path = under === "" ? name : `${under}.${name}`;
    if (given === null || given === undefined || given === "") return [];
    if (Array.isArray(given)) return [[path, given.map(String).join(", ")]];
    if (NESTED(given)) return facts(given, path);
    return [[path, String(given)]];
  });
}

/** Where many devices say the same stands after what is the device's own. */
const SHARED = ["server"];

/** Evidence by its outermost objects, what belongs to none of them first; a group without facts is left out. */
export function grouped(evidence: Record<string, unknown>): Evidence[] {
  const entries = Object.entries(evidence);
  const plain = Object.fromEntries(entries.filter(([, given]) => !NESTED(given)));
  const groups = entries.flatMap(([group, given]) => (NESTED(given) ? [{ group, facts: facts(given) }] : []));
  const rank = ({ group }: Evidence): number => (SHARED.includes(group) ? 1 : 0);
  groups.sort((a, b) => rank(a) - rank(b));
  return [{ group: "", facts: facts(plain) }, ...groups].filter((one) => one.facts.length > 0);
}
