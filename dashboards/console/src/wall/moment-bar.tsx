/** Looking back: which second is shown, as known when, and what of it was learned later. */
import { useQuery } from "@tanstack/react-query";
import { Button, DatePicker } from "antd";
import dayjs from "dayjs";
import { countAt } from "../api/queries";
import { useSpeech } from "../catalogue/language";
import { count } from "../format/number";
import { stamp, utcSecond } from "../format/time";
import style from "./moment-bar.module.css";
import type { Moment } from "./time-travel";

const STEPS = [-60, -1, 1, 60] as const;

interface MomentBarProps {
  moment: Moment & { at: Date };
  /** The second up to which "now" knows, RFC 3339; fixed while one looks. */
  knownNow: string;
}

export function MomentBar({ moment, knownNow }: MomentBarProps) {
  const { say } = useSpeech();
  const at = utcSecond(moment.at);
  const then = useQuery(countAt(at, at)).data;
  const now = useQuery(countAt(at, knownNow)).data;
  const shift = (seconds: number): void => moment.go(new Date(moment.at.getTime() + seconds * 1000));
  const differs = then?.rehearsal?.connected !== now?.rehearsal?.connected;
  return (
    <div className={style.bar} role="region" aria-label={say("console.moment.label")}>
      <strong>{say("console.moment.past")}</strong>
      <DatePicker
        showTime
        allowClear={false}
        value={dayjs(moment.at)}
        maxDate={dayjs()}
        aria-label={say("console.moment.pick")}
        onChange={(value) => value !== null && moment.go(value.toDate())}
      />
      <span className={style.steps}>
        {STEPS.map((step) => (
          <Button key={step} size="small" onClick={() => shift(step)}>
            {say(step < 0 ? "console.moment.back" : "console.moment.forward", { n: Math.abs(step) })}
          </Button>
        ))}
      </span>
      <span className={style.known} role="radiogroup" aria-label={say("console.moment.known")}>
        <Known
          label={say("console.moment.known.then")}
          hint={say("console.moment.known.then.hint", { at: stamp(moment.at) })}
          figure={then?.rehearsal?.connected}
          chosen={moment.known === "then"}
          onChoose={() => moment.go(moment.at, "then")}
        />
        <Known
          label={say("console.moment.known.now")}
          hint={say("console.moment.known.now.hint")}
          figure={now?.rehearsal?.connected}
          chosen={moment.known === "now"}
          onChoose={() => moment.go(moment.at, "now")}
        />
      </span>
      {then !== undefined && now !== undefined && (
        <span className={style.verdict}>
          {differs ? say("console.moment.corrected") : say("console.moment.unchanged")}
        </span>
      )}
      <Button className={style.leave} type="primary" onClick={() => moment.go(null)}>
        {say("console.moment.leave")}
      </Button>
    </div>
  );
}

interface KnownProps {
  label: string;
  hint: string;
  figure: number | undefined;
  chosen: boolean;
  onChoose: () => void;
}

function Known({ label, hint, figure, chosen, onChoose }: KnownProps) {
  return (
    <button type="button" role="radio" aria-checked={chosen} title={hint} onClick={onChoose}>
      {label} <b>{count(figure)}</b>
    </button>
  );
}
