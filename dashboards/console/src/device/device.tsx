/** One device: what it is, whether it is there, what it says now and said before. */
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useParams } from "react-router";
import { device as deviceQuery, enterprises, latest } from "../api/queries";
import type { DeviceDetail, Latest } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { sayAge } from "../format/age";
import { near } from "../format/time";
import { useLive, useNow } from "../live/use-live";
import { Page } from "../shell/page";
import { Failure, Waiting } from "../shell/states";
import { StateWord } from "../shell/state-word";
import style from "./device.module.css";
import { Diagnostics } from "./diagnostics";
import { Gaps } from "./gaps";
import { Identity } from "./identity";
import { PresenceHistory } from "./presence-history";
import { Trends } from "./trends";
import { drawable, Values } from "./values";

const MOST_TRENDS = 4;

export default function Device() {
  const id = Number(useParams().id);
  const { say } = useSpeech();
  const { data, error, isPending, refetch } = useQuery({ ...deviceQuery(id), refetchInterval: 5000 });
  return (
    <Page title={data?.name ?? say("console.device.number", { n: id })} theme="light">
      {isPending && <Waiting />}
      {error !== null && <Failure error={error} retry={() => void refetch()} />}
      {data !== undefined && <Detail key={data.id} device={data} />}
    </Page>
  );
}

function Detail({ device }: { device: DeviceDetail }) {
  const { say } = useSpeech();
  const values = useQuery(latest(device.id));
  const [chosen, setChosen] = useState<string[] | null>(null);
  const trends = chosen ?? device.tags.filter(drawable).slice(0, 1).map((tag) => tag.name);
  const toggle = (tag: string): void =>
    setChosen(trends.includes(tag) ? trends.filter((name) => name !== tag) : [...trends, tag].slice(-MOST_TRENDS));
  return (
    <>
      <Status device={device} age_s={newest(values.data)} />
      <div className={style.columns}>
        <div className={style.main}>
          <PresenceHistory device={device.id} />
          <section className={style.section}>
            <h2>{say("console.values.title")}</h2>
            {values.isError && <Failure error={values.error} />}
            <Values
              tags={device.tags}
              latest={values.data}
              window_s={device.report_mode === "on_change" ? null : device.window_s}
              chosen={trends}
              onToggle={toggle}
            />
            {device.report_mode === "on_change" && <p className={style.quiet}>{say("console.values.on-change")}</p>}
          </section>
          <Trends device={device.id} tags={device.tags.filter((tag) => trends.includes(tag.name))} />
        </div>
        <aside className={style.aside}>
          <Identity device={device} />
          <Diagnostics device={device.id} />
          <Gaps device={device.id} />
        </aside>
      </div>
    </>
  );
}

/** Age of the newest of a device's values, s; null where there is none. */
function newest(values: Latest | undefined): number | null {
  const ages = values?.readings.flatMap(({ age_s }) => (age_s === null ? [] : [age_s])) ?? [];
  return ages.length === 0 ? null : Math.min(...ages);
}

/** The line under the name: state, since when and why, age of the last reading, where it belongs. */
function Status({ device, age_s }: { device: DeviceDetail; age_s: number | null }) {
  const { say, reason, word } = useSpeech();
  const live = useLive();
  const tenant = useQuery(enterprises).data?.items.find(({ code }) => code === device.enterprise);
  const site = tenant?.sites.find(({ code }) => code === device.site);
  const platform = useNow(1000, live.skew);
  const seen = live.connection === "live" ? live.states.get(device.id) : undefined;
  const state = seen?.state ?? device.state;
  return (
    <div className={style.status}>
      <strong>
        <StateWord state={state} />
      </strong>
      {state === device.state && device.since !== null && (
        <span>{say("console.device.since", { at: near(new Date(device.since), new Date(platform)) })}</span>
      )}
      {state === device.state && device.reason !== "" && state !== "connected" && <span>{reason(device.reason)}</span>}
      <span>{say("console.reading.last", { age: sayAge(age_s, say) })}</span>
      <span className={style.path}>
        <Link to={`/devices?enterprise=${encodeURIComponent(device.enterprise)}`}>
          {tenant?.name ?? device.enterprise}
        </Link>
        {device.site !== null && ` / ${site?.name ?? device.site}`} / {device.code}
      </span>
      <span className={style.origin} data-origin={device.origin}>
        {say("console.device.origin", { origin: word("origin", device.origin) })}
      </span>
      {device.retired && <span className={style.retired}>{say("console.device.retired")}</span>}
    </div>
  );
}
