/** Rows of devices, only those in view being in the document; each row is a link to its device. */
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { Link } from "react-router";
import type { DeviceSummary } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { sayReadingAge } from "../format/age";
import { readingAge, type Seen } from "../live/reducer";
import { useNow } from "../live/use-live";
import { StateWord } from "../shell/state-word";
import style from "./devices.module.css";

interface DeviceTableProps {
  devices: readonly DeviceSummary[];
  states: ReadonlyMap<number, Seen>;
  skew: number;
  enterpriseName: (code: string) => string;
  /** Called when the last rows come into view. */
  onEnd: () => void;
}

const NARROW = "(max-width: 760px)";
const ROW_PX = { wide: 44, narrow: 68 };
const BEFORE_END = 20;

export function DeviceTable({ devices, states, skew, enterpriseName, onEnd }: DeviceTableProps) {
  const { say } = useSpeech();
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const narrow = useNarrow();
  const row = narrow ? ROW_PX.narrow : ROW_PX.wide;
  const now = useNow(1000, skew);
  useLayoutEffect(() => {
    if (box.current !== null) setTop(box.current.getBoundingClientRect().top + window.scrollY);
  }, []);
  const virtual = useWindowVirtualizer({
    count: devices.length,
    estimateSize: () => row,
    overscan: 12,
    scrollMargin: top,
  });
  useEffect(() => virtual.measure(), [row, virtual]);
  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= devices.length - BEFORE_END) onEnd();
  }, [last, devices.length, onEnd]);
  return (
    <div className={style.table} role="table" aria-label={say("console.devices.title")} aria-rowcount={devices.length + 1}>
      <div role="rowgroup">
        <div className={style.head} role="row" aria-rowindex={1}>
          {(["state", "device", "enterprise", "class", "protocol", "origin", "age"] as const).map((column) => (
            <span key={column} role="columnheader" data-column={column}>
              {say(`console.devices.${column}`)}
            </span>
          ))}
        </div>
      </div>
      <div ref={box} role="rowgroup" className={style.rows} style={{ height: virtual.getTotalSize() }}>
        {items.map((item) => {
          const device = devices[item.index];
          if (device === undefined) return null;
          return (
            <Row
              key={device.id}
              index={item.index + 2}
              device={device}
              seen={states.get(device.id)}
              now={now}
              enterprise={enterpriseName(device.enterprise)}
              offset={item.start - top}
              height={row}
            />
          );
        })}
      </div>
    </div>
  );
}

interface RowProps {
  index: number;
  device: DeviceSummary;
  seen: Seen | undefined;
  now: number;
  enterprise: string;
  offset: number;
  height: number;
}

function Row({ index, device, seen, now, enterprise, offset, height }: RowProps) {
  const { say, word, reason } = useSpeech();
  const state = seen?.state ?? device.state;
  const cause = state !== "connected" && state === device.state && device.reason !== "" ? reason(device.reason) : "";
  return (
    <div
      className={style.row}
      role="row"
      aria-rowindex={index}
      style={{ transform: `translateY(${offset}px)`, height }}
      data-testid="device-row"
    >
      <span role="cell" data-column="state">
        <StateWord state={state} />
      </span>
      <span role="cell" data-column="device">
        <Link to={`/devices/${device.id}`}>{device.name}</Link>
        <small>{device.code}</small>
        {cause !== "" && <em>{cause}</em>}
      </span>
      <span role="cell" data-column="enterprise">
        {enterprise}
      </span>
      <span role="cell" data-column="class">
        {word("class", device.device_class)}
      </span>
      <span role="cell" data-column="protocol">
        {device.family}
      </span>
      <span role="cell" data-column="origin">
        {word("origin", device.origin)}
      </span>
      <span role="cell" data-column="age" title={say("console.devices.age")}>
        {sayReadingAge(readingAge(seen, now), say)}
      </span>
    </div>
  );
}

function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(() => window.matchMedia(NARROW).matches);
  useEffect(() => {
    const query = window.matchMedia(NARROW);
    const heard = (): void => setNarrow(query.matches);
    query.addEventListener("change", heard);
    return () => query.removeEventListener("change", heard);
  }, []);
  return narrow;
}
