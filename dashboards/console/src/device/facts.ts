/** Evidence of any shape as lines of name and text; pure. */

/** Flatten nested objects with dotted names; lists are joined. */
export function facts(evidence: Record<string, unknown>, under = ""): [string, string][] {
  return Object.entries(evidence).flatMap(([name, given]): [string, string][] => {
    const path = under === "" ? name : `${under}.${name}`;
    if (given === null || given === undefined || given === "") return [];
    if (Array.isArray(given)) return [[path, given.map(String).join(", ")]];
    if (typeof given === "object") return facts(given as Record<string, unknown>, path);
    return [[path, String(given)]];
  });
}
