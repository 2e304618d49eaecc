/** What an operator does with the wall: look back, and fill the screen. */
import { useSpeech } from "../catalogue/language";
import style from "./wall.module.css";

interface WallToolsProps {
  past: boolean;
  onLookBack: () => void;
}

export function WallTools({ past, onLookBack }: WallToolsProps) {
  const { say } = useSpeech();
  const full = (): void => {
    if (document.fullscreenElement === null) void document.documentElement.requestFullscreen();
    else void document.exitFullscreen();
  };
  return (
    <>
      {!past && (
        <button type="button" className={style.tool} onClick={onLookBack}>
          {say("console.moment.open")}
        </button>
      )}
      {document.fullscreenEnabled && (
        <button type="button" className={`${style.tool} ${style.screenOnly}`} onClick={full}>
          {say("console.fullscreen")}
        </button>
      )}
    </>
  );
}
