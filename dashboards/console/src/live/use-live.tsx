/** The live picture, for components. */
import { useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { session } from "../api/queries";
import type { Live } from "./reducer";
import { LiveStream } from "./stream";

const Context = createContext<LiveStream | null>(null);

export function LiveProvider({ children }: { children: ReactNode }) {
  const client = useQueryClient();
  const stream = useMemo(
    () => new LiveStream(() => void client.invalidateQueries({ queryKey: session.queryKey })),
    [client],
  );
  return <Context.Provider value={stream}>{children}</Context.Provider>;
}

export function useLive(): Live {
  const stream = useContext(Context);
  if (stream === null) throw new Error("useLive needs a LiveProvider around it");
  return useSyncExternalStore(stream.subscribe, stream.snapshot);
}

/** The platform's time now (ms since 1970), moving every `every_ms`. */
export function useNow(every_ms = 1000, skew = 0): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = window.setInterval(() => setNow(Date.now()), every_ms);
    return () => window.clearInterval(timer);
  }, [every_ms]);
  return now + skew;
}
