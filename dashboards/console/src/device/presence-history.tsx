/** A device's presence over time: one bar, and its intervals with their reasons. */
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { presence } from "../api/queries";
import { useSpeech } from "../catalogue/language";
import { sayAge } from "../format/age";
import { percent } from "../format/number";
import { clock, near } from "../format/time";
import { useNow } from "../live/use-live";
import { Segments } from "../shell/segments";
import { Failure, Waiting } from "../shell/states";
import { StateWord } from "../shell/state-word";
import { place, shares } from "./intervals";
import style from "./presence-history.module.css";

const RANGES = { h1: 3600, h24: 86_400, d7: 604_800 } as const;
type Range = keyof typeof RANGES;
const REFRESH_MS = 5000;
const MOST_ROWS = 12;
const LATE_MS = 60_000;

export function PresenceHistory({ device }: { device: number }) {
  const { say, word, reason } = useSpeech();
  const [range, setRange] = useState<Range>("h1");
  const [all, setAll] = useState(false);
  const to = Math.floor(useNow(REFRESH_MS) / REFRESH_MS) * REFRESH_MS;
  const from = to - RANGES[range] * 1000;
  const { data, error, isPending } = useQuery(presence(device, from, to));
  const intervals = useMemo(
    () =>
      data?.intervals.map((interval) => ({
        state: interval.state,
        reason: interval.reason,
        from: Date.parse(interval.from_time),
        to: Date.parse(interval.to_time),
        recorded: interval.recorded_at === null ? null : Date.parse(interval.recorded_at),
      })) ?? [],
    [data],
  );
  const [start, end] = data === undefined ? [from, to] : [Date.parse(data.from_time), Date.parse(data.to_time)];
  const pieces = place(intervals, start, end);
  const connected = shares(pieces).get("connected") ?? 0;
  const newest = [...intervals].reverse();
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => new Date(start + share * (end - start)));
  const now = new Date(end);
  return (
    <section className={style.presence}>
      <header>
        <h2>{say("console.presence.title")}</h2>
        <span>{say("console.presence.connected", { share: percent(connected) })}</span>
        <Segments
          label={say("console.range.label")}
          value={range}
          options={(Object.keys(RANGES) as Range[]).map((value) => ({ value, label: say(`console.range.${value}`) }))}
          onChange={setRange}
        />
      </header>
      {error !== null && <Failure error={error} />}
      {isPending && <Waiting />}
      <div className={style.bar} role="img" aria-label={say("console.presence.bar")}>
        {pieces.map((piece) => (
          <i
            key={piece.from}
            data-state={piece.state}
            style={{ left: `${piece.left * 100}%`, width: `${piece.width * 100}%` }}
            title={`${word("state", piece.state)} · ${reason(piece.reason)}\n${near(new Date(piece.from), now)} – ${near(new Date(piece.to ?? end), now)}`}
          />
        ))}
      </div>
      <div className={style.ticks} aria-hidden="true">
        {ticks.map((tick) => (
          <span key={tick.getTime()}>{range === "d7" ? near(tick, now).slice(5, 16) : clock(tick).slice(0, 5)}</span>
        ))}
      </div>
      <table>
        <thead>
          <tr>
            <th scope="col">{say("console.presence.from")}</th>
            <th scope="col">{say("console.presence.length")}</th>
            <th scope="col">{say("console.presence.state")}</th>
            <th scope="col">{say("console.presence.reason")}</th>
          </tr>
        </thead>
        <tbody>
          {newest.slice(0, all ? undefined : MOST_ROWS).map((interval) => (
            <tr key={interval.from}>
              <td>{near(new Date(interval.from), now)}</td>
              <td>{sayAge((interval.to - interval.from) / 1000, say)}</td>
              <td>
                <StateWord state={interval.state} />
              </td>
              <td>
                {interval.reason === "" ? "–" : reason(interval.reason)}
                {interval.recorded !== null && interval.recorded - interval.from > LATE_MS && (
                  <small>{say("console.presence.late", { at: near(new Date(interval.recorded), now) })}</small>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {newest.length > MOST_ROWS && !all && (
        <button type="button" className={style.more} onClick={() => setAll(true)}>
          {say("console.presence.more", { n: newest.length - MOST_ROWS })}
        </button>
      )}
    </section>
  );
}
