/** Registering devices from a file: choose, try it dry, mend what is wrong, import. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Button, Upload } from "antd";
import { useState } from "react";
import { Link } from "react-router";
import { address, importBook, Problem } from "../api/client";
import { session } from "../api/queries";
import type { ImportAnswer } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { bytes } from "../format/number";
import { Page } from "../shell/page";
import style from "./book.module.css";
import { Outcome } from "./outcome";

const ACCEPTED = ".xlsx,.csv,.yaml,.yml,.json,.zip";

export default function Book() {
  const { say } = useSpeech();
  const client = useQueryClient();
  const [file, setFile] = useState<File | null>(null);
  const run = useMutation<ImportAnswer, Error, { file: File; dry: boolean }>({
    mutationFn: ({ file: chosen, dry }) => importBook<ImportAnswer>(chosen, dry),
    onSuccess: (answer) => {
      if (answer.applied) void client.invalidateQueries();
    },
  });
  const choose = (chosen: File): void => {
    setFile(chosen);
    run.mutate({ file: chosen, dry: true });
  };
  const who = useQuery(session).data;
  const answer = run.data;
  const ready = file !== null && answer !== undefined && answer.dry_run && answer.errors_total === 0;
  return (
    <Page title={say("console.import.title")} theme="light">
      <div className={style.book}>
        <section className={style.intro}>
          <p>{say("console.import.text")}</p>
          <p className={style.downloads}>
            <a href={address("/book/template.xlsx")} download>
              {say("console.import.template")}
            </a>
            <a href={address("/book/export.xlsx")} download>
              {say("console.import.export")}
            </a>
          </p>
        </section>
        {who?.may_write === false && (
          <p className={style.readonly}>
            {say("console.import.readonly")} <Link to="/login?next=/import">{say("console.login.enter")}</Link>
          </p>
        )}
        <Upload.Dragger
          accept={ACCEPTED}
          showUploadList={false}
          disabled={run.isPending || who?.may_write === false}
          beforeUpload={(chosen) => {
            choose(chosen);
            return false;
          }}
        >
          <p className={style.drop}>{file === null ? say("console.import.drop") : file.name}</p>
          <p className={style.hint}>
            {file === null ? say("console.import.kinds") : say("console.import.other", { size: bytes(file.size) })}
          </p>
        </Upload.Dragger>
        <div role="status" aria-live="polite">
          {run.isPending && <p className={style.hint}>{say("console.import.checking")}</p>}
        </div>
        {run.isError && <Refused error={run.error} />}
        {answer !== undefined && !run.isPending && <Outcome answer={answer} />}
        {ready && (
          <p className={style.actions}>
            <Button
              type="primary"
              size="large"
              data-testid="import"
              onClick={() => run.mutate({ file, dry: false })}
            >
              {say("console.import.apply")}
            </Button>
            <span>{say("console.import.apply.note")}</span>
          </p>
        )}
        {file !== null && answer !== undefined && answer.errors_total > 0 && !run.isPending && (
          <p className={style.actions}>
            <Button onClick={() => run.mutate({ file, dry: true })}>{say("console.import.again")}</Button>
          </p>
        )}
        {answer?.applied === true && (
          <p className={style.actions}>
            <Link to="/devices">{say("console.import.see")}</Link>
          </p>
        )}
      </div>
    </Page>
  );
}

function Refused({ error }: { error: Error }) {
  const { say } = useSpeech();
  const text =
    !(error instanceof Problem) || error.status === 0
      ? say("console.import.unreadable")
      : error.status === 401 || error.status === 403
        ? say("console.import.forbidden")
        : error.message;
  return (
    <div className={style.refused} role="alert">
      {text}
    </div>
  );
}
