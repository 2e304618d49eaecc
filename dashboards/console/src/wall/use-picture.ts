/** The wall's picture and states: the live stream's, or those of the past second in the address. */
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { absentAt, countAt } from "../api/queries";
import type { DeviceSummary } from "../api/types";
import { utcSecond } from "../format/time";
import { useLive } from "../live/use-live";
import type { Connection, Seen } from "../live/reducer";
import { livePicture, pastPicture, pastStates, type Picture } from "./picture";
import type { Moment } from "./time-travel";

export interface Shown {
  picture: Picture | null;
  states: ReadonlyMap<number, Seen>;
  connection: Connection;
  /** What kept a past second from being shown. */
  error: unknown;
  /** The past second asked for and the one up to which is known, RFC 3339; empty for now. */
  at: string;
  known: string;
  /** The second up to which "known now" knows, RFC 3339. */
  knownNow: string;
  skew: number;
}

const NONE: ReadonlyMap<number, Seen> = new Map();

export function usePicture(moment: Moment, devices: readonly DeviceSummary[]): Shown {
  const live = useLive();
  const past = moment.at !== null;
  const at = moment.at === null ? "" : utcSecond(moment.at);
  const knownNow = useMemo(() => utcSecond(new Date()), [past]);
  const known = moment.known === "then" ? at : knownNow;
  const counted = useQuery({ ...countAt(at, known), enabled: past });
  const official = useQuery({ ...absentAt(at, known, "official"), enabled: past });
  const rehearsal = useQuery({ ...absentAt(at, known, "rehearsal"), enabled: past });
  const picture = useMemo(() => {
    if (!past) return live.counts === null ? null : livePicture(live.counts);
    return counted.data === undefined ? null : pastPicture(counted.data, official.data, rehearsal.data);
  }, [past, live.counts, counted.data, official.data, rehearsal.data]);
  const states = useMemo(() => {
    if (!past) return live.states;
    if (rehearsal.data === undefined) return NONE;
    return pastStates(
      devices.map((device) => device.id),
      rehearsal.data,
    );
  }, [past, live.states, rehearsal.data, devices]);
  return {
    picture,
    states,
    connection: live.connection,
    error: past ? counted.error : null,
    at,
    known: past ? known : "",
    knownNow,
    skew: live.skew,
  };
}
