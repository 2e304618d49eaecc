/** The count over time as an ECharts option; pure. */
import type { EChartsCoreOption } from "echarts/core";
import type { Series } from "../api/types";
import { countAxisTop } from "../format/series";
import { clock, stamp } from "../format/time";
import type { Palette } from "../theme";

export interface TrendTexts {
  rehearsal: string;
  official: string;
  unobserved: string;
}

/** Spans [from, to] in ms in which less than the whole frame was watched. */
export function unwatched(series: Series): [number, number][] {
  const spans: [number, number][] = [];
  const step = series.step_s * 1000;
  series.time.forEach((text, index) => {
    if ((series.observed[index] ?? 0) >= (series.frame[index] ?? 0)) return;
    const from = Date.parse(text);
    const last = spans.at(-1);
    if (last !== undefined && from - last[1] < step * 0.5) last[1] = from + step;
    else spans.push([from, from + step]);
  });
  return spans;
}

/** The option for `series` with the guideline's tiers as quiet lines; `picked` (ms) is the second looked at; font in px. */
export function trendOption(
  series: Series,
  tiers: readonly number[],
  palette: Palette,
  texts: TrendTexts,
  font: number,
  picked: number | null = null,
): EChartsCoreOption {
  const points = (counts: readonly number[]): [number, number][] =>
    series.time.map((text, index) => [Date.parse(text), counts[index] ?? 0]);
  const most = Math.max(0, ...series.rehearsal, ...series.official);
  const top = countAxisTop(most, tiers);
  const shown = tiers.filter((tier) => tier <= top && tier >= top * 0.08);
  const text = { color: palette.ink3, fontSize: font, fontFamily: "inherit" };
  const line = (name: string, counts: readonly number[], colour: string, dash: "solid" | "dashed") => ({
    name,
    type: "line",
    step: "end",
    data: points(counts),
    showSymbol: false,
    lineStyle: { color: colour, width: 2, type: dash },
    itemStyle: { color: colour },
    emphasis: { disabled: true },
  });
  return {
    animation: false,
    grid: { left: 4, right: 4, top: font, bottom: 0, containLabel: true },
    textStyle: text,
    xAxis: {
      type: "time",
      min: Date.parse(series.from_time),
      max: Date.parse(series.to_time),
      axisLine: { lineStyle: { color: palette.line } },
      axisTick: { show: false },
      splitLine: { show: false },
      axisLabel: { ...text, hideOverlap: true, formatter: (at: number) => clock(new Date(at)).slice(0, 5) },
    },
    yAxis: {
      type: "value",
      min: 0,
      max: top,
      splitLine: { show: false },
      axisLine: { show: false },
      axisLabel: { ...text, customValues: [0, ...(shown.length > 0 ? shown : [most])] },
    },
    tooltip: {
      trigger: "axis",
      renderMode: "richText",
      backgroundColor: palette.ground,
      borderColor: palette.line,
      textStyle: { color: palette.ink, fontSize: font },
      axisPointer: { type: "line", lineStyle: { color: palette.ink3 } },
      formatter: (params: { axisValue: number; seriesName: string; value: [number, number] }[]) =>
        [
          stamp(new Date(params[0]?.axisValue ?? 0)),
          ...params.map((param) => `${param.seriesName}  ${param.value[1]}`),
        ].join("\n"),
    },
    series: [
      {
        ...line(texts.rehearsal, series.rehearsal, palette.ink2, "dashed"),
        markLine: {
          silent: true,
          symbol: "none",
          label: { show: false },
          lineStyle: { color: palette.line, type: "solid", width: 1 },
          data: [
            ...shown.map((tier) => ({ yAxis: tier })),
            ...(picked === null ? [] : [{ xAxis: picked, lineStyle: { color: palette.accent, width: 1.5 } }]),
          ],
        },
        markArea: {
          silent: true,
          itemStyle: { color: palette.ink3, opacity: 0.16 },
          data: unwatched(series).map(([from, to]) => [{ xAxis: from }, { xAxis: to }]),
        },
      },
      line(texts.official, series.official, palette.ink, "solid"),
    ],
  };
}
