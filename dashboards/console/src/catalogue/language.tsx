/** The reader's language: Chinese first, English one click away, remembered in this browser. */
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { type Facts, type Language, LANGUAGES, type Say, sayReason, sayWord, speaker } from "./catalogue";

const STORED = "muster.language";

interface Speech {
  language: Language;
  setLanguage: (language: Language) => void;
  say: Say;
  reason: (key: string, facts?: Facts) => string;
  word: (area: string, word: string) => string;
}

const Context = createContext<Speech | null>(null);

function remembered(): Language {
  const asked = new URLSearchParams(location.search).get("lang") ?? localStorage.getItem(STORED);
  return LANGUAGES.find((language) => language === asked) ?? "zh-CN";
}

export function LanguageProvider({ children }: { children: ReactNode }) {
  const [language, setLanguage] = useState<Language>(remembered);
  useEffect(() => {
    localStorage.setItem(STORED, language);
    document.documentElement.lang = language;
  }, [language]);
  const speech = useMemo<Speech>(
    () => ({
      language,
      setLanguage,
      say: speaker(language),
      reason: (key, facts) => sayReason(language, key, facts),
      word: (area, word) => sayWord(language, area, word),
    }),
    [language],
  );
  return <Context.Provider value={speech}>{children}</Context.Provider>;
}

export function useSpeech(): Speech {
  const speech = useContext(Context);
  if (speech === null) throw new Error("useSpeech needs a LanguageProvider around it");
  return speech;
}
