/** Asks for a token where the API wants one; the API keeps it in a cookie that no script can read. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Button, ConfigProvider, Input } from "antd";
import { type FormEvent, useEffect, useState } from "react";
import { useNavigate, useSearchParams } from "react-router";
import { post, Problem } from "../api/client";
import type { Session } from "../api/types";
import { useSpeech } from "../catalogue/language";
import { LanguageSwitch } from "../shell/language-switch";
import { ANT_THEMES } from "../theme";
import style from "./login.module.css";

/** A path of this console; everything else leads to the wall. */
function ownPath(next: string | null): string {
  return next !== null && /^\/(?!\/)/.test(next) ? next : "/";
}

export default function Login() {
  const { say } = useSpeech();
  const client = useQueryClient();
  const navigate = useNavigate();
  const [search] = useSearchParams();
  const [token, setToken] = useState("");
  const login = useMutation({
    mutationFn: () => post<Session>("/session", { token: token.trim() }),
    onSuccess: async () => {
      await client.resetQueries();
      if (location.pathname === "/login") void navigate(ownPath(search.get("next")), { replace: true });
    },
  });
  useEffect(() => {
    document.title = say("console.title", { page: say("console.login.title") });
  }, [say]);
  const refused = login.error instanceof Problem && login.error.status !== 0;
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (token.trim() !== "") login.mutate();
  };
  return (
    <ConfigProvider theme={ANT_THEMES.dark} button={{ autoInsertSpace: false }}>
      <main className={`page ${style.login}`} data-theme="dark">
        <form onSubmit={submit} aria-labelledby="login-title">
          <img src="/icon.svg" alt="" width="40" height="40" />
          <h1 id="login-title">{say("console.login.title")}</h1>
          <p>{say("console.login.text")}</p>
          <label htmlFor="token">{say("console.login.token")}</label>
          <Input.Password
            id="token"
            size="large"
            autoFocus
            autoComplete="current-password"
            value={token}
            onChange={(event) => setToken(event.target.value)}
            status={login.isError ? "error" : ""}
            aria-describedby="login-error"
          />
          <p id="login-error" className={style.error} role="alert">
            {login.isError && say(refused ? "console.login.refused" : "console.error.unreachable")}
          </p>
          <Button type="primary" size="large" htmlType="submit" loading={login.isPending} disabled={token.trim() === ""}>
            {say("console.login.enter")}
          </Button>
          <div className={style.language}>
            <LanguageSwitch />
          </div>
        </form>
      </main>
    </ConfigProvider>
  );
}
