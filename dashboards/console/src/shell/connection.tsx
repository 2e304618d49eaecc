/** Whether what is shown is now: the platform's clock while the live stream runs, a word while it does not. */
import { useSpeech } from "../catalogue/language";
import { clock, day, zone } from "../format/time";
import { useLive, useNow } from "../live/use-live";
import style from "./page.module.css";

export function ConnectionMark() {
  const { say } = useSpeech();
  const live = useLive();
  const now = new Date(useNow(1000, live.skew));
  const shown = live.connection === "live" ? now : live.counts === null ? null : new Date(live.counts.at);
  return (
    <div className={style.connection} data-connection={live.connection}>
      <span className={style.dot} aria-hidden="true" />
      <span role="status">{say(`console.connection.${live.connection}`)}</span>
      {shown !== null && (
        <time dateTime={shown.toISOString()} title={zone(shown)}>
          <span className={style.day}>{day(shown)}</span> <b>{clock(shown)}</b>
        </time>
      )}
    </div>
  );
}
