/** The other language, one click away, named in itself. */
import { useSpeech } from "../catalogue/language";
import style from "./page.module.css";

export function LanguageSwitch() {
  const { language, setLanguage } = useSpeech();
  const other = language === "en" ? "zh-CN" : "en";
  return (
    <button type="button" className={style.language} lang={other} onClick={() => setLanguage(other)}>
      {other === "en" ? "English" : "中文"}
    </button>
  );
}
