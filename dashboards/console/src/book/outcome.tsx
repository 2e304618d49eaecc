/** What an import did or would do, by sheet; or where its mistakes are. */
import type { ImportAnswer } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { count } from "../format/number";
import style from "./book.module.css";
import { sheets } from "./sheets";

export function Outcome({ answer }: { answer: ImportAnswer }) {
  const { say } = useSpeech();
  if (answer.errors_total > 0) return <Mistakes answer={answer} />;
  const verdict = answer.applied ? "console.import.applied" : "console.import.would";
  return (
    <section data-testid="outcome">
      <h2>{say(verdict)}</h2>
      <Changes answer={answer} />
    </section>
  );
}

function Changes({ answer }: { answer: ImportAnswer }) {
  const { say, word } = useSpeech();
  const lines = sheets(answer);
  if (lines.length === 0) return <p className={style.hint}>{say("console.import.nothing")}</p>;
  return (
    <table className={style.table}>
      <thead>
        <tr>
          <th scope="col">{say("console.import.sheet")}</th>
          {(["created", "changed", "retired", "unchanged"] as const).map((what) => (
            <th key={what} scope="col" data-kind="number">
              {say(`console.import.${what}`)}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {lines.map((line) => (
          <tr key={line.sheet}>
            <th scope="row">{word("book.sheet", line.sheet)}</th>
            <td data-kind="number">{count(line.created)}</td>
            <td data-kind="number">{count(line.changed)}</td>
            <td data-kind="number">{count(line.retired)}</td>
            <td data-kind="number">{count(line.unchanged)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Mistakes({ answer }: { answer: ImportAnswer }) {
  const { say, word } = useSpeech();
  return (
    <section data-testid="mistakes" role="alert">
      <h2>{say("console.import.mistakes", { n: count(answer.errors_total) })}</h2>
      <p className={style.hint}>
        {answer.errors.length < answer.errors_total
          ? say("console.import.first", { n: count(answer.errors.length) })
          : say("console.import.untouched")}
      </p>
      <table className={style.table}>
        <thead>
          <tr>
            <th scope="col">{say("console.import.sheet")}</th>
            <th scope="col" data-kind="number">
              {say("console.import.row")}
            </th>
            <th scope="col">{say("console.import.column")}</th>
            <th scope="col">{say("console.import.mistake")}</th>
          </tr>
        </thead>
        <tbody>
          {answer.errors.map((error, index) => (
            <tr key={index}>
              <td>{word("book.sheet", error.sheet)}</td>
              <td data-kind="number">{error.row ?? "–"}</td>
              <td>{error.column ?? "–"}</td>
              <td>{error.message}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
