import { useNavigate, useSearch } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type Run, type RunStatus, hasWords } from "@runcast/client";
import { FlaskConical, ListTree, Play, Search } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { Button } from "../design/Button";
import { Failure } from "../design/Failure";
import { Input, Select } from "../design/Field";
import { PageHeader, useTitle } from "../design/Page";
import { LivenessBadge, StatusBadge, wordOf } from "../design/Status";
import { Empty, Rows } from "../design/Surface";
import { Ago, Lasting } from "../design/Time";
import { cx } from "../design/classes";
import { count } from "../design/format";
import { ProgressBar } from "../runs/ProgressBar";
import { RunLink, useOpenRun } from "../runs/RunLink";
import { agentOf, nameOf } from "../runs/names";
import { Labels } from "../runs/Labels";
import { stepOf } from "../runs/steps";
import { useProject } from "../shell/ProjectScope";
import { usePageCommands } from "../shell/commands";
import { useShortcuts } from "../shell/shortcuts";
import { NewRun } from "./NewRun";
import { can } from "./roles";
import { useSettled } from "../design/useSettled";
import { useDemo } from "./useDemo";
import { type RunPages, useRunPages } from "./useRunPages";
import { useTyped } from "./useTyped";

const STATUSES: RunStatus[] = [
  "running",
  "awaiting_feedback",
  "queued",
  "completed",
  "failed",
  "cancelled",
];

/** Keys that follow each other faster than this are one search. */
const TYPING_MS = 150;

const totalText = (total: number, isFiltered: boolean): string =>
  `${count(total)} ${total === 1 ? "run" : "runs"}${isFiltered ? (total === 1 ? " matches" : " match") : ""}`;

export function ProjectRunsPage() {
  const project = useProject();
  useTitle(project.name);
  const navigate = useNavigate();
  const search: { status?: RunStatus; q?: string } = useSearch({ strict: false });
  const [starting, setStarting] = useState(false);
  const demo = useDemo();
  const set = (change: { status?: RunStatus | undefined; q?: string | undefined }): Promise<void> =>
    navigate({ to: ".", search: { ...search, ...change }, replace: true });
  const [typed, type] = useTyped(search.q ?? "", (text) => set({ q: text || undefined }));
  const wanted = typed.trim();
  const text = useSettled(wanted, TYPING_MS);
  const pages = useRunPages({ status: search.status, q: text });
  // What is here is filtered at once; the server is asked when the typing pauses.
  const runs = useMemo(
    () => (wanted === text ? pages.runs : pages.runs.filter((run) => hasWords(run, wanted))),
    [pages.runs, wanted, text],
  );
  const isFiltered = wanted !== "" || search.status !== undefined;

  const open = useOpenRun();
  const canWrite = can(project.role, "report");
  usePageCommands([
    canWrite && { text: "Start a run", run: () => setStarting(true) },
    can(project.role, "demo") && { text: "Demo run", run: () => demo.start(project) },
  ]);

  return (
    <div className="flex h-full flex-col">
      <PageHeader
        title={project.name}
        below={
          <p className="text-sm text-muted">
            {pages.total === null ? " " : totalText(pages.total, isFiltered)}
          </p>
        }
        actions={
          canWrite && (
            <>
              {can(project.role, "demo") && (
                <Button icon={<FlaskConical />} busy={demo.busy} onClick={() => demo.start(project)}>
                  Demo run
                </Button>
              )}
              <Button look="primary" icon={<Play />} onClick={() => setStarting(true)}>
                Start a run
              </Button>
            </>
          )
        }
      />
      <div className="flex flex-wrap items-center gap-2 border-b px-4 pb-3 sm:px-6">
        <Input
          type="search"
          aria-label="Search runs"
          placeholder="Name, key, agent, step, id…  /"
          data-shortcut="search"
          icon={<Search />}
          className="w-full sm:w-80"
          value={typed}
          onChange={(event) => type(event.target.value)}
        />
        <Select
          aria-label="Status"
          className="w-auto!"
          value={search.status ?? ""}
          onChange={(event) => void set({ status: (event.target.value || undefined) as RunStatus | undefined })}
        >
          <option value="">All statuses</option>
          {STATUSES.map((status) => (
            <option key={status} value={status}>
              {wordOf(status)}
            </option>
          ))}
        </Select>
      </div>
      <RunTable
        pages={pages}
        runs={runs}
        isPending={pages.isPending || wanted !== text}
        isFiltered={isFiltered}
        slug={project.slug}
        onStart={canWrite ? () => setStarting(true) : null}
      />
      <NewRun open={starting} onClose={() => setStarting(false)} onStarted={(run) => void open(run)} />
    </div>
  );
}

const COLUMNS = "grid-cols-[minmax(0,1fr)_auto] md:grid-cols-[minmax(12rem,2fr)_9.5rem_minmax(7rem,1fr)_minmax(6rem,1fr)_6rem_6rem]";
const ROW_PX = 52;

function RunTable({
  pages,
  runs,
  isPending,
  isFiltered,
  slug,
  onStart,
}: {
  pages: RunPages;
  runs: readonly Run[];
  /** Whether the server may know more that match. */
  isPending: boolean;
  isFiltered: boolean;
  slug: string;
  /** Null where the role may start none. */
  onStart: (() => void) | null;
}) {
  const host = useRef<HTMLDivElement>(null);
  // By id: an index would name another run as soon as one starts.
  const [chosen, setChosen] = useState<string | null>(null);
  const rows = useVirtualizer({
    count: runs.length,
    getScrollElement: () => host.current,
    estimateSize: () => ROW_PX,
    overscan: 12,
    getItemKey: (index) => runs[index]?.id ?? index,
  });
  const items = rows.getVirtualItems();
  const lastShown = items.at(-1)?.index ?? 0;
  const { hasMore, loadMore } = pages;
  useEffect(() => {
    if (hasMore && lastShown >= runs.length - 40) loadMore();
  }, [hasMore, loadMore, lastShown, runs.length]);

  const move = (by: number): void => {
    const at = runs.findIndex(({ id }) => id === chosen);
    const next = Math.min(runs.length - 1, Math.max(0, at + by));
    setChosen(runs[next]?.id ?? null);
    rows.scrollToIndex(next);
    host.current?.querySelector<HTMLElement>(`[data-index="${next}"]`)?.focus();
  };
  useShortcuts([
    { keys: "j", text: "Next run", run: () => move(1) },
    { keys: "k", text: "Previous run", run: () => move(-1) },
  ]);

  if (pages.error && pages.runs.length === 0) return <Failure error={pages.error} onRetry={pages.retry} />;
  if (isPending && runs.length === 0) return <Rows count={8} className="h-11" />;
  if (runs.length === 0) {
    return isFiltered ? (
      <Empty icon={<ListTree />} title="No matching runs">
        Change the search or the status.
      </Empty>
    ) : (
      <Empty
        icon={<ListTree />}
        title="No runs yet"
        action={
          onStart && (
            <Button look="primary" icon={<Play />} onClick={onStart}>
              Start a run
            </Button>
          )
        }
      >
        {onStart ? (
          <>
            Start one here, or from a terminal:
            <code className="mt-2 block rounded-md bg-sunken px-3 py-2 font-mono text-xs">
              runcast exec --project {slug} -- your-command
            </code>
          </>
        ) : (
          "Runs appear here the moment they start."
        )}
      </Empty>
    );
  }
  return (
    <div ref={host} className="min-h-0 flex-1 overflow-y-auto" data-testid="runs" data-place="runs">
      <div aria-hidden className={cx("sticky top-0 z-10 hidden gap-4 border-b bg-ground px-6 py-1.5 text-xs text-muted md:grid", COLUMNS)}>
        <span>Run</span>
        <span>Status</span>
        <span>Step</span>
        <span>Agent</span>
        <span>Time</span>
        <span className="text-right">Created</span>
      </div>
      <ul aria-label="Runs" className="relative" style={{ height: rows.getTotalSize() }}>
        {items.map((item) => {
          const run = runs[item.index];
          return (
            run && (
              <li
                key={item.key}
                className="absolute inset-x-0 top-0"
                style={{ height: item.size, transform: `translateY(${item.start}px)` }}
              >
                <RunRow run={run} slug={slug} index={item.index} onFocus={() => setChosen(run.id)} />
              </li>
            )
          );
        })}
      </ul>
    </div>
  );
}

/** Why it failed, else the key where the name is another. */
function belowName(run: Run): string {
  const attempt = run.attempt > 1 ? `attempt ${run.attempt}` : "";
  const said = run.error ?? (run.key && run.name ? run.key : "");
  return [said, attempt].filter(Boolean).join(" · ");
}

interface RunRowProps {
  run: Run;
  slug: string;
  index: number;
  onFocus: () => void;
}

function RunRow({ run, slug, index, onFocus }: RunRowProps) {
  return (
    <RunLink
      run={run}
      slug={slug}
      data-index={index}
      onFocus={onFocus}
      className={cx(
        "grid h-full items-center gap-4 border-b px-4 text-sm -outline-offset-2 hover:bg-hover sm:px-6",
        COLUMNS,
      )}
    >
      <span className="flex min-w-0 flex-col">
        <span className="truncate font-medium">{nameOf(run)}</span>
        <span className={cx("flex min-w-0 items-center gap-2 text-2xs", run.error ? "text-bad" : "text-muted")}>
          <span className="nums shrink-0 text-muted">#{run.number}</span>
          <span className="truncate" title={run.error ?? undefined}>
            {belowName(run)}
          </span>
          <Labels labels={run.labels} />
        </span>
      </span>
      <span className="flex items-center gap-1.5">
        <span className="text-xs text-muted md:hidden">
          <Ago at={run.created_at} />
        </span>
        <StatusBadge status={run.status} />
        <LivenessBadge liveness={run.liveness === "ok" ? null : run.liveness} />
      </span>
      <span className="hidden min-w-0 flex-col gap-1 md:flex">
        <span className="truncate text-muted">{stepOf(run) ?? "–"}</span>
        {run.progress && <ProgressBar run={run} className="w-24" />}
      </span>
      <span className="hidden truncate text-muted md:block">{agentOf(run) ?? "–"}</span>
      <span className="hidden text-muted md:block">
        <Lasting from={run.started_at} to={run.finished_at} />
      </span>
      <span className="hidden text-right text-muted md:block">
        <Ago at={run.created_at} />
      </span>
    </RunLink>
  );
}
