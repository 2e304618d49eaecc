/**
 * The live stream: an EventSource on /live whose events go through the reducer, shared by whoever looks.
 *
 * The browser itself reconnects with Last-Event-ID; where it gives up (an answer that is no stream), this opens
 * anew after a pause that differs from viewer to viewer, and reports a refused session, so that the login page can appear.
 */
import { address, ask, Problem } from "../api/client";
import type { LiveCount, LiveStates } from "../api/types";
import { type Live, type LiveEvent, NOTHING, reduce } from "./reducer";

const REOPEN_MS = 3000;
const TICK_MS = 1000;

export class LiveStream {
  private live: Live = NOTHING;
  private source: EventSource | null = null;
  private timer: number | undefined;
  private reopening: number | undefined;
  private readonly listeners = new Set<() => void>();

  constructor(private readonly refused: () => void) {}

  /** Listen to changes; the stream is open while anybody listens. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    if (this.listeners.size === 1) this.open();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) this.close();
    };
  };

  readonly snapshot = (): Live => this.live;

  private readonly take = (event: LiveEvent): void => {
    const next = reduce(this.live, event, Date.now());
    if (next === this.live) return;
    this.live = next;
    for (const listener of this.listeners) listener();
  };

  private readonly open = (): void => {
    const source = new EventSource(address("/live"));
    this.source = source;
    source.addEventListener("count", (message) => {
      this.take({ kind: "count", counts: JSON.parse(message.data as string) as LiveCount });
    });
    source.addEventListener("states", (message) => {
      this.take({ kind: "states", change: JSON.parse(message.data as string) as LiveStates });
    });
    source.addEventListener("error", () => {
      this.take({ kind: "lost" });
      if (source.readyState === EventSource.CLOSED) void this.reopen();
    });
    this.timer ??= window.setInterval(() => this.take({ kind: "tick" }), TICK_MS);
  };

  private async reopen(): Promise<void> {
    this.source?.close();
    this.source = null;
    try {
      await ask("/rulebooks");
    } catch (error) {
      if (error instanceof Problem && error.status === 401) this.refused();
    }
    window.clearTimeout(this.reopening);
    if (this.listeners.size > 0) this.reopening = window.setTimeout(this.open, REOPEN_MS * (0.5 + Math.random()));
  }

  private close(): void {
    this.source?.close();
    this.source = null;
    window.clearInterval(this.timer);
    window.clearTimeout(this.reopening);
    this.timer = undefined;
    this.live = NOTHING;
  }
}
