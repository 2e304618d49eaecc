/** Certificates that servers showed to a gateway: those that wait are trusted or refused here, by thumbprint. */
import { useMutation, useQueries, useQuery, useQueryClient } from "@tanstack/react-query";
import { Button, Popconfirm } from "antd";
import { post, Problem } from "../api/client";
import { certificates, gatewayList, session } from "../api/queries";
import type { Certificate } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { stamp } from "../format/time";
import style from "./gateways.module.css";

const PROTOCOL = "opcua";
const FIRST = ["waiting", "refused", "trusted"];

interface Shown {
  gateway: number;
  name: string;
  certificate: Certificate;
}

export function Certificates() {
  const { say } = useSpeech();
  const watching = (useQuery(gatewayList).data?.items ?? []).filter(({ lease }) => lease === "watching");
  const asked = useQueries({ queries: watching.map(({ id }) => certificates(id, PROTOCOL)) });
  const silent = watching.filter((_, index) => asked[index]?.isError === true).map(({ name }) => name);
  const shown = watching
    .flatMap(({ id, name }, index): Shown[] =>
      (asked[index]?.data?.items ?? []).map((certificate) => ({ gateway: id, name, certificate })),
    )
    .sort((a, b) => FIRST.indexOf(a.certificate.state) - FIRST.indexOf(b.certificate.state));
  return (
    <section data-testid="certificates">
      <h2>{say("console.certificates.title")}</h2>
      <p className={style.explain}>{say("console.certificates.explain")}</p>
      {silent.length > 0 && (
        <p className={style.explain}>{say("console.certificates.silent", { gateways: silent.join(", ") })}</p>
      )}
      {shown.length === 0 && silent.length === 0 && <p className={style.explain}>{say("console.certificates.none")}</p>}
      {shown.length > 0 && (
        <div className={style.scroll} role="region" aria-label={say("console.certificates.title")} tabIndex={0}>
          <table className={style.table}>
            <thead>
              <tr>
                <th scope="col">{say("console.certificates.subject")}</th>
                <th scope="col">{say("console.certificates.state")}</th>
                <th scope="col">{say("console.certificates.thumbprint")}</th>
                <th scope="col">{say("console.certificates.valid")}</th>
                <th scope="col">{say("console.certificates.seen")}</th>
                <th scope="col">{say("console.certificates.decision")}</th>
              </tr>
            </thead>
            <tbody>
              {shown.map((one) => (
                <Row key={`${one.gateway} ${one.certificate.thumbprint}`} {...one} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function Row({ gateway, name, certificate }: Shown) {
  const { say } = useSpeech();
  const { thumbprint, state } = certificate;
  return (
    <tr>
      <th scope="row">
        {certificate.subject}
        <small className={style.below}>
          {certificate.endpoint} · {name}
        </small>
      </th>
      <td data-certificate={state}>{say(`console.certificates.${state}`)}</td>
      <td title={`SHA-256 ${certificate.sha256}`}>
        <code>{spaced(thumbprint)}</code>
      </td>
      <td>
        {stamp(new Date(certificate.not_before))}
        <small className={style.below}>{say("console.certificates.until", { at: stamp(new Date(certificate.not_after)) })}</small>
      </td>
      <td>{stamp(new Date(certificate.seen))}</td>
      <td>
        <Decide gateway={gateway} certificate={certificate} />
      </td>
    </tr>
  );
}

function Decide({ gateway, certificate }: { gateway: number; certificate: Certificate }) {
  const { say } = useSpeech();
  const client = useQueryClient();
  const who = useQuery(session).data;
  const decide = useMutation<Certificate, Error, boolean>({
    mutationFn: (trust) =>
      post(`/gateways/${gateway}/certificates/${certificate.thumbprint}`, { protocol: PROTOCOL, trust }),
    onSuccess: () => client.invalidateQueries({ queryKey: certificates(gateway, PROTOCOL).queryKey }),
  });
  if (who?.may_write !== true) return <>{say("console.certificates.readonly")}</>;
  return (
    <span className={style.decide}>
      {certificate.state !== "trusted" && (
        <Popconfirm
          title={say("console.certificates.compare")}
          description={spaced(certificate.thumbprint)}
          okText={say("console.certificates.trust")}
          cancelText={say("console.cancel")}
          onConfirm={() => decide.mutate(true)}
        >
          <Button loading={decide.isPending}>{say("console.certificates.trust")}</Button>
        </Popconfirm>
      )}
      {certificate.state !== "refused" && (
        <Button danger loading={decide.isPending} onClick={() => decide.mutate(false)}>
          {say("console.certificates.refuse")}
        </Button>
      )}
      {decide.isError && (
        <small role="alert">{decide.error instanceof Problem ? decide.error.message : say("console.error.unreachable")}</small>
      )}
    </span>
  );
}

/** A thumbprint in groups of four, as people compare it. */
function spaced(thumbprint: string): string {
  return thumbprint.replace(/(.{4})(?=.)/g, "$1 ");
}
