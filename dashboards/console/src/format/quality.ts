/** A reading's quality as a word: the named ones of muster/quality.py, else its severity. */

const NAMED: Record<number, string> = {
  0: "good",
  100: "uncertain",
  200: "bad",
  201: "no-value",
  202: "out-of-range",
  203: "device-failure",
  204: "refused",
  205: "not-answered",
  206: "undecodable",
};

export type QualityWord =
  | "good"
  | "uncertain"
  | "bad"
  | "no-value"
  | "out-of-range"
  | "device-failure"
  | "refused"
  | "not-answered"
  | "undecodable";

/** Return the catalogue's word for a quality number; null where there is no reading. */
export function qualityWord(quality: number | null): QualityWord | null {
  if (quality === null) return null;
  return (NAMED[quality] ?? (quality < 100 ? "good" : quality < 200 ? "uncertain" : "bad")) as QualityWord;
}
