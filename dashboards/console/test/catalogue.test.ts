import { expect, test } from "vitest";
import { fill, LANGUAGES, sayReason, sayWord, speaker } from "../src/catalogue/catalogue";

test("every state, class and origin has its word in both languages", () => {
  const words = {
    state: ["connected", "responding", "linked", "offline", "unobserved"],
    class: ["operating", "processing", "mobile", "other"],
    origin: ["real", "unknown", "replayed", "simulated"],
  };
  for (const language of LANGUAGES) {
    for (const [area, list] of Object.entries(words)) {
      for (const word of list) expect(sayWord(language, area, word), `${area}.${word}`).not.toBe(word);
    }
  }
});

test("places are filled, and one without a fact stays to be seen", () => {
  expect(fill("{n} of {m}", { n: 0 })).toBe("0 of {m}");
  expect(speaker("en")("console.age.seconds", { n: 3 })).toBe("3 s");
});

test("an unknown reason is said as itself", () => {
  expect(sayReason("zh-CN", "no-such-reason")).toBe("no-such-reason");
});
