/** The two themes as Ant Design and the charts need them; theme.css holds the same colours for everything else. */
import { theme as ant, type ThemeConfig } from "antd";
import type { StateWord } from "./api/types";

export type ThemeName = "light" | "dark";

const FONT =
  '"Inter", -apple-system, "Segoe UI", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Noto Sans CJK SC", "Source Han Sans SC", system-ui, sans-serif';

export const ANT_THEMES: Record<ThemeName, ThemeConfig> = {
  light: {
    token: { colorPrimary: "#0b5cad", borderRadius: 4, fontFamily: FONT, colorBgLayout: "#f5f7f8", colorText: "#15212c", colorTextPlaceholder: "#5f6e7b" },
  },
  dark: {
    algorithm: ant.darkAlgorithm,
    token: {
      colorPrimary: "#2f7fc4",
      borderRadius: 4,
      fontFamily: FONT,
      colorBgBase: "#0c1116",
      colorBgElevated: "#18212a",
    },
  },
};

/** Colours that canvases need as values. */
export interface Palette {
  ground: string;
  line: string;
  ink: string;
  ink2: string;
  ink3: string;
  accent: string;
  state: Record<StateWord, string>;
}

/** Read the palette in force at `element` from the style sheet, so that it is written down once. */
export function paletteAt(element: Element): Palette {
  const style = getComputedStyle(element);
  const read = (name: string): string => style.getPropertyValue(name).trim();
  return {
    ground: read("--ground"),
    line: read("--line"),
    ink: read("--ink"),
    ink2: read("--ink-2"),
    ink3: read("--ink-3"),
    accent: read("--accent"),
    state: {
      connected: read("--calm"),
      responding: read("--responding"),
      linked: read("--linked"),
      offline: read("--offline"),
      unobserved: read("--unobserved"),
    },
  };
}
