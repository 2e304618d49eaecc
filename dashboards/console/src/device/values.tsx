/** The newest value of every tag, with its age and quality; a click takes a tag into the trend or out of it. */
import type { Latest, LatestReading, Tag } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { sayAge } from "../format/age";
import { value } from "../format/number";
import { qualityWord } from "../format/quality";
import { stamp } from "../format/time";
import style from "./values.module.css";

interface ValuesProps {
  tags: readonly Tag[];
  latest: Latest | undefined;
  /** Seconds after which a value is no longer fresh; null where values come only when they change. */
  window_s: number | null;
  chosen: readonly string[];
  onToggle: (tag: string) => void;
}

export function Values({ tags, latest, window_s, chosen, onToggle }: ValuesProps) {
  const { say } = useSpeech();
  const readings = new Map(latest?.readings.map((reading) => [reading.position, reading]));
  return (
    <table className={style.values}>
      <thead>
        <tr>
          <th scope="col">{say("console.values.tag")}</th>
          <th scope="col">{say("console.values.value")}</th>
          <th scope="col">{say("console.values.unit")}</th>
          <th scope="col">{say("console.values.age")}</th>
          <th scope="col">{say("console.values.quality")}</th>
          <th scope="col">{say("console.values.trend")}</th>
        </tr>
      </thead>
      <tbody>
        {tags
          .filter((tag) => !tag.retired)
          .map((tag) => (
            <Row
              key={tag.position}
              tag={tag}
              reading={readings.get(tag.position)}
              window_s={window_s}
              chosen={chosen.includes(tag.name)}
              onToggle={() => onToggle(tag.name)}
            />
          ))}
      </tbody>
    </table>
  );
}

const TEXTS = ["string", "datetime"];

/** Whether a tag has numbers, and so a trend. */
export function drawable(tag: Tag): boolean {
  return !tag.retired && !TEXTS.includes(tag.type);
}

interface RowProps {
  tag: Tag;
  reading: LatestReading | undefined;
  window_s: number | null;
  chosen: boolean;
  onToggle: () => void;
}

function Row({ tag, reading, window_s, chosen, onToggle }: RowProps) {
  const { say } = useSpeech();
  const quality = qualityWord(reading?.quality ?? null);
  const age_s = reading?.age_s ?? null;
  const shown = typeof reading?.value === "string" ? reading.value : value(reading?.value);
  return (
    <tr data-old={age_s === null || (window_s !== null && age_s > window_s)}>
      <th scope="row" title={JSON.stringify(tag.address)}>
        {tag.label || tag.name}
        {tag.label !== "" && <small>{tag.name}</small>}
      </th>
      <td data-kind={typeof reading?.value === "string" ? "text" : "number"}>{shown}</td>
      <td>{tag.unit}</td>
      <td title={reading?.time ? stamp(new Date(reading.time)) : ""}>{sayAge(age_s, say)}</td>
      <td data-quality={quality}>{quality === null ? "–" : say(`console.quality.${quality}`)}</td>
      <td>
        {drawable(tag) && (
          <input
            type="checkbox"
            checked={chosen}
            onChange={onToggle}
            aria-label={say("console.values.trend-of", { tag: tag.label || tag.name })}
          />
        )}
      </td>
    </tr>
  );
}
