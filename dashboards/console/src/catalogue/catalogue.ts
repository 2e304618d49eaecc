/** Texts by key, from the one catalogue that the Python parts read too (muster/messages). No text is glued together. */
import en from "../../../../muster/messages/en.json";
import zh from "../../../../muster/messages/zh-CN.json";

export const LANGUAGES = ["zh-CN", "en"] as const;
export type Language = (typeof LANGUAGES)[number];
export type Key = keyof typeof zh;
export type Facts = Record<string, string | number>;
export type Say = (key: Key, facts?: Facts) => string;

const TEXTS: Record<Language, Record<string, string>> = { "zh-CN": zh, en };
const PLACE = /\{(\w+)\}/g;

/** Fill `{places}` of a text; a place without a fact stays as it is, to be seen and mended. */
export function fill(text: string, facts: Facts = {}): string {
  return text.replace(PLACE, (place, name: string) => (name in facts ? String(facts[name]) : place));
}

/** Return a function that says a key in one language. */
export function speaker(language: Language): Say {
  const texts = TEXTS[language];
  return (key, facts) => fill(texts[key] ?? key, facts);
}

/** Say a key that came over the API (a reason, a protocol); an unknown key is said as itself. */
export function sayReason(language: Language, key: string, facts: Facts = {}): string {
  const text = TEXTS[language][key];
  return text === undefined ? key : fill(text, facts);
}

/** Say `area.word` where the catalogue has it, else the word itself. */
export function sayWord(language: Language, area: string, word: string): string {
  return TEXTS[language][`${area}.${word}`] ?? word;
}
