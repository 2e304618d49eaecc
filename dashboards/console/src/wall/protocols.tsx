/** Protocol diversity: how many families are supported, how many of them counted devices evidence, and by which. */
import { useQuery } from "@tanstack/react-query";
import { protocolsAt } from "../api/queries";
import { useSpeech } from "../catalogue/language";
import { count } from "../format/number";
import style from "./breakdown.module.css";
import { families, type Family, tally } from "./families";
import own from "./protocols.module.css";

interface ProtocolsProps {
  /** The past second that is looked at and the one up to which is known, RFC 3339; empty for now. */
  at: string;
  known: string;
  /** Devices of the frame, of which the bars are shares. */
  frame: number | null;
}

export function Protocols({ at, known, frame }: ProtocolsProps) {
  const { say } = useSpeech();
  const { data } = useQuery(protocolsAt(at, known));
  const all = data === undefined ? [] : families(data);
  const sum = tally(all);
  return (
    <section className={style.breakdown} data-testid="protocols">
      <table>
        <thead>
          <tr>
            <th scope="col">{say("console.by.protocol")}</th>
            <th scope="col">{say("console.scope.rehearsal")}</th>
            <th scope="col">{say("console.scope.official")}</th>
          </tr>
        </thead>
        <tbody>
          <tr className={own.tally} title={say("console.protocols.hint")}>
            <th scope="row">
              {say("console.protocols.supported", { n: data === undefined ? "–" : sum.supported })}
            </th>
            <td data-kind="rehearsal">{data === undefined ? "–" : sum.rehearsal}</td>
            <td data-kind="official">{data === undefined ? "–" : sum.official}</td>
          </tr>
          {all.map((family) => (
            <Rows key={family.family} family={family} frame={frame} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Rows({ family, frame }: { family: Family; frame: number | null }) {
  const { say, word } = useSpeech();
  const { rehearsal, official, variants } = family;
  const only = variants.length === 1 ? word("protocol", variants[0]?.protocol ?? "") : family.family;
  const share = (n: number): string => `${Math.min(1, frame === null || frame === 0 ? 0 : n / frame) * 100}%`;
  return (
    <>
      <tr className={own.family} data-evidenced={rehearsal > 0}>
        <th scope="row">
          {family.family}
          {only !== family.family && <small>{only}</small>}
          {!family.supported && <small>{say("console.protocols.unsupported")}</small>}
          <span className={style.bar} aria-hidden="true">
            <i style={{ width: share(rehearsal) }} />
            <b style={{ width: share(official) }} />
          </span>
        </th>
        <td data-kind="rehearsal">{count(rehearsal)}</td>
        <td data-kind="official">{count(official)}</td>
      </tr>
      {variants.length > 1 &&
        variants.map((variant) => (
          <tr key={variant.protocol} className={own.variant} data-evidenced={variant.rehearsal > 0}>
            <th scope="row">{word("protocol", variant.protocol)}</th>
            <td data-kind="rehearsal">{count(variant.rehearsal)}</td>
            <td data-kind="official">{count(variant.official)}</td>
          </tr>
        ))}
    </>
  );
}
