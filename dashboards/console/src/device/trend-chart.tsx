/** One tag's trend in uPlot: a line, with the band from minimum to maximum where it is a roll-up. */
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { readings } from "../api/queries";
import type { Resolution, Tag } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { value } from "../format/number";
import { clock, stamp } from "../format/time";
import { paletteAt } from "../theme";
import { chartColumns, type Columns } from "./trend-columns";
import style from "./trends.module.css";

const HEIGHT_PX = 168;
const AXIS_PX = 56;

interface TrendChartProps {
  device: number;
  tag: Tag;
  /** ms since 1970 */
  from: number;
  to: number;
  resolution: Resolution;
}

export function TrendChart({ device, tag, from, to, resolution }: TrendChartProps) {
  const { say } = useSpeech();
  const { data, isError, isPending } = useQuery(readings(device, tag.name, from, to, resolution));
  const box = useRef<HTMLDivElement>(null);
  const shown = useRef<HTMLSpanElement>(null);
  const plot = useRef<uPlot | null>(null);
  const range = useRef<[number, number]>([from / 1000, to / 1000]);
  range.current = [from / 1000, to / 1000];
  const banded = data !== undefined && data.resolution !== "raw";

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const palette = paletteAt(element);
    const axis = { stroke: palette.ink3, font: `12px ${getComputedStyle(element).fontFamily}`, ticks: { show: false } };
    const line = { stroke: palette.state.connected, width: 1.5, points: { show: false }, spanGaps: false };
    const edge = { stroke: "transparent", width: 0, points: { show: false }, spanGaps: false };
    const made = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT_PX,
        legend: { show: false },
        cursor: { sync: { key: "device" }, y: false, drag: { x: false, y: false } },
        scales: { x: { range: () => range.current }, y: { range: { min: { pad: 0.12 }, max: { pad: 0.12 } } } },
        axes: [
          {
            ...axis,
            grid: { show: false },
            values: (_, splits) => splits.map((at) => tickText(at, range.current)),
          },
          { ...axis, size: AXIS_PX, grid: { stroke: palette.line, width: 1 }, values: (_, splits) => splits.map((n) => value(n)) },
        ],
        series: banded ? [{}, line, edge, edge] : [{}, line],
        bands: banded ? [{ series: [3, 2], fill: `${palette.state.connected}40` }] : [],
        hooks: {
          setCursor: [
            (chart) => {
              if (shown.current !== null) shown.current.textContent = under(chart, tag.unit);
            },
          ],
        },
      },
      [[], ...(banded ? [[], [], []] : [[]])] as unknown as uPlot.AlignedData,
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [banded, tag.unit]);

  useEffect(() => {
    if (data !== undefined) plot.current?.setData(chartColumns(data) as Columns as unknown as uPlot.AlignedData);
  }, [data, banded]);

  const empty = data !== undefined && data.time.length === 0;
  return (
    <figure className={style.chart}>
      <figcaption>
        {tag.label || tag.name} <small>{tag.unit}</small>
        <span ref={shown} />
      </figcaption>
      <div ref={box} role="img" aria-label={say("console.trends.of", { tag: tag.label || tag.name })} />
      {(empty || isError || isPending) && (
        <p>{say(isError ? "console.error.unreachable" : empty ? "console.trends.empty" : "console.waiting")}</p>
      )}
    </figure>
  );
}

function tickText(at: number, [from, to]: [number, number]): string {
  const text = to - from > 90_000 ? stamp(new Date(at * 1000)).slice(5, 16) : clock(new Date(at * 1000));
  return to - from > 90_000 || !text.endsWith(":00") ? text : text.slice(0, 5);
}

function under(chart: uPlot, unit: string): string {
  const index = chart.cursor.idx;
  if (index === null || index === undefined) return "";
  const at = chart.data[0][index];
  const n = chart.data[1]?.[index];
  return at === undefined || n === null || n === undefined ? "" : `${stamp(new Date(at * 1000))}   ${value(n)} ${unit}`;
}
