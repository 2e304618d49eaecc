/** Trends of the chosen tags, one small chart each on a common time axis. */
import { useState } from "react";
import type { Resolution, Tag } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { useNow } from "../live/use-live";
import { Segments } from "../shell/segments";
import { Empty } from "../shell/states";
import { TrendChart } from "./trend-chart";
import style from "./trends.module.css";

/** Length in s, how often it moves on, and the resolutions that make sense for it, the best first. */
const RANGES = {
  m10: { span_s: 600, every_s: 2, resolutions: ["raw", "minute"] },
  h1: { span_s: 3600, every_s: 10, resolutions: ["raw", "minute"] },
  h24: { span_s: 86_400, every_s: 60, resolutions: ["minute", "hour"] },
  d30: { span_s: 2_592_000, every_s: 600, resolutions: ["hour"] },
} as const satisfies Record<string, { span_s: number; every_s: number; resolutions: readonly Resolution[] }>;
type Range = keyof typeof RANGES;
const RESOLUTIONS: readonly Resolution[] = ["raw", "minute", "hour"];

export function Trends({ device, tags }: { device: number; tags: readonly Tag[] }) {
  const { say } = useSpeech();
  const [range, setRange] = useState<Range>("m10");
  const [asked, setAsked] = useState<Resolution>("raw");
  const { span_s, every_s, resolutions } = RANGES[range];
  const possible: readonly Resolution[] = resolutions;
  const resolution = possible.includes(asked) ? asked : resolutions[0];
  const to = Math.floor(useNow(every_s * 1000) / (every_s * 1000)) * every_s * 1000;
  return (
    <section className={style.trends}>
      <header>
        <h2>{say("console.trends.title")}</h2>
        <Segments
          label={say("console.trends.resolution")}
          value={resolution}
          options={RESOLUTIONS.map((value) => ({
            value,
            label: say(`console.resolution.${value}`),
            disabled: !possible.includes(value),
          }))}
          onChange={setAsked}
        />
        <Segments
          label={say("console.range.label")}
          value={range}
          options={(Object.keys(RANGES) as Range[]).map((value) => ({ value, label: say(`console.range.${value}`) }))}
          onChange={setRange}
        />
      </header>
      {tags.length === 0 && <Empty>{say("console.trends.none")}</Empty>}
      {tags.map((tag) => (
        <TrendChart
          key={tag.position}
          device={device}
          tag={tag}
          from={to - span_s * 1000}
          to={to}
          resolution={resolution}
        />
      ))}
    </section>
  );
}
