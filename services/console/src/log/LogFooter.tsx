import { type Run, TERMINAL } from "@runcast/client";
import { useEffect, useRef, useState } from "react";
import { Dot, type Tone } from "../design/Badge";
import { count } from "../design/format";
import type { LineRange } from "./permalink";

interface LogFooterProps {
  run: Run;
  lines: number;
  /** How many lines a filter shows, or null without one. */
  shown: number | null;
  hasAllShown: boolean;
  /** Whether older lines that the filter finds are left out, because there is no room for them. */
  leavesOlderOut: boolean;
  isConnected: boolean;
  /** The first line that is still kept. */
  firstLine: number;
  /** Whether the log's length is known. */
  isLoaded: boolean;
  error: Error | null;
  following: boolean;
  range: LineRange | null;
  /** Whether a failed run's error is said here, and not elsewhere on the page. */
  saysError: boolean;
}

export function LogFooter(props: LogFooterProps) {
  const { lines, firstLine, shown, hasAllShown, range, following } = props;
  const state = stateOf(props);
  return (
    <footer className="flex h-8 shrink-0 items-center gap-3 border-t px-3 text-xs text-muted">
      <span className="flex items-center gap-1.5" data-testid="log-state">
        <Dot tone={state.tone} pulsing={state.tone === "live"} />
        {state.text}
      </span>
      {state.detail && <span className="min-w-0 truncate text-bad">{state.detail}</span>}
      <span className="nums ml-auto whitespace-nowrap">
        {range && `${rangeText(range)} selected · `}
        {firstLine > 1 && `lines 1–${count(firstLine - 1)} were removed by retention · `}
        {props.leavesOlderOut && "older matches aren’t shown; the download has them · "}
        {shown !== null && `${count(shown)}${hasAllShown ? "" : "+"} of `}
        {count(lines)} {lines === 1 ? "line" : "lines"}
      </span>
      {!TERMINAL.has(props.run.status) && <span className="hidden whitespace-nowrap sm:inline">
        {following ? "Following" : "Paused"}
      </span>}
      <Announcer lines={lines} isStreaming={state.tone === "live" && props.isLoaded} />
    </footer>
  );
}

function stateOf({ run, isConnected, error, saysError }: LogFooterProps): {
  tone: Tone;
  text: string;
  detail?: string;
} {
  const isOver = TERMINAL.has(run.status);
  // While the connection is away requests fail too: it is the reason, and says so.
  if (error && (isConnected || isOver)) return { tone: "bad", text: "Error", detail: error.message };
  if (run.status === "failed") return { tone: "bad", text: "Failed", ...(run.error && saysError ? { detail: run.error } : {}) };
  if (run.status === "cancelled") return { tone: "idle", text: "Cancelled" };
  if (isOver) return { tone: "ok", text: "Complete" };
  if (!isConnected) return { tone: "warn", text: "Reconnecting…" };
  if (run.status === "queued") return { tone: "idle", text: "Queued" };
  return { tone: "live", text: "Streaming" };
}

const rangeText = ([from, to]: LineRange): string =>
  from === to ? `line ${count(from)}` : `lines ${count(from)}–${count(to)}`;

const ANNOUNCE_MS = 10_000;

/** Tells a screen reader now and then how far the log has come; never line by line. */
function Announcer({ lines, isStreaming }: { lines: number; isStreaming: boolean }) {
  const [text, setText] = useState("");
  const current = useRef(lines);
  useEffect(() => {
    current.current = lines;
  }, [lines]);
  useEffect(() => {
    if (!isStreaming) return undefined;
    let said = current.current;
    const timer = setInterval(() => {
      const fresh = current.current - said;
      if (fresh > 0) setText(`${count(fresh)} new lines`);
      said = current.current;
    }, ANNOUNCE_MS);
    return () => clearInterval(timer);
  }, [isStreaming]);
  return (
    <span role="status" className="sr-only">
      {text}
    </span>
  );
}
