/** Whoever signed in with a token can sign out; an anonymous view shows nothing. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { ask } from "../api/client";
import { session } from "../api/queries";
import { useSpeech } from "../catalogue/language";
import style from "./page.module.css";

export function SessionMark() {
  const { say } = useSpeech();
  const client = useQueryClient();
  const { data } = useQuery(session);
  const leave = useMutation({
    mutationFn: () => ask<undefined>("/session", {}, { method: "DELETE" }),
    onSuccess: () => client.resetQueries(),
  });
  if (data?.by !== "token") return null;
  return (
    <button type="button" className={style.session} title={data.label} onClick={() => leave.mutate()}>
      {say("console.login.leave")}
    </button>
  );
}
