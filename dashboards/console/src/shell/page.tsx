/** The frame of every page: heading with navigation, language, clock and connection; then the page itself. */
import { ConfigProvider } from "antd";
import en from "antd/locale/en_US";
import zh from "antd/locale/zh_CN";
import "dayjs/locale/zh-cn";
import dayjs from "dayjs";
import { type ReactNode, useEffect } from "react";
import { NavLink } from "react-router";
import { useSpeech } from "../catalogue/language";
import { ANT_THEMES, type ThemeName } from "../theme";
import { ConnectionMark } from "./connection";
import { LanguageSwitch } from "./language-switch";
import style from "./page.module.css";
import { SessionMark } from "./session-mark";

interface PageProps {
  title: string;
  theme: ThemeName;
  /** Fills the screen without scrolling where the screen is large enough. */
  wall?: boolean;
  tools?: ReactNode;
  children: ReactNode;
}

export function Page({ title, theme, wall = false, tools, children }: PageProps) {
  const { language, say } = useSpeech();
  useEffect(() => {
    document.title = say("console.title", { page: title });
  }, [title, say]);
  useEffect(() => {
    dayjs.locale(language === "en" ? "en" : "zh-cn");
  }, [language]);
  useEffect(() => {
    document.body.style.background = theme === "dark" ? "#0c1116" : "#f5f7f8";
    document.documentElement.toggleAttribute("data-wall", wall);
  }, [theme, wall]);
  return (
    <ConfigProvider theme={ANT_THEMES[theme]} locale={language === "en" ? en : zh} button={{ autoInsertSpace: false }}>
      <div className={`page ${wall ? style.wall : style.page}`} data-theme={theme}>
        <header className={style.header}>
          <NavLink to="/" className={style.brand} aria-label={say("console.brand.full")}>
            <img src="/icon.svg" alt="" />
            <span>{say("console.brand")}</span>
          </NavLink>
          <nav className={style.nav} aria-label={say("console.nav.label")}>
            <NavLink to="/" end>
              {say("console.nav.wall")}
            </NavLink>
            <NavLink to="/devices">{say("console.nav.devices")}</NavLink>
            <NavLink to="/gateways">{say("console.nav.gateways")}</NavLink>
            <NavLink to="/import">{say("console.nav.import")}</NavLink>
          </nav>
          <div className={style.tools}>
            {tools}
            <ConnectionMark />
            <SessionMark />
            <LanguageSwitch />
          </div>
        </header>
        <main className={wall ? style.fill : style.body}>
          <h1 className={wall ? "unseen" : style.title}>{title}</h1>
          {children}
        </main>
      </div>
    </ConfigProvider>
  );
}
