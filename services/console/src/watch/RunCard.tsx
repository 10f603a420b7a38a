import { useQuery } from "@tanstack/react-query";
import { type Run, TERMINAL } from "@runcast/client";
import {
  type RefObject,
  memo,
  useCallback,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from "react";
import { Dot } from "../design/Badge";
import { LivenessBadge, StatusBadge, toneOf } from "../design/Status";
import { Lasting } from "../design/Time";
import { cx } from "../design/classes";
import { count } from "../design/format";
import { ProgressBar } from "../runs/ProgressBar";
import { RunLink } from "../runs/RunLink";
import { agentOf, nameOf, shareOf } from "../runs/names";
import { stepOf } from "../runs/steps";
import { usageText } from "../runs/usage";
import { client } from "../session/session";
import { needsYou } from "./need";
import { type Latest, type LatestLines, shownText } from "./latest";

interface RunCardProps {
  run: Run;
  /** The run's project's. */
  slug: string;
  latest: LatestLines;
  /** Whether its lines come by themselves; else the newest is read when there are more. */
  isLive: boolean;
  isChosen: boolean;
  onChoose: (run: Run, isChosen: boolean) => void;
  /** Takes a card of a run that has ended away. */
  onDismiss?: ((id: string) => void) | undefined;
}

/** One run at a glance. Its size never changes, whatever happens in it. */
export const RunCard = memo(function RunCard({ run, slug, latest, isLive, isChosen, onChoose, onDismiss }: RunCardProps) {
  const card = useRef<HTMLLIElement>(null);
  const isVisible = useIsVisible(card);
  const line = useLatest(run, latest, { isLive, isVisible });
  const step = stepOf(run);
  const usage = usageText(run.usage);
  return (
    <li
      ref={card}
      className={cx(
        "relative flex h-36 flex-col rounded-lg border bg-surface shadow-card transition-colors [contain-intrinsic-size:auto_144px] [content-visibility:auto] hover:border-edge",
        isChosen && "border-accent",
        run.status === "failed" && "border-bad",
        needsYou(run) && "border-warn",
      )}
    >
      <div className="flex items-center gap-2 px-3 pt-2.5">
        {run.status === "running" ? (
          <Dot tone={run.liveness === "ok" || run.liveness === null ? "live" : "warn"} pulsing />
        ) : (
          <Dot tone={toneOf(run.status)} />
        )}
        <RunLink
          run={run}
          slug={slug}
          data-card
          className="min-w-0 flex-1 truncate text-sm font-medium after:absolute after:inset-0 after:rounded-lg focus-visible:outline-none focus-visible:after:outline-2 focus-visible:after:outline-accent"
        >
          {nameOf(run)}
        </RunLink>
        <label className="relative z-1 flex size-6 items-center justify-center">
          <input
            type="checkbox"
            checked={isChosen}
            aria-label={`Show ${nameOf(run)} in the stream`}
            title="Show in the stream"
            onChange={(event) => onChoose(run, event.target.checked)}
          />
        </label>
      </div>
      <p className="flex min-w-0 items-center gap-1.5 px-3 text-xs text-muted">
        <span className="truncate">{agentOf(run) ?? "Agent"}</span>
        {step && (
          <>
            <span aria-hidden className="text-faint">
              ·
            </span>
            <span className="truncate">{step}</span>
          </>
        )}
      </p>
      <p
        className={cx(
          "mx-3 mt-2 line-clamp-2 h-9 overflow-hidden font-mono text-xs leading-4.5 [overflow-wrap:anywhere]",
          line?.level === "error" || run.status === "failed" ? "text-bad" : "text-muted",
        )}
      >
        {textOf(run, line)}
      </p>
      <div className="mt-auto flex flex-col gap-1.5 px-3 pb-2.5">
        {/* No track where a run says nothing of its progress: an empty one would look like 0 %. */}
        {shareOf(run) === null ? <span className="h-1" /> : <ProgressBar run={run} />}
        <p className="flex h-5 items-center gap-2 text-2xs text-muted">
          <Lasting from={run.started_at ?? run.created_at} to={run.finished_at} />
          <span className="nums">{linesText(line?.lineNumber ?? run.last_line_number)}</span>
          {usage && <span className="nums truncate">{usage}</span>}
          <State run={run} onDismiss={onDismiss} />
        </p>
      </div>
    </li>
  );
});

function State({ run, onDismiss }: Pick<RunCardProps, "run" | "onDismiss">) {
  return (
    <span className="ml-auto flex gap-1">
      <LivenessBadge liveness={run.liveness} />
      {run.status !== "running" && <StatusBadge status={run.status} />}
      {onDismiss && TERMINAL.has(run.status) && (
        <button
          type="button"
          aria-label={`Dismiss ${nameOf(run)}`}
          title="Dismiss"
          onClick={() => onDismiss(run.id)}
          className="relative z-1 rounded-sm px-1 text-muted hover:bg-hover hover:text-fg"
        >
          ×
        </button>
      )}
    </span>
  );
}

/** What matters most of a run in a line: what it asks, why it failed, what it said last. */
const textOf = (run: Run, line: Latest | null): string => {
  const told = run.attention?.summary ?? run.error;
  if (told) return told;
  return line?.text ?? (run.progress?.message || (run.last_line_number > 0 ? "" : "Waiting for the first line…"));
};

const linesText = (lines: number): string => `${count(lines)} ${lines === 1 ? "line" : "lines"}`;

function useLatest(
  run: Run,
  latest: LatestLines,
  { isLive, isVisible }: { isLive: boolean; isVisible: boolean },
): Latest | null {
  const subscribe = useCallback(
    (listener: () => void) => latest.subscribe(run.id, listener),
    [latest, run.id],
  );
  const line = useSyncExternalStore(subscribe, () => latest.get(run.id));
  // A run that was under way before the page opened has a newest line already.
  const known = line?.lineNumber ?? 0;
  const read = useQuery({
    queryKey: ["newest line", run.id, isLive ? "first" : run.last_line_number],
    queryFn: async () => (await client.logs(run.id, { tail: 1 })).data.logs[0] ?? null,
    enabled: isVisible && (isLive ? known === 0 : true) && run.last_line_number > known,
    staleTime: Infinity,
  });
  const entry = read.data;
  useEffect(() => {
    if (!entry) return;
    const { line_number: lineNumber, message, level } = entry;
    latest.put(run.id, { lineNumber, text: shownText(message), level: level ?? null });
  }, [entry, latest, run.id]);
  return line;
}

/** Whether it is on the screen, or nearly. */
function useIsVisible(element: RefObject<HTMLElement | null>): boolean {
  const [isVisible, setVisible] = useState(false);
  useEffect(() => {
    if (!element.current) return undefined;
    const observer = new IntersectionObserver(
      ([entry]) => setVisible(entry?.isIntersecting ?? false),
      { rootMargin: "200px" },
    );
    observer.observe(element.current);
    return () => observer.disconnect();
  }, [element]);
  return isVisible;
}
