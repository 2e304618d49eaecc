/** A state as shape and word. */
import type { StateWord as Word } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { StateMark } from "../wall/legend";
import style from "./state-word.module.css";

export function StateWord({ state }: { state: Word }) {
  const { word } = useSpeech();
  return (
    <span className={style.state} data-state={state}>
      <StateMark state={state} />
      {word("state", state)}
    </span>
  );
}
