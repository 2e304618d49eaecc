/** The devices as a field of squares: one each, by enterprise; pointer, touch and arrow keys lead to the device. */
import { type KeyboardEvent, type PointerEvent, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { useNavigate } from "react-router";
import type { DeviceSummary } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { sayReadingAge } from "../format/age";
import { count } from "../format/number";
import { readingAge, type Seen } from "../live/reducer";
import { paletteAt } from "../theme";
import { draw } from "./draw";
import style from "./field.module.css";
import { deviceAt, type Group, neighbour, pack, type Placed, placeOf } from "./packing";

interface FieldProps {
  groups: readonly Group[];
  devices: ReadonlyMap<number, DeviceSummary>;
  states: ReadonlyMap<number, Seen>;
  /** The platform's time, ms: ages are counted to it. */
  now: number;
  stale: boolean;
}

const HEADING_REM = 1.75;
/** What the squares may take of a page that scrolls, px; headings come on top. */
const FLOWING_PX = 420;

export function Field({ groups, devices, states, now, stale }: FieldProps) {
  const { say } = useSpeech();
  const navigate = useNavigate();
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0, rem: 16, flows: false });
  const [selected, setSelected] = useState<number | null>(null);

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    const measure = (): void => {
      const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
      const flows = getComputedStyle(element).getPropertyValue("--flows").trim() === "1";
      setSize({ width: element.clientWidth, height: element.clientHeight, rem, flows });
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const packed = useMemo(() => {
    const [heading, between] = [HEADING_REM * size.rem, size.rem * 0.75];
    const height = size.flows ? FLOWING_PX + groups.length * (heading + between) : size.height;
    return pack(groups, size.width, height, heading, between);
  }, [groups, size]);

  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context || size.width === 0) return;
    const density = window.devicePixelRatio || 1;
    const height = Math.max(packed.height, 1);
    element.width = Math.round(size.width * density);
    element.height = Math.round(height * density);
    element.style.height = `${height}px`;
    context.setTransform(density, 0, 0, density, 0, 0);
    const stateOf = (device: number) => states.get(device)?.state ?? null;
    draw(context, { packed, stateOf, palette: paletteAt(element), selected, stale }, size.width, height);
  }, [packed, states, selected, stale, size.width]);

  const under = (event: PointerEvent<HTMLElement>): number | null => {
    const edge = canvas.current?.getBoundingClientRect();
    return edge === undefined ? null : deviceAt(packed, event.clientX - edge.left, event.clientY - edge.top);
  };
  const open = (device: number | null): void => {
    if (device !== null) void navigate(`/devices/${device}`);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Enter" && selected !== null) open(selected);
    else if (event.key === "Escape") setSelected(null);
    else if (event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End") {
      event.preventDefault();
      setSelected((from) => (from === null ? (packed.groups[0]?.devices[0] ?? null) : neighbour(packed, from, event.key)));
    }
  };

  return (
    <div
      ref={box}
      className={style.field}
      role="application"
      aria-label={say("console.field.label", { n: count(states.size) })}
      aria-describedby="field-keys"
      tabIndex={0}
      data-testid="field"
      data-devices={packed.groups.reduce((sum, group) => sum + group.devices.length, 0)}
      onKeyDown={onKeyDown}
      onBlur={() => setSelected(null)}
    >
      <p id="field-keys" className="unseen">
        {say("console.field.keys")}
      </p>
      <canvas
        ref={canvas}
        aria-hidden="true"
        style={{ cursor: selected === null ? "default" : "pointer" }}
        onPointerMove={(event) => event.pointerType !== "touch" && setSelected(under(event))}
        onPointerLeave={() => setSelected(null)}
        onClick={(event) => {
          const device = under(event as unknown as PointerEvent<HTMLElement>);
          const touched = (event.nativeEvent as globalThis.PointerEvent).pointerType === "touch";
          if (touched && device !== selected) setSelected(device); // the first touch names it, the second opens it
          else open(device);
        }}
      />
      {packed.groups.map((group) => (
        <GroupHeading key={group.key} group={group} states={states} />
      ))}
      {selected !== null && (
        <Note
          device={devices.get(selected)}
          number={selected}
          seen={states.get(selected)}
          now={now}
          at={placeOf(packed, selected)}
          width={size.width}
          below={packed.side}
        />
      )}
    </div>
  );
}

interface HeadingProps {
  group: Placed;
  states: ReadonlyMap<number, Seen>;
}

function GroupHeading({ group, states }: HeadingProps) {
  const { label, devices } = group;
  const connected = devices.reduce((sum, device) => sum + (states.get(device)?.state === "connected" ? 1 : 0), 0);
  return (
    <p className={style.heading} style={{ top: group.heading, left: group.left }}>
      <span>{label}</span>
      <span>
        <b>{count(connected)}</b> / {count(devices.length)}
      </span>
    </p>
  );
}

interface NoteProps {
  device: DeviceSummary | undefined;
  number: number;
  seen: Seen | undefined;
  now: number;
  at: { x: number; y: number } | null;
  width: number;
  below: number;
}

function Note({ device, number, seen, now, at, width, below }: NoteProps) {
  const { say, word, reason } = useSpeech();
  if (at === null) return null;
  const age = sayReadingAge(readingAge(seen, now), say);
  const cause = device !== undefined && seen?.state === device.state && seen.state !== "connected" ? device.reason : "";
  return (
    <div
      className={style.note}
      role="status"
      data-side={at.x > width / 2 ? "left" : "right"}
      style={{ left: at.x, top: at.y + below * 0.5 + 8 }}
    >
      <strong>{device?.name ?? say("console.device.number", { n: number })}</strong>
      <span className={style.code}>{device?.code}</span>
      <span data-state={seen?.state} className={style.state}>
        {seen === undefined ? "–" : word("state", seen.state)}
        {cause !== "" && <small>{reason(cause)}</small>}
      </span>
      <span className={style.age}>{seen?.lastReading != null && say("console.reading.last", { age })}</span>
    </div>
  );
}
