/** Protocol families for the wall: what is supported, and what counted devices evidence in either scope; pure. */
import type { ProtocolCounts } from "../api/types";

export interface Variant {
  protocol: string;
  rehearsal: number;
  official: number;
}

export interface Family {
  family: string;
  supported: boolean;
  rehearsal: number;
  official: number;
  variants: Variant[];
}

export interface Tally {
  supported: number;
  rehearsal: number;
  official: number;
}

const ORDER = ["OPC UA", "Modbus", "MQTT"];

/** Every family that is supported or counted; the guideline's three first, each with its variants. */
export function families(counted: ProtocolCounts): Family[] {
  const supported = new Map(counted.supported.map(({ family, protocols }) => [family, protocols]));
  const { rehearsal, official } = counted;
  const names = new Set([...supported.keys(), ...rehearsal.families.map(({ family }) => family)]);
  const rank = (name: string): number => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);
  return [...names]
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b))
    .map((family) => {
      const practised = rehearsal.families.find((one) => one.family === family);
      const counts = official.families.find((one) => one.family === family);
      const of = (scope: typeof practised, protocol: string): number =>
        scope?.variants.find((one) => one.protocol === protocol)?.devices ?? 0;
      const spoken = new Set([
        ...(supported.get(family) ?? []),
        ...[practised, counts].flatMap((scope) => scope?.variants.map(({ protocol }) => protocol) ?? []),
      ]);
      return {
        family,
        supported: supported.has(family),
        rehearsal: practised?.devices ?? 0,
        official: counts?.devices ?? 0,
        variants: [...spoken]
          .map((protocol) => ({ protocol, rehearsal: of(practised, protocol), official: of(counts, protocol) }))
          .sort((a, b) => b.rehearsal - a.rehearsal || a.protocol.localeCompare(b.protocol)),
      };
    });
}

/** How many families are supported, and how many of all are evidenced by at least one counted device. */
export function tally(all: readonly Family[]): Tally {
  const many = (is: (family: Family) => boolean): number => all.filter(is).length;
  return {
    supported: many(({ supported }) => supported),
    rehearsal: many(({ rehearsal }) => rehearsal > 0),
    official: many(({ official }) => official > 0),
  };
}
