import type { ConnectionState } from "@runcast/client";
import { useQueryClient } from "@tanstack/react-query";
import { type ProjectEvents, useMaybeProjectEvents } from "@runcast/react";
import { type ReactNode, createContext, useContext, useEffect, useState } from "react";
import { Dot, type Tone } from "../design/Badge";
import { useLocalNow } from "../design/Time";
import { SESSION } from "../session/SessionProvider";

interface Shown {
  state: ConnectionState | null;
  retryNow: () => void;
}

/** Streams that ended because what they showed did. */
const OVER: ReadonlySet<string> = new Set(["complete", "deleted"]);
const NOTHING: Shown = { state: null, retryNow: () => undefined };
const StateContext = createContext<Shown>(NOTHING);
const ReportContext = createContext<(shown: Shown) => void>(() => undefined);

/** Lets the frame of the page show the state of a connection that is opened inside it. */
export function ConnectionStates({ children }: { children: ReactNode }) {
  const [shown, setShown] = useState<Shown>(NOTHING);
  return (
    <ReportContext.Provider value={setShown}>
      <StateContext.Provider value={shown}>{children}</StateContext.Provider>
    </ReportContext.Provider>
  );
}

/** Stands inside a page's provider and reports its connection to the frame. */
export function ReportConnection() {
  const events = useMaybeProjectEvents();
  return <Report events={events} />;
}

function Report({ events }: { events: ProjectEvents | null }) {
  const report = useContext(ReportContext);
  const state = events?.state ?? null;
  const retryNow = events?.retryNow;
  useEffect(() => {
    report(retryNow ? { state, retryNow } : NOTHING);
  }, [report, state, retryNow]);
  useEffect(() => () => report(NOTHING), [report]);
  // A stream that is refused or revoked may mean that the session is over: that is asked anew.
  const queries = useQueryClient();
  const isRefused = state?.status === "closed" && !OVER.has(state.reason);
  useEffect(() => {
    if (isRefused) void queries.invalidateQueries({ queryKey: SESSION });
  }, [isRefused, queries]);
  return null;
}

export function ConnectionBadge() {
  const { state, retryNow } = useContext(StateContext);
  if (!state) return null;
  return (
    <div className="flex h-7 items-center gap-2 text-xs" data-testid="connection" role="status">
      <Words state={state} />
      {state.status === "reconnecting" && (
        <button type="button" onClick={retryNow} className="font-medium text-accent hover:underline">
          Try now
        </button>
      )}
    </div>
  );
}

function Words({ state }: { state: ConnectionState }) {
  if (state.status === "live") return <Mark tone="ok" text="Live" />;
  if (state.status === "connecting") return <Mark tone="idle" text="Connecting…" />;
  if (state.status === "closed") {
    return <Mark tone={state.reason === "complete" ? "ok" : "bad"} text={closedText(state)} />;
  }
  if (state.attempt > 3) return <Mark tone="bad" text="Offline: polling" />;
  return <Countdown until={state.retryAt} />;
}

function closedText(state: ConnectionState & { status: "closed" }): string {
  const texts: Record<number, string> = { 401: "Signed out", 403: "No access", 404: "Not here" };
  const reasons: Record<string, string> = {
    complete: "Complete",
    deleted: "Deleted",
    revoked: "Access ended",
  };
  return texts[state.problem?.status ?? 0] ?? reasons[state.reason] ?? "Closed";
}

function Countdown({ until }: { until: number }) {
  const left = Math.max(0, Math.ceil((until - useLocalNow()) / 1000));
  return <Mark tone="warn" text={left > 0 ? `Reconnecting in ${left} s` : "Reconnecting…"} />;
}

function Mark({ tone, text }: { tone: Tone; text: string }) {
  return (
    <span className="flex items-center gap-1.5 whitespace-nowrap text-muted">
      <Dot tone={tone} pulsing={tone === "warn"} />
      {text}
    </span>
  );
}
