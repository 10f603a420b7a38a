import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import type { Run } from "@runcast/client";
import { useArtifacts, useRun, useRuns } from "@runcast/react";
import { type KeyboardEvent, type ReactNode, useRef } from "react";
import { Boundary } from "../design/Boundary";
import { Failure } from "../design/Failure";
import { useTitle } from "../design/Page";
import { wordOf } from "../design/Status";
import { Rows } from "../design/Surface";
import { cx } from "../design/classes";
import { LogPanel } from "../log/LogPanel";
import { usePresence } from "../notifications/presence";
import { client } from "../session/session";
import { useMe } from "../session/SessionProvider";
import { ProjectScope, RunScope } from "../shell/ProjectScope";
import { useShortcuts } from "../shell/shortcuts";
import { Artifacts } from "./Artifacts";
import { Details } from "./Details";
import { ProgressBar } from "./ProgressBar";
import { RunError, RunHead } from "./RunHead";
import { useOpenRun } from "./RunLink";
import { RunQuestions } from "./RunQuestions";
import { Stepper } from "./Stepper";
import { SubAgents, useChildren } from "./SubAgents";
import { nameOf, shareOf } from "./names";

/**
 * A run is addressed by its id or key, or by its number in a project. By its id alone its project has to
 * be read first, to follow it live.
 */
export function RunPage() {
  const { run: ref = "", project } = useParams({ strict: false });
  const me = useMe();
  const run = useQuery({
    queryKey: ["project of run", project ?? null, ref],
    queryFn: async () => (await client.run(ref, project)).data,
    staleTime: Infinity,
  });
  if (run.data && me.runId !== null) {
    return (
      <RunScope run={run.data}>
        <Loaded key={run.data.id} id={run.data.id} />
      </RunScope>
    );
  }
  if (run.data) {
    return (
      <ProjectScope key={run.data.project_id} project={project ?? run.data.project_id}>
        <Loaded key={run.data.id} id={run.data.id} />
      </ProjectScope>
    );
  }
  if (run.error) {
    return (
      <>
        <h1 className="sr-only">Run</h1>
        <Failure error={run.error} onRetry={() => void run.refetch()} />
      </>
    );
  }
  return <Rows count={6} />;
}

const TABS = ["log", "artifacts", "agents", "details"] as const;
type Tab = (typeof TABS)[number];

function Loaded({ id }: { id: string }) {
  const run = useRun(id);
  usePresence(id);
  useTitle(run.data ? `${wordOf(run.data.status)}: ${nameOf(run.data)}` : "Run");
  if (run.data) return <Content run={run.data} />;
  if (run.error) return <Failure error={run.error} onRetry={() => void run.refetch()} />;
  return <Rows count={6} />;
}

function Content({ run }: { run: Run }) {
  const navigate = useNavigate();
  const search: { tab?: Tab } = useSearch({ strict: false });
  const tab = search.tab && TABS.includes(search.tab) ? search.tab : "log";
  const artifacts = useArtifacts(run.id);
  const children = useChildren(run);
  const hasFamily = run.parent_run_id !== null || (children.data?.runs.length ?? 0) > 0 || tab === "agents";
  useNeighbours(run.id);
  const show = (next: Tab): void =>
    void navigate({ to: ".", search: next === "log" ? {} : { tab: next }, hash: true, replace: true });
  const things = new Set(artifacts.data?.map(({ step_name: step }) => step)).size;
  const tabs: readonly { name: Tab; text: string; count?: number }[] = [
    { name: "log", text: "Log" },
    { name: "artifacts", text: "Artifacts", count: things },
    ...(hasFamily ? [{ name: "agents" as const, text: "Sub-agents", count: children.data?.runs.length ?? 0 }] : []),
    { name: "details", text: "Details" },
  ];
  return (
    <div className="flex h-full min-h-0 flex-col">
      <RunHead run={run} />
      <RunError run={run} />
      <RunQuestions run={run} />
      <div className="flex shrink-0 items-center gap-4 border-b px-2 sm:px-4">
        <Tabs tabs={tabs} current={tab} onShow={show} />
        <span className="ml-auto flex min-w-0 items-center gap-3 pr-1">
          <span className="nums hidden min-w-0 shrink-[8] truncate text-xs text-muted sm:block" title={progressText(run)}>
            {progressText(run)}
          </span>
          <Stepper run={run} />
        </span>
      </div>
      {shareOf(run) !== null && <ProgressBar run={run} className="-mt-0.5 h-0.5! shrink-0 rounded-none! bg-transparent!" />}
      <div role="tabpanel" id="run-panel" aria-labelledby={`tab-${tab}`} {...(tab !== "log" && { tabIndex: 0 })} className={cx("min-h-0 flex-1 -outline-offset-2", tab === "log" ? "" : "overflow-y-auto")}>
        {/* The log stays, out of sight, so that search, filter and place are there on return. */}
        <div hidden={tab !== "log"} className="h-full">
          <Boundary>
            <LogPanel run={run} permalinks />
          </Boundary>
        </div>
        <Boundary key={tab}>
          {tab === "artifacts" && <Artifacts run={run} artifacts={artifacts} />}
          {tab === "agents" && <SubAgents run={run} />}
          {tab === "details" && <Details run={run} />}
        </Boundary>
      </div>
    </div>
  );
}

function progressText({ progress, status }: Run): string {
  if (!progress || status === "completed") return "";
  const { message, percent, step, total_steps } = progress;
  const share = typeof percent === "number" ? `${percent}%` : step && total_steps ? `${step} of ${total_steps}` : "";
  return [message, share].filter(Boolean).join(" · ");
}

interface TabsProps {
  tabs: readonly { name: Tab; text: string; count?: number }[];
  current: Tab;
  onShow: (tab: Tab) => void;
}

/** Arrow keys go from tab to tab, as a list of tabs should have it. */
function Tabs({ tabs, current, onShow }: TabsProps) {
  const list = useRef<HTMLDivElement>(null);
  const onKey = (event: KeyboardEvent): void => {
    const at = tabs.findIndex(({ name }) => name === current);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    const next = to === undefined ? undefined : tabs[(to + tabs.length) % tabs.length];
    if (!next) return;
    event.preventDefault();
    onShow(next.name);
    list.current?.querySelector<HTMLElement>(`#tab-${next.name}`)?.focus();
  };
  return (
    <div ref={list} role="tablist" aria-label="Parts of the run" onKeyDown={onKey} className="flex shrink-0">
      {tabs.map(({ name, text, count }) => (
        <TabButton key={name} name={name} isCurrent={name === current} onShow={onShow}>
          {text}
          {count !== undefined && count > 0 && <span className="nums text-faint">{count}</span>}
        </TabButton>
      ))}
    </div>
  );
}

interface TabButtonProps {
  name: Tab;
  isCurrent: boolean;
  onShow: (tab: Tab) => void;
  children: ReactNode;
}

function TabButton({ name, isCurrent, onShow, children }: TabButtonProps) {
  return (
    <button
      type="button"
      role="tab"
      id={`tab-${name}`}
      aria-selected={isCurrent}
      aria-controls="run-panel"
      tabIndex={isCurrent ? 0 : -1}
      onClick={() => onShow(name)}
      className={cx(
        "-mb-px flex h-9 items-center gap-1.5 border-b-2 px-2 text-sm",
        isCurrent ? "border-accent font-medium text-fg" : "border-transparent text-muted hover:text-fg",
      )}
    >
      {children}
    </button>
  );
}

/** `[` and `]` walk through the project's runs. */
function useNeighbours(id: string): void {
  const open = useOpenRun();
  const { runId: onlyRun } = useMe();
  const runs = useRuns({ limit: 200 }, { enabled: onlyRun === null });
  const go = (by: number) => (): void => {
    const list = runs.data?.runs ?? [];
    const at = list.findIndex((run) => run.id === id);
    const next = at === -1 ? undefined : list[at + by];
    if (next) void open(next);
  };
  useShortcuts([
    { keys: "[", text: "Newer run", run: go(-1) },
    { keys: "]", text: "Older run", run: go(1) },
  ]);
}
