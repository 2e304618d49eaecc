/** Lets nobody past whom the API does not know: shows the login page instead. */
import { useQuery } from "@tanstack/react-query";
import { lazy, type ReactNode, Suspense } from "react";
import { Problem } from "../api/client";
import { session } from "../api/queries";
import { Waiting } from "../shell/states";

const Login = lazy(() => import("./login"));

export function Gate({ children }: { children: ReactNode }) {
  const { data, error, isPending } = useQuery(session);
  const refused = data?.by === "nobody" || (error instanceof Problem && error.status === 401);
  if (isPending) return <Waiting />;
  if (refused) {
    return (
      <Suspense fallback={<Waiting />}>
        <Login />
      </Suspense>
    );
  }
  return children;
}
