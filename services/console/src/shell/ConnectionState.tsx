import type { ConnectionState } from "@runcast/client";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ProjectEvents, useMaybeProjectEvents } from "@runcast/react";
import { type ReactNode, createContext, useCallback, useContext, useEffect, useMemo, useRef, useState } from "react";
import { Dot, type Tone } from "../design/Badge";
import { useLocalNow } from "../design/Time";
import { SESSION } from "../session/query";
import { type Me, client } from "../session/session";

export interface ShownConnection {
  state: ConnectionState | null;
  retryNow: () => void;
}

/** Streams that ended because what they showed did. */
const OVER: ReadonlySet<string> = new Set(["complete", "deleted"]);
/** A server may still know a token that was revoked elsewhere: for three seconds, as it says. */
const REMEMBERED_MS = 5_000;
const NOTHING: ShownConnection = { state: null, retryNow: () => undefined };
const StateContext = createContext<ShownConnection>(NOTHING);
const ReportContext = createContext<(shown: ShownConnection) => void>(() => undefined);

/** Lets the frame of the page show the state of a connection that is opened inside it. */
export function ConnectionStates({ children }: { children: ReactNode }) {
  const [shown, report] = useHeld();
  return (
    <ReportContext.Provider value={report}>
      <StateContext.Provider value={shown}>{children}</StateContext.Provider>
    </ReportContext.Provider>
  );
}

const HOLD_MS = 1_000;

/** Each page reports its connection from the start: what passes within a second after a live one is never shown. */
function useHeld(): [ShownConnection, (next: ShownConnection) => void] {
  const [shown, setShown] = useState<ShownConnection>(NOTHING);
  const last = useRef(shown);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const report = useCallback((next: ShownConnection) => {
    clearTimeout(timer.current);
    const show = (): void => {
      last.current = next;
      setShown(next);
    };
    const isPassing = next.state === null || next.state.status === "connecting";
    if (isPassing && last.current.state?.status === "live") timer.current = setTimeout(show, HOLD_MS);
    else show();
  }, []);
  useEffect(() => () => clearTimeout(timer.current), []);
  return [shown, report];
}

/** Stands inside a page's provider and reports its connection to the frame. */
export function ReportConnection() {
  const events = useMaybeProjectEvents();
  return <Report events={events} />;
}

function Report({ events }: { events: ProjectEvents | null }) {
  const state = events?.state ?? null;
  const retryNow = events?.retryNow;
  useReportedConnection(useMemo(() => (retryNow ? { state, retryNow } : null), [state, retryNow]));
  return null;
}

/** Shows this connection in the frame while the page is open. */
export function useReportedConnection(shown: ShownConnection | null): void {
  const report = useContext(ReportContext);
  const state = shown?.state ?? null;
  const retryNow = shown?.retryNow;
  useEffect(() => {
    report(retryNow ? { state, retryNow } : NOTHING);
  }, [report, state, retryNow]);
  useEffect(() => () => report(NOTHING), [report]);
  // A stream that is refused or revoked may mean that the session is over: that is asked again.
  const queries = useQueryClient();
  const isRefused = state?.status === "closed" && !OVER.has(state.reason);
  useEffect(() => {
    if (!isRefused) return undefined;
    const ask = (): void => void queries.invalidateQueries({ queryKey: SESSION });
    ask();
    const again = setTimeout(ask, REMEMBERED_MS);
    return () => clearTimeout(again);
  }, [isRefused, queries]);
  const { data: me } = useQuery<Me | null>({ queryKey: SESSION, enabled: false });
  const refused = useRef<Me | null | undefined>(null);
  useEffect(() => {
    if (!isRefused) refused.current = me;
    else if (me && me !== refused.current) retryNow?.();
  }, [isRefused, me, retryNow]);
}

export function ConnectionBadge() {
  const { state, retryNow } = useContext(StateContext);
  return (
    <div className="flex h-7 items-center gap-2 text-xs" data-testid="connection" role="status">
      {state ? <Words state={state} /> : <Reachability />}
      {state?.status === "reconnecting" && (
        <button type="button" onClick={retryNow} className="font-medium text-accent hover:underline">
          Try now
        </button>
      )}
    </div>
  );
}

const LOOK_MS = 15_000;
const LOOK_AGAIN_MS = 3_000;

/** On a page without a stream: whether the server answers. */
function Reachability() {
  const health = useQuery({
    queryKey: ["health"],
    queryFn: async () => (await client.http.send("GET", "/health")).ok,
    refetchInterval: ({ state }) => (state.status === "error" ? LOOK_AGAIN_MS : LOOK_MS),
    retry: false,
  });
  if (health.isError) return <Mark tone="bad" text="Offline, retrying" />;
  if (health.isPending) return <Mark tone="idle" text="Connecting…" />;
  return <Mark tone="ok" text="Online" />;
}

function Words({ state }: { state: ConnectionState }) {
  if (state.status === "live") return <Mark tone="ok" text="Live" />;
  if (state.status === "connecting") return <Mark tone="idle" text="Connecting…" />;
  if (state.status === "closed") {
    return <Mark tone={state.reason === "complete" ? "ok" : "bad"} text={closedText(state)} />;
  }
  if (state.attempt > 3) return <Mark tone="bad" text="Offline, retrying" />;
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
