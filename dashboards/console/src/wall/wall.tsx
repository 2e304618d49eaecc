/** The wall (大屏): how many devices are connected, in both scopes, now or at a past second. */
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link } from "react-router";
import { enterprises, roster, rulebooks } from "../api/queries";
import { CLASSES, type DeviceSummary, ORIGINS } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { sayReadingAge } from "../format/age";
import { count } from "../format/number";
import { clock } from "../format/time";
import { newestAge } from "../live/reducer";
import { useNow } from "../live/use-live";
import { Page } from "../shell/page";
import { Empty, Failure } from "../shell/states";
import { Breakdown } from "./breakdown";
import { Exclusions } from "./exclusions";
import { Field } from "./field";
import { GapTicker } from "./gap-ticker";
import { Hero } from "./hero";
import { Legend } from "./legend";
import { MomentBar } from "./moment-bar";
import type { Group } from "./packing";
import { type Picture, rows, topRows } from "./picture";
import { Protocols } from "./protocols";
import { Tiers } from "./tiers";
import { useMoment } from "./time-travel";
import { Trend } from "./trend";
import { usePicture } from "./use-picture";
import style from "./wall.module.css";
import { WallTools } from "./wall-tools";

const NO_DEVICES: readonly DeviceSummary[] = [];
const REST = "…";
const MOST_ENTERPRISES = 7;
const LOOK_BACK_MS = 60_000;

export default function Wall() {
  const { say } = useSpeech();
  const moment = useMoment();
  const devices = useQuery({ ...roster, refetchInterval: 60_000 }).data ?? NO_DEVICES;
  const tenants = useQuery(enterprises).data?.items;
  const tiers = useQuery(rulebooks).data?.items[0]?.tiers ?? [];
  const thresholds = useMemo(() => tiers.map((tier) => tier.devices), [tiers]);
  const shown = usePicture(moment, devices);
  const { picture } = shown;
  const now = useNow(1000, shown.skew);
  const byNumber = useMemo(() => new Map(devices.map((device) => [device.id, device])), [devices]);
  const names = useMemo(() => new Map(devices.map((device) => [device.id, device.name])), [devices]);
  const enterpriseName = useMemo(() => {
    const known = new Map(tenants?.map((tenant) => [tenant.code, tenant.name]));
    return (code: string): string => known.get(code) ?? code;
  }, [tenants]);
  const groups = useGroups(devices, enterpriseName);
  const stale = moment.at === null && shown.connection === "stale";
  const { at } = moment;

  return (
    <Page
      title={say("console.wall.title")}
      theme="dark"
      wall
      tools={<WallTools past={at !== null} onLookBack={() => moment.go(new Date(now - LOOK_BACK_MS), "now")} />}
    >
      {at !== null && <MomentBar moment={{ ...moment, at }} knownNow={shown.knownNow} />}
      {stale && picture !== null && (
        <p className={style.stale} role="alert">
          {say("console.stale", { at: clock(new Date(picture.at)) })}
        </p>
      )}
      {shown.error !== null && <Failure error={shown.error} />}
      <div className={style.wall} data-stale={stale} data-testid="wall">
        <div className={style.top}>
          <Hero kind="rehearsal" scope={picture?.rehearsal ?? null} />
          <Hero kind="official" scope={picture?.official ?? null} />
          <Tiers
            tiers={tiers}
            rehearsal={picture?.rehearsal.connected ?? null}
            official={picture?.official.connected ?? null}
          />
          <Trend tiers={thresholds} until={at?.getTime() ?? null} onPick={(picked) => moment.go(picked, "now")} />
        </div>
        <section className={style.devices}>
          <header>
            <h2>
              {say("console.field.title", { n: count(picture?.frame) })}
              {at === null && shown.states.size > 0 && (
                <span>{say("console.reading.last", { age: sayReadingAge(newestAge(shown.states, now), say) })}</span>
              )}
            </h2>
            <Legend byState={picture?.byState ?? null} />
          </header>
          {picture !== null && picture.frame === 0 ? (
            <Empty>
              <p>{say("console.field.empty")}</p>
              <Link to="/import">{say("console.nav.import")}</Link>
            </Empty>
          ) : (
            <Field groups={groups} devices={byNumber} states={shown.states} now={now} stale={stale} />
          )}
        </section>
        <Side
          picture={picture}
          at={shown.at}
          known={shown.known}
          enterpriseName={enterpriseName}
          tenants={tenants}
          names={names}
        />
      </div>
    </Page>
  );
}

/** Devices by enterprise, in the order of their codes. */
function useGroups(devices: readonly DeviceSummary[], name: (code: string) => string): Group[] {
  return useMemo(() => {
    const groups = new Map<string, DeviceSummary[]>();
    for (const device of devices) {
      if (device.retired) continue;
      const group = groups.get(device.enterprise);
      if (group === undefined) groups.set(device.enterprise, [device]);
      else group.push(device);
    }
    return [...groups]
      .sort((a, b) => b[1].length - a[1].length || a[0].localeCompare(b[0]))
      .map(([key, members]) => ({
        key,
        label: name(key),
        devices: members.sort((a, b) => a.code.localeCompare(b.code, "en", { numeric: true })).map(({ id }) => id),
      }));
  }, [devices, name]);
}

interface SideProps {
  picture: Picture | null;
  /** The past second and the one up to which is known, RFC 3339; empty for now. */
  at: string;
  known: string;
  enterpriseName: (code: string) => string;
  tenants: readonly { code: string; devices: number }[] | undefined;
  names: ReadonlyMap<number, string>;
}

/** What stands beside the field: breakdowns, reasons, gaps. */
function Side({ picture, at, known, enterpriseName, tenants, names }: SideProps) {
  const { say, word } = useSpeech();
  const registered = new Map(tenants?.map((tenant) => [tenant.code, tenant.devices]));
  const frame = picture?.frame ?? null;
  const rehearsal = picture?.rehearsal;
  const official = picture?.official;
  const byEnterprise = topRows(
    rows(rehearsal?.byEnterprise ?? {}, official?.byEnterprise ?? {}, (key) => registered.get(key) ?? null),
    MOST_ENTERPRISES,
    REST,
  );
  const byOrigin = picture === null ? {} : picture.connectedByOrigin;
  return (
    <aside className={style.side}>
      <div className={style.stack}>
        <Protocols at={at} known={known} frame={frame} />
        <Breakdown
          title={say("console.by.class")}
          rows={rows(rehearsal?.byClass ?? {}, official?.byClass ?? {}, () => frame, CLASSES)}
          name={(key) => word("class", key)}
        />
      </div>
      <Breakdown
        title={say("console.by.enterprise")}
        rows={byEnterprise.shown}
        name={(key) => (key === REST ? say("console.by.rest", { n: byEnterprise.rest }) : enterpriseName(key))}
        whole
      />
      <Breakdown
        title={say("console.by.origin")}
        rows={rows(byOrigin, { real: official?.connected ?? 0 }, () => frame, ORIGINS)}
        name={(key) => word("origin", key)}
      />
      <Exclusions picture={picture} />
      <GapTicker names={names} most={6} />
    </aside>
  );
}
