import { type LineFilter, NO_FILTER, type Run, TERMINAL } from "@runcast/client";
import { useProjectEvents, useRunLog } from "@runcast/react";
import { type KeyboardEvent, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { count } from "../design/format";
import { useSettled } from "../design/useSettled";
import { useToast } from "../design/Toasts";
import { holdsToken } from "../session/session";
import { LogFooter } from "./LogFooter";
import { LogState } from "./LogState";
import { LogToolbar } from "./LogToolbar";
import type { LogViewOptions } from "./LogView";
import { highlightOf } from "./highlight";
import type { LineRange } from "./permalink";
import { useLogPreferences } from "./preferences";
import { useAgents } from "./useAgents";
import { useChanges } from "./useChanges";
import { useErrors } from "./useErrors";
import { useFilteredLog } from "./useFilteredLog";
import { useLineSelection } from "./useLineSelection";
import { useLogActions } from "./useLogActions";
import { useLogSearch } from "./useLogSearch";
import { useLogView } from "./useLogView";

const TYPING_MS = 150;

export interface LogPanelProps {
  run: Run;
  /** Whether the selected lines stand in the page's address. */
  permalinks?: boolean;
}

/** A run's log: toolbar, lines, and what is going on. */
export function LogPanel({ run, permalinks = false }: LogPanelProps) {
  const { client, isConnected } = useProjectEvents();
  const log = useRunLog(run.id);
  useChanges(log);
  const say = useToast();
  const [preferences, changePreferences] = useLogPreferences();
  const [filter, setFilter] = useState<LineFilter>(NO_FILTER);
  const [onlyMatches, setOnlyMatches] = useState(false);
  const q = useSettled(filter.q, TYPING_MS);
  const wanted = useMemo(() => ({ ...filter, q }), [filter, q]);
  const filtered = useFilteredLog(run.id, log, onlyMatches ? wanted : { ...wanted, q: "" });

  const jump = useRef<(line: number) => void>(() => undefined);
  const onAddress = useCallback((named: LineRange) => jump.current(named[0]), []);
  const { range, setRange, pick } = useLineSelection(permalinks, onAddress);
  const showInContext = useCallback(
    (line: number) => {
      setFilter(NO_FILTER);
      setOnlyMatches(false);
      setRange([line, line]);
    },
    [setRange],
  );
  const agents = useAgents(client, log);
  const lastLine = log?.lastLine ?? 0;
  const digits = Math.max(3, String(lastLine).length);
  const options = useMemo<LogViewOptions>(
    () => ({
      ...preferences,
      digits,
      startedAt: Date.parse(run.started_at ?? run.created_at),
      highlight: highlightOf(filter.q, filter.regex),
      showsAgent: agents.length > 1,
      offersContext: filtered !== null,
      tagOf: null,
      rawHref: (line) => (holdsToken() ? null : `/runs/${run.id}/logs/${line}/raw`),
    }),
    [preferences, digits, run.id, run.started_at, run.created_at, filter.q, filter.regex, filtered, agents.length],
  );
  const shown = { log, filtered, options, folds: preferences.folds, range, onPick: pick, onContext: showInContext };
  const { host, setHost, following, unseen, follow, jumpTo, topLine } = useLogView(shown);
  const go = useCallback(
    (line: number) => {
      setRange([line, line]);
      jumpTo(line);
    },
    [setRange, jumpTo],
  );
  useEffect(() => {
    jump.current = jumpTo;
  }, [jumpTo]);
  const search = useLogSearch(run.id, wanted, topLine, go);
  const actions = useLogActions({ run, log, filtered, range, format: preferences.format });

  const findError = useErrors(client, run.id);
  const nextError = (): void => {
    const after = range?.[1] ?? (following ? 0 : topLine() - 1);
    findError(after).then(
      (line) => (line === null ? say(after === 0 ? "No errors" : "No more errors below") : go(line)),
      (error: unknown) => say((error as Error).message, "bad"),
    );
  };
  useOpening({ isLoaded: log?.isLoaded ?? false, range, permalinks, run, jumpTo, go, findError });

  const onKey = (event: KeyboardEvent): void => {
    if (event.target !== host || event.metaKey || event.ctrlKey || event.altKey) return;
    if (event.key === "End") follow(true);
    else if (event.key === "Home") jumpTo(1, "start");
    else if (event.key === "n") search.step(1);
    else if (event.key === "N") search.step(-1);
    else if (event.key === "e") nextError();
    else if (event.key === "f") follow(!following);
    else if (event.key === "Escape" && range) setRange(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const isOver = TERMINAL.has(run.status);
  return (
    <section aria-label="Log" className="flex h-full min-h-0 flex-col bg-surface" onKeyDown={onKey}>
      <LogToolbar
        agents={agents}
        filter={filter}
        onFilter={setFilter}
        onlyMatches={onlyMatches}
        onOnlyMatches={setOnlyMatches}
        search={search}
        lastLine={lastLine}
        preferences={preferences}
        onPreferences={changePreferences}
        range={range}
        following={following}
        isOver={isOver}
        onFollow={() => follow(isOver || !following)}
        onNextError={nextError}
        actions={actions}
        isFiltered={filtered !== null}
      />
      <div className="relative min-h-0 flex-1">
        <div
          ref={setHost}
          tabIndex={0}
          role="region"
          aria-label="Log lines"
          data-testid="log"
          className="log h-full w-full"
        />
        <LogState log={log} filtered={filtered} run={run} />
        {!following && unseen > 0 && !isOver && (
          <button
            type="button"
            onClick={() => follow(true)}
            className="absolute bottom-4 left-1/2 h-8 -translate-x-1/2 animate-rise rounded-full bg-accent-strong px-4 text-sm font-medium text-white shadow-pop hover:brightness-110"
          >
            {count(unseen)} new {unseen === 1 ? "line" : "lines"} ↓
          </button>
        )}
      </div>
      <LogFooter
        run={run}
        lines={lastLine}
        firstLine={log?.firstLine ?? 1}
        shown={filtered ? filtered.length : null}
        hasAllShown={filtered?.hasAll ?? true}
        leavesOlderOut={filtered?.isFull ?? false}
        isConnected={isConnected}
        isLoaded={log?.isLoaded ?? false}
        error={filtered?.error ?? log?.error ?? null}
        following={following}
        range={range}
        saysError={!permalinks}
      />
    </section>
  );
}

interface Opening {
  isLoaded: boolean;
  range: LineRange | null;
  permalinks: boolean;
  run: Run;
  jumpTo: (line: number) => void;
  go: (line: number) => void;
  findError: (after: number) => Promise<number | null>;
}

/** Where a log opens: at the lines that the address names, a failed run's at its first error, else its end. */
function useOpening({ isLoaded, range, permalinks, run, jumpTo, go, findError }: Opening): void {
  const isOpened = useRef(false);
  useEffect(() => {
    if (!isLoaded || isOpened.current) return;
    isOpened.current = true;
    if (!permalinks) return;
    if (range) jumpTo(range[0]);
    else if (run.status === "failed") {
      // Where it can't be found the log simply opens at its end.
      void findError(0).then((line) => line !== null && go(line), () => undefined);
    }
  }, [isLoaded, permalinks, range, run.status, jumpTo, go, findError]);
}
