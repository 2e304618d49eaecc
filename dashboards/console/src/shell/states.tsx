/** What stands where nothing can be shown yet, or at all. */
import type { ReactNode } from "react";
import { Link } from "react-router";
import { Problem } from "../api/client";
import { useSpeech } from "../catalogue/language";
import style from "./states.module.css";

/** Says that something is on its way; only after a moment, so that quick answers do not flicker. */
export function Waiting() {
  const { say } = useSpeech();
  return (
    <div className={style.waiting} role="status">
      {say("console.waiting")}
    </div>
  );
}

/** Says that there is nothing, and why that may be so. */
export function Empty({ children }: { children: ReactNode }) {
  return <div className={style.empty}>{children}</div>;
}

/** Says what went wrong, and offers another try. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const { say } = useSpeech();
  const problem = error instanceof Problem ? error : null;
  const text = problem === null || problem.status === 0 ? say("console.error.unreachable") : problem.message;
  return (
    <div className={style.failure} role="alert">
      <strong>{problem?.status === 404 ? say("console.error.not-found") : say("console.error.title")}</strong>
      <span>{text}</span>
      {retry !== undefined && (
        <button type="button" onClick={retry}>
          {say("console.retry")}
        </button>
      )}
    </div>
  );
}

export function NotFound() {
  const { say } = useSpeech();
  return (
    <main className="page" data-theme="light">
      <div className={style.empty}>
        <p>{say("console.error.no-page")}</p>
        <Link to="/">{say("console.nav.wall")}</Link>
      </div>
    </main>
  );
}
