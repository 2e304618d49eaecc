/** What the ledger says the device is beside what the device itself says, and the origin that follows. */
import type { DeviceDetail } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { sayOffset } from "../format/age";
import { stamp } from "../format/time";
import { grouped } from "./facts";
import style from "./device.module.css";

export function Identity({ device }: { device: DeviceDetail }) {
  const { say, word } = useSpeech();
  const evidence = device.identity === null ? [] : grouped(device.identity.evidence);
  const attested = device.attestations.at(-1);
  return (
    <section className={style.section}>
      <h2>{say("console.identity.title")}</h2>
      <p className={style.verdict} data-origin={device.origin}>
        <strong>{word("origin", device.origin)}</strong> {say(`console.identity.because.${device.origin}`)}
      </p>
      <h3>{say("console.identity.ledger")}</h3>
      <dl className={style.facts}>
        <Fact name={say("console.identity.origin")} text={word("origin", device.ledger_origin)} />
        <Fact name={say("console.identity.manufacturer")} text={device.manufacturer} />
        <Fact name={say("console.identity.model")} text={device.model} />
        <Fact name={say("console.identity.serial")} text={device.serial_number} />
        <Fact name={say("console.devices.class")} text={word("class", device.device_class)} />
        <Fact name={say("console.identity.equipment")} text={device.equipment && word("equipment", device.equipment)} />
        <Fact
          name={say("console.identity.energy")}
          text={say(device.consumes_energy ? "console.yes" : "console.identity.energy.no")}
        />
        <Fact name={say("console.identity.interval")} text={say("console.age.seconds", { n: device.interval_s })} />
        <Fact name={say("console.identity.window")} text={say("console.age.seconds", { n: device.window_s })} />
        <Fact name={say("console.devices.protocol")} text={family(device, word)} />
        <Fact name={say("console.identity.endpoint")} text={device.endpoint} />
        <Fact name={say("console.identity.gateway")} text={device.gateway ?? ""} />
        <Fact
          name={say("console.identity.attestation")}
          text={
            attested === undefined
              ? say("console.none")
              : say("console.identity.attested", { by: attested.attested_by, on: attested.attested_on })
          }
        />
      </dl>
      <h3>{say("console.identity.says")}</h3>
      {device.identity === null ? (
        <p className={style.quiet}>{say("console.identity.silent")}</p>
      ) : (
        <>
          <dl className={style.facts}>
            <Fact
              name={say("console.identity.implies")}
              text={device.identity_origin === null ? say("console.identity.nothing") : word("origin", device.identity_origin)}
            />
            <Fact name={say("console.identity.observed")} text={stamp(new Date(device.identity.observed_at))} />
          </dl>
          {evidence.map(({ group, facts }) => (
            <Group key={group} name={word("evidence", group === "" ? device.protocol : group)} facts={facts} />
          ))}
        </>
      )}
      <h3>{say("console.clock.title")}</h3>
      {device.clock === null ? <p className={style.quiet}>{say("console.clock.none")}</p> : <Clock clock={device.clock} />}
    </section>
  );
}

/** The variant of a family where it has a name of its own: MQTT, JSON payloads. */
function family(device: DeviceDetail, word: (area: string, word: string) => string): string {
  const variant = word("protocol", device.protocol);
  return variant === device.family ? variant : `${device.family} · ${variant}`;
}

function Group({ name, facts }: { name: string; facts: readonly [string, string][] }) {
  const { word } = useSpeech();
  return (
    <>
      <h4>{name}</h4>
      <dl className={style.facts}>
        {facts.map(([path, text]) => (
          <Fact key={path} name={word("evidence.fact", path)} text={text} />
        ))}
      </dl>
    </>
  );
}

/** How the device's clock, or its server's, differs from the gateway's. */
function Clock({ clock }: { clock: NonNullable<DeviceDetail["clock"]> }) {
  const { say } = useSpeech();
  const facts = { offset: sayOffset(clock.offset_s, say), accuracy: sayOffset(clock.accuracy_s, say) };
  return (
    <dl className={style.facts}>
      <Fact
        name={say("console.clock.offset")}
        text={say(clock.offset_s < 0 ? "console.clock.behind" : "console.clock.ahead", facts)}
      />
      <Fact name={say("console.clock.measured")} text={stamp(new Date(clock.measured_at))} />
    </dl>
  );
}

export function Fact({ name, text }: { name: string; text: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{text === "" ? "–" : text}</dd>
    </div>
  );
}
