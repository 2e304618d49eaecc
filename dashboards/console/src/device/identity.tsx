/** What the ledger says the device is beside what the device itself says, and the origin that follows. */
import type { DeviceDetail } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { stamp } from "../format/time";
import { facts } from "./facts";
import style from "./device.module.css";

export function Identity({ device }: { device: DeviceDetail }) {
  const { say, word } = useSpeech();
  const evidence = device.identity === null ? [] : facts(device.identity.evidence);
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
        <Fact name={say("console.devices.protocol")} text={device.protocol} />
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
        <dl className={style.facts}>
          <Fact
            name={say("console.identity.implies")}
            text={device.identity_origin === null ? say("console.identity.nothing") : word("origin", device.identity_origin)}
          />
          {evidence.map(([name, text]) => (
            <Fact key={name} name={name} text={text} />
          ))}
          <Fact name={say("console.identity.observed")} text={stamp(new Date(device.identity.observed_at))} />
        </dl>
      )}
    </section>
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
