/** What the squares mean, with how many there are of each; the states in words lead to their lists. */
import { Link } from "react-router";
import { STATES, type StateWord } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { count } from "../format/number";
import style from "./legend.module.css";

export function Legend({ byState }: { byState: Record<StateWord, number> | null }) {
  const { word } = useSpeech();
  return (
    <ul className={style.legend}>
      {STATES.map((state) => (
        <li key={state} data-none={(byState?.[state] ?? 0) === 0}>
          <StateMark state={state} />
          <Link to={`/devices?state=${state}`}>{word("state", state)}</Link>
          <b>{byState === null ? "–" : count(byState[state])}</b>
        </li>
      ))}
    </ul>
  );
}

/** The shape that stands for a state, as in the field. */
export function StateMark({ state }: { state: StateWord }) {
  const colour = state === "connected" ? "var(--calm)" : `var(--${state})`;
  const frame = <rect x="0.75" y="0.75" width="10.5" height="10.5" fill="none" stroke={colour} strokeWidth="1.5" />;
  return (
    <svg className={style.mark} viewBox="0 0 12 12" aria-hidden="true">
      {(state === "connected" || state === "offline") && <rect width="12" height="12" fill={colour} />}
      {state === "offline" && <path d="M3.5 3.5l5 5m0-5l-5 5" stroke="var(--ground)" strokeWidth="1.6" />}
      {state === "responding" && (
        <>
          {frame}
          <rect y="6" width="12" height="6" fill={colour} />
        </>
      )}
      {state === "linked" && (
        <>
          {frame}
          <rect x="4" y="4" width="4" height="4" fill={colour} />
        </>
      )}
      {state === "unobserved" && frame}
    </svg>
  );
}
