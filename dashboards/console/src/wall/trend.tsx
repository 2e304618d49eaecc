/** The count over time; a click on it goes to that second. */
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { series } from "../api/queries";
import { useSpeech } from "../catalogue/language";
import { useNow } from "../live/use-live";
import { Segments } from "../shell/segments";
import { paletteAt } from "../theme";
import { type ECharts, init } from "./chart";
import style from "./trend.module.css";
import { trendOption } from "./trend-option";

/** Range in s and the step that gives a few hundred points. */
const RANGES = { m10: [600, 5], h1: [3600, 15], h24: [86_400, 300] } as const;
type Range = keyof typeof RANGES;

interface TrendProps {
  tiers: readonly number[];
  /** End of the range, ms, where a past second is looked at. */
  until: number | null;
  onPick: (at: Date) => void;
}

export function Trend({ tiers, until, onPick }: TrendProps) {
  const { say } = useSpeech();
  const [range, setRange] = useState<Range>("h1");
  const [span_s, step_s] = RANGES[range];
  const now = useNow(Math.max(5000, step_s * 1000));
  const end = Math.floor((until === null ? now : until + (span_s * 1000) / 2) / (step_s * 1000)) * step_s * 1000;
  const to = Math.min(end, Math.floor(now / (step_s * 1000)) * step_s * 1000);
  const { data, isError } = useQuery(series(to - span_s * 1000, to, step_s));
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<ECharts | null>(null);
  const pick = useRef(onPick);
  pick.current = onPick;

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const made = init(element, null, { renderer: "canvas" });
    chart.current = made;
    made.getZr().on("click", (event: { offsetX: number; offsetY: number }) => {
      const at = made.convertFromPixel({ xAxisIndex: 0 }, event.offsetX);
      if (typeof at === "number" && Number.isFinite(at)) pick.current(new Date(at));
    });
    const observer = new ResizeObserver(() => made.resize());
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.dispose();
      chart.current = null;
    };
  }, []);

  useEffect(() => {
    const element = box.current;
    if (element === null || data === undefined) return;
    const texts = {
      rehearsal: say("console.scope.rehearsal"),
      official: say("console.scope.official"),
      unobserved: say("console.trend.unobserved"),
    };
    const font = Math.max(11, 0.8125 * Number.parseFloat(getComputedStyle(document.documentElement).fontSize));
    chart.current?.setOption(trendOption(data, tiers, paletteAt(element), texts, font, until), { notMerge: true });
  }, [data, tiers, say, until]);

  return (
    <section className={style.trend} aria-label={say("console.trend.title")}>
      <header>
        <h2>{say("console.trend.title")}</h2>
        <ul className={style.key} aria-hidden="true">
          <li data-line="dashed">{say("console.scope.rehearsal")}</li>
          <li data-line="solid">{say("console.scope.official")}</li>
          <li data-line="area">{say("console.trend.unobserved")}</li>
        </ul>
        <Segments
          label={say("console.range.label")}
          value={range}
          options={(Object.keys(RANGES) as Range[]).map((value) => ({ value, label: say(`console.range.${value}`) }))}
          onChange={setRange}
        />
      </header>
      <div ref={box} className={style.chart} title={say("console.trend.hint")} />
      {isError && <p className={style.note}>{say("console.error.unreachable")}</p>}
    </section>
  );
}
