/** The two counts. The rehearsal's digits are hatched and its words say why: nobody shall take one for the other. */
import { useSpeech } from "../catalogue/language";
import { count, percent } from "../format/number";
import type { ScopePicture } from "./picture";
import style from "./hero.module.css";

interface HeroProps {
  kind: "rehearsal" | "official";
  scope: ScopePicture | null;
}

export function Hero({ kind, scope }: HeroProps) {
  const { say } = useSpeech();
  const shown = scope === null ? "–" : count(scope.connected);
  const window = scope?.window ?? null;
  return (
    <section className={style.hero} data-kind={kind} aria-label={say(`console.scope.${kind}`)}>
      <header>
        <h2>{say(`console.scope.${kind}`)}</h2>
        <p>{say(`console.scope.${kind}.note`)}</p>
      </header>
      <p className={style.figure} data-digits={shown.length > 4 ? "many" : "few"} data-testid={`count-${kind}`}>
        {shown}
      </p>
      <dl className={style.window} title={say("console.window.hint")}>
        <Figure name={say("console.window.min")} text={count(window?.min)} />
        <Figure name={say("console.window.median")} text={count(window?.median)} />
        <Figure name={say("console.window.p5")} text={count(window?.p5)} />
        <Figure name={say("console.window.observed")} text={percent(window?.observed_share)} />
      </dl>
    </section>
  );
}

function Figure({ name, text }: { name: string; text: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{text}</dd>
    </div>
  );
}
