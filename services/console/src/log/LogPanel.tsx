import { type LogLine, type Run, type RunLog, type RuncastClient, TERMINAL } from "@runcast/client";
import { useProjectEvents, useRunLog } from "@runcast/react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useToast } from "../design/Toasts";
import { count } from "../design/format";
import { holdsToken } from "../session/session";
import { LogFooter } from "./LogFooter";
import { LogState } from "./LogState";
import { LogToolbar } from "./LogToolbar";
import { LogView, type LogViewOptions } from "./LogView";
import { FilteredLog, type LogFilterValue, type Lines, WholeLog, isFiltering } from "./lines";
import { type LineRange, extended, hashOf, rangeOf } from "./permalink";
import { useLogPreferences } from "./preferences";
import { copyTextOf } from "./row";
import { saveAs } from "./save";
import { NO_SEARCH, type SearchState, highlightOf, searchLog } from "./search";
import { useChanges } from "./useChanges";

const TYPING_MS = 100;
/** More lines than this are for a file, not for a clipboard. */
const MAX_COPIED_LINES = 50_000;
const NO_FILTER: LogFilterValue = { q: "", level: "", agent: "" };

export interface LogPanelProps {
  run: Run;
  /** Whether the lines picked stand in the page's address. */
  permalinks?: boolean;
}

/** A run's log: toolbar, lines, and what is going on. */
export function LogPanel({ run, permalinks = false }: LogPanelProps) {
  const { client, onEvents, isConnected } = useProjectEvents();
  const log = useRunLog(run.id);
  const say = useToast();
  const [preferences, changePreferences] = useLogPreferences();
  const [filter, setFilter] = useState(NO_FILTER);
  const [query, setQuery] = useState({ q: "", regex: false });
  const [onlyMatches, setOnlyMatches] = useState(false);
  const [search, setSearch] = useState<SearchState>(NO_SEARCH);
  const [match, setMatch] = useState<number | null>(null);
  const [following, setFollowing] = useState(true);
  const [unseen, setUnseen] = useState(0);
  const [range, setRange] = useState<LineRange | null>(() =>
    permalinks ? rangeOf(location.hash) : null,
  );
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<LogView | null>(null);
  const jumpedTo = useRef<number | null>(null);
  useChanges(log);

  const active = useMemo(
    () => ({ ...filter, q: onlyMatches && !query.regex ? query.q : "" }),
    [filter, onlyMatches, query],
  );
  const filtered = useMemo(
    () => (isFiltering(active) ? new FilteredLog(client, run.id, active) : null),
    [client, run.id, active],
  );
  useChanges(filtered);
  useEffect(() => {
    if (!filtered) return undefined;
    const stop = onEvents((events) => filtered.take(events));
    return () => {
      stop();
      filtered.close();
    };
  }, [filtered, onEvents]);

  const lastLine = log?.lastLine ?? 0;
  const agents = useAgents(client, log);
  const digits = Math.max(3, String(lastLine).length);
  const options = useMemo<LogViewOptions>(
    () => ({
      ...preferences,
      digits,
      startedAt: Date.parse(run.started_at ?? run.created_at),
      highlight: highlightOf(query.q, query.regex),
      offersContext: filtered !== null,
      tagOf: null,
      rawHref: (line) => (holdsToken() ? null : `/runs/${run.id}/logs/${line}/raw`),
    }),
    [preferences, digits, run.id, run.started_at, run.created_at, query, filtered],
  );
  const firstOptions = useRef(options);

  const pick = useCallback((line: number, extend: boolean) => {
    setRange((held) => (extend ? extended(held, line) : sameLine(held, line) ? null : [line, line]));
  }, []);
  const showInContext = useCallback((line: number) => {
    setFilter(NO_FILTER);
    setOnlyMatches(false);
    setRange([line, line]);
    jumpedTo.current = line;
  }, []);

  useEffect(() => {
    if (!host.current) return undefined;
    const made = new LogView(host.current, firstOptions.current, {
      onFollow: setFollowing,
      onUnseen: setUnseen,
      onPick: pick,
      onContext: showInContext,
    });
    view.current = made;
    return () => {
      made.destroy();
      view.current = null;
    };
  }, [pick, showInContext]);

  useEffect(() => view.current?.setOptions(options), [options]);
  useEffect(() => {
    const lines: Lines | null = filtered ?? (log ? new WholeLog(log) : null);
    if (!lines) return;
    view.current?.setLines(lines);
    if (!filtered && jumpedTo.current !== null) {
      view.current?.jumpTo(jumpedTo.current, "centre", true);
      jumpedTo.current = null;
    } else if (filtered) view.current?.follow(true);
  }, [log, filtered]);
  useEffect(() => {
    view.current?.select(range);
    if (!permalinks) return;
    const hash = range ? hashOf(range) : "";
    if (location.hash !== hash) history.replaceState(history.state, "", hash || location.pathname + location.search);
  }, [range, permalinks]);

  // An address that names lines opens there, once the log's length is known.
  const isLoaded = log?.isLoaded ?? false;
  const opened = useRef(false);
  useEffect(() => {
    if (!isLoaded || opened.current) return;
    opened.current = true;
    if (permalinks && range) view.current?.jumpTo(range[0], "centre", true);
  }, [isLoaded, permalinks, range]);

  useEffect(() => {
    setMatch(null);
    if (query.q === "") {
      setSearch(NO_SEARCH);
      return undefined;
    }
    setSearch({ ...NO_SEARCH, isDone: false });
    const abort = new AbortController();
    const timer = setTimeout(() => {
      void searchLog(client, run.id, query, abort.signal, setSearch);
    }, TYPING_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [client, run.id, query]);

  // Enter before the first match has come goes there as soon as it has.
  const wantedStep = useRef<1 | -1 | null>(null);
  const step = useCallback(
    (direction: 1 | -1) => {
      const { lines, isDone } = search;
      wantedStep.current = lines.length === 0 && !isDone ? direction : null;
      if (lines.length === 0) return;
      const next = nextMatch(lines, match, direction, view.current?.topLine ?? 1);
      const line = lines[next];
      if (line === undefined) return;
      setMatch(next);
      setRange([line, line]);
      view.current?.jumpTo(line, "centre", true);
    },
    [search, match],
  );
  useEffect(() => {
    if (wantedStep.current !== null && search.lines.length > 0) step(wantedStep.current);
  }, [search, step]);

  const copy = async (): Promise<void> => {
    const [from, to] = range ?? [1, lastLine];
    if (to - from >= MAX_COPIED_LINES) {
      say(`More than ${count(MAX_COPIED_LINES)} lines: download them instead`, "bad");
      return;
    }
    const text = await textOf(from, to);
    await navigator.clipboard.writeText(text);
    const copied = text === "" ? 0 : text.split("\n").length;
    say(`Copied ${count(copied)} ${copied === 1 ? "line" : "lines"}`);
  };
  const textOf = async (from: number, to: number): Promise<string> => {
    if (filtered && !range) {
      return textFrom(Array.from({ length: filtered.length }, (_, i) => filtered.at(i)), preferences.format);
    }
    const held = Array.from({ length: to - from + 1 }, (_, i) => log?.line(from + i));
    if (held.every((line) => line !== undefined)) return textFrom(held, preferences.format);
    const response = await client.logText(run.id, { after_line: from - 1, before_line: to + 1 });
    return (await response.text()).replace(/\n$/, "");
  };
  const download = async (what: "all" | "view"): Promise<void> => {
    const { q, level, agent } = active;
    const asked = {
      ...(q && { q }),
      ...(level && { level }),
      ...(agent && { agent_name: agent }),
    };
    const response = await client.logText(run.id, what === "view" ? asked : {});
    await saveAs(response, `${run.key ?? run.id}${what === "view" ? "-filtered" : ""}.log`);
    say("Download started");
  };
  const attempt = (action: Promise<void>): void => {
    action.catch((error: unknown) => say((error as Error).message, "bad"));
  };

  const isDone = TERMINAL.has(run.status);
  return (
    <section
      aria-label="Log"
      className="flex h-full min-h-0 flex-col bg-surface"
      onKeyDown={(event) => {
        if (event.target !== host.current || event.metaKey || event.ctrlKey) return;
        if (event.key === "End") view.current?.follow(true);
        else if (event.key === "Home") view.current?.jumpTo(1, "start");
        else if (event.key === "n") step(1);
        else if (event.key === "N") step(-1);
        else if (event.key === "f") view.current?.follow(!following);
        else if (event.key === "Escape" && range) setRange(null);
        else return;
        event.preventDefault();
        event.stopPropagation();
      }}
    >
      <LogToolbar
        agents={agents}
        filter={filter}
        onFilter={setFilter}
        query={query}
        onQuery={setQuery}
        onlyMatches={onlyMatches}
        onOnlyMatches={setOnlyMatches}
        search={search}
        match={match}
        lastLine={lastLine}
        onStep={step}
        preferences={preferences}
        onPreferences={changePreferences}
        range={range}
        permalinks={permalinks}
        following={following}
        onFollow={() => view.current?.follow(!following)}
        onCopy={() => attempt(copy())}
        onCopyLink={() => {
          attempt(
            navigator.clipboard
              .writeText(`${location.origin}/ui/runs/${run.id}${range ? hashOf(range) : ""}`)
              .then(() => say("Copied a link to these lines")),
          );
        }}
        onDownload={(what) => attempt(download(what))}
        isFiltered={filtered !== null}
      />
      <div className="relative min-h-0 flex-1">
        <div
          ref={host}
          tabIndex={0}
          role="region"
          aria-label="Log lines"
          data-testid="log"
          className="log h-full w-full"
        />
        <LogState log={log} filtered={filtered} run={run} />
        {!following && unseen > 0 && !isDone && (
          <button
            type="button"
            onClick={() => view.current?.follow(true)}
            className="absolute bottom-4 left-1/2 h-8 -translate-x-1/2 animate-rise rounded-full bg-accent-strong px-4 text-sm font-medium text-white shadow-pop hover:brightness-110"
          >
            {count(unseen)} new {unseen === 1 ? "line" : "lines"} ↓
          </button>
        )}
      </div>
      <LogFooter
        run={run}
        lines={lastLine}
        shown={filtered ? filtered.length : null}
        hasAllShown={filtered?.hasAll ?? true}
        isConnected={isConnected}
        error={log?.error ?? null}
        following={following}
        range={range}
      />
    </section>
  );
}

const sameLine = (range: LineRange | null, line: number): boolean =>
  range !== null && range[0] === line && range[1] === line;

function nextMatch(
  lines: readonly number[],
  current: number | null,
  direction: 1 | -1,
  topLine: number,
): number {
  if (current !== null) return (current + direction + lines.length) % lines.length;
  const after = lines.findIndex((line) => line >= topLine);
  if (direction === 1) return after === -1 ? 0 : after;
  return (after <= 0 ? lines.length : after) - 1;
}

function textFrom(lines: (LogLine | undefined)[], format: "text" | "raw" | "json"): string {
  return lines.map((line) => (line ? copyTextOf(line, format) : "")).join("\n");
}

const FIRST_LINES = 200;

/** Agents named in the newest and the first lines, and wherever somebody has looked. */
function useAgents(client: RuncastClient, log: RunLog | null): readonly string[] {
  const [agents, setAgents] = useState<readonly string[]>([]);
  useEffect(() => {
    if (!log) return undefined;
    let hasAsked = false;
    const learn = (): void => {
      const known = log.agents;
      setAgents((held) => (held.length === known.size ? held : [...known].sort()));
      if (hasAsked || !log.isLoaded || log.line(1)) return;
      hasAsked = true;
      client.logs(log.runId, { after_line: 0, limit: FIRST_LINES }).then(
        ({ data }) => {
          for (const { agent_name: name } of data.logs) if (name) log.agents.add(name);
          learn();
        },
        // They are a convenience: any name can be typed.
        () => undefined,
      );
    };
    learn();
    return log.onChange(learn);
  }, [client, log]);
  return agents;
}
