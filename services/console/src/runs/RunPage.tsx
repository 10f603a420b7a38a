import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { type Run, TERMINAL } from "@runcast/client";
import { useArtifacts, useRun, useRuns } from "@runcast/react";
import { Ban, ChevronRight, FlaskConical, GitPullRequest, RotateCcw } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Badge } from "../design/Badge";
import { Boundary } from "../design/Boundary";
import { Button } from "../design/Button";
import { Failure } from "../design/Failure";
import { useTitle } from "../design/Page";
import { LivenessBadge, StatusBadge } from "../design/Status";
import { Rows } from "../design/Surface";
import { Ago, Lasting } from "../design/Time";
import { useToast } from "../design/Toasts";
import { cx } from "../design/classes";
import { LogPanel } from "../log/LogPanel";
import { can } from "../projects/roles";
import { client } from "../session/session";
import { useMe } from "../session/SessionProvider";
import { ProjectScope, RunScope, useProject } from "../shell/ProjectScope";
import { useShortcuts } from "../shell/shortcuts";
import { Artifacts } from "./Artifacts";
import { Details } from "./Details";
import { ProgressBar } from "./ProgressBar";
import { Stepper } from "./Stepper";
import { nameOf } from "./names";

/** A run is addressed without its project, which has to be known to follow it live. */
export function RunPage() {
  const { run: id } = useParams({ from: "/runs/$run" });
  const me = useMe();
  const run = useQuery({
    queryKey: ["project of run", id],
    queryFn: async () => (await client.run(id)).data,
    staleTime: Infinity,
  });
  if (run.data && me.runId !== null) {
    return (
      <RunScope run={run.data}>
        <Loaded key={id} id={run.data.id} />
      </RunScope>
    );
  }
  if (run.data) {
    return (
      <ProjectScope key={run.data.project_id} project={run.data.project_id}>
        <Loaded key={id} id={run.data.id} />
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

type Tab = "log" | "artifacts" | "details";

function Loaded({ id }: { id: string }) {
  const run = useRun(id);
  useTitle(run.data ? nameOf(run.data) : "Run");
  if (run.data) return <Content run={run.data} />;
  if (run.error) return <Failure error={run.error} onRetry={() => void run.refetch()} />;
  return <Rows count={6} />;
}

function Content({ run }: { run: Run }) {
  const navigate = useNavigate();
  const search: { tab?: Tab } = useSearch({ strict: false });
  const tab = search.tab ?? "log";
  const artifacts = useArtifacts(run.id);
  useNeighbours(run.id);
  const show = (next: Tab): void =>
    void navigate({ to: ".", search: next === "log" ? {} : { tab: next }, hash: true, replace: true });
  return (
    <div className="flex h-full min-h-0 flex-col">
      <Head run={run} />
      <div role="tablist" aria-label="Parts of the run" className="flex gap-1 border-b px-3 sm:px-5">
        <TabButton name="log" current={tab} onShow={show}>
          Log
        </TabButton>
        <TabButton name="artifacts" current={tab} onShow={show}>
          Artifacts <span className="nums text-faint">{artifacts.data?.length ?? ""}</span>
        </TabButton>
        <TabButton name="details" current={tab} onShow={show}>
          Details
        </TabButton>
      </div>
      <div role="tabpanel" aria-labelledby={`tab-${tab}`} className={cx("min-h-0 flex-1", tab === "log" ? "" : "overflow-y-auto")}>
        {/* The log stays, out of sight, so that search, filter and place are there on return. */}
        <div hidden={tab !== "log"} className="h-full">
          <Boundary>
            <LogPanel run={run} permalinks />
          </Boundary>
        </div>
        {tab === "artifacts" && (
          <Boundary>
            <Artifacts run={run} artifacts={artifacts} />
          </Boundary>
        )}
        {tab === "details" && (
          <Boundary>
            <Details run={run} />
          </Boundary>
        )}
      </div>
    </div>
  );
}

function TabButton({
  name,
  current,
  onShow,
  children,
}: {
  name: Tab;
  current: Tab;
  onShow: (tab: Tab) => void;
  children: ReactNode;
}) {
  return (
    <button
      type="button"
      role="tab"
      id={`tab-${name}`}
      aria-selected={name === current}
      onClick={() => onShow(name)}
      className={cx(
        "-mb-px flex h-9 items-center gap-1.5 border-b-2 px-2 text-sm",
        name === current
          ? "border-accent font-medium text-fg"
          : "border-transparent text-muted hover:text-fg",
      )}
    >
      {children}
    </button>
  );
}

function Head({ run }: { run: Run }) {
  const project = useProject();
  const me = useMe();
  return (
    <header className="flex flex-col gap-3 px-4 pt-4 pb-3 sm:px-6">
      <div className="flex flex-wrap items-start gap-x-4 gap-y-2">
        <div className="min-w-0 flex-1 basis-40">
          <p className="flex items-center gap-1 text-xs text-muted">
            {me.runId === null ? (
              <Link to="/projects/$project" params={{ project: project.slug }} className="truncate hover:text-fg">
                {project.name}
              </Link>
            ) : (
              project.name
            )}
            <ChevronRight aria-hidden className="size-3 shrink-0" />
            <span className="truncate font-mono">{run.key ?? run.id}</span>
          </p>
          <div className="mt-0.5 flex min-w-0 flex-wrap items-center gap-x-2.5 gap-y-1">
            <h1 className="min-w-0 truncate text-xl font-semibold tracking-tight">{nameOf(run)}</h1>
            <StatusBadge status={run.status} />
            <LivenessBadge liveness={run.liveness} />
          </div>
        </div>
        <Actions run={run} />
      </div>
      <Facts run={run} />
      {run.error && (
        <p role="alert" className="rounded-md bg-bad-soft px-3 py-2 text-sm break-words text-bad">
          {run.error}
          {run.will_retry && " · it will be tried again"}
        </p>
      )}
      <Stepper run={run} />
      <div className="flex items-center gap-3">
        <ProgressBar run={run} className="flex-1" />
        <span className="max-w-[60%] min-h-4.5 truncate text-xs text-muted">
          {run.progress ? progressText(run) : ""}
        </span>
      </div>
    </header>
  );
}

function progressText({ progress }: Run): string {
  if (!progress) return "";
  const { stage, message, percent, step, total_steps } = progress;
  const share = typeof percent === "number" ? ` · ${percent}%` : step && total_steps ? ` · ${step} of ${total_steps}` : "";
  return `${stage}: ${message}${share}`;
}

function Facts({ run }: { run: Run }) {
  return (
    <dl className="flex flex-wrap items-center gap-x-5 gap-y-1 text-xs text-muted">
      {(run.agent_name ?? run.agent_type) && (
        <Fact name="Agent">
          {run.agent_name}
          {run.agent_type && (
            <Badge tone={run.agent_type === "PLANNER" ? "plan" : "accent"} className="ml-1.5">
              {run.agent_type}
            </Badge>
          )}
        </Fact>
      )}
      <Fact name="Created">
        <Ago at={run.created_at} />
      </Fact>
      <Fact name="Time">
        <Lasting from={run.started_at} to={run.finished_at} />
      </Fact>
      {(run.attempt > 1 || run.retry_of) && (
        <Fact name="Attempt">
          {run.attempt}
          {run.retry_of && (
            <Link to="/runs/$run" params={{ run: run.retry_of }} className="ml-1.5 text-accent hover:underline">
              Previous attempt
            </Link>
          )}
        </Fact>
      )}
      {run.pr_url && (
        <Fact name="Pull request">
          <a
            href={run.pr_url}
            rel="noreferrer"
            target="_blank"
            className="inline-flex items-center gap-1 text-accent hover:underline [&_svg]:size-3"
          >
            <GitPullRequest aria-hidden /> {run.pr_url.replace(/^https?:\/\//, "")}
          </a>
        </Fact>
      )}
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="flex items-center gap-1.5">
      <dt className="text-faint">{name}</dt>
      <dd className="flex items-center text-fg">{children}</dd>
    </div>
  );
}

function Actions({ run }: { run: Run }) {
  const project = useProject();
  const navigate = useNavigate();
  const say = useToast();
  const [busy, setBusy] = useState<string | null>(null);
  if (!can(project.role, "edit")) return null;
  const act = async (name: string, action: () => Promise<void>): Promise<void> => {
    setBusy(name);
    try {
      await action();
    } catch (error) {
      say((error as Error).message, "bad");
    } finally {
      setBusy(null);
    }
  };
  const cancel = () =>
    act("cancel", async () => {
      await client.cancelRun(run.id);
      say("The run is cancelled");
    });
  const retry = () =>
    act("retry", async () => {
      const { data } = await client.retryRun(run.id);
      await navigate({ to: "/runs/$run", params: { run: data.id } });
      say(`Attempt ${data.attempt} is queued`);
    });
  const demo = () =>
    act("demo", async () => {
      await client.startDemo(run.id);
      say("Demo started");
    });
  const isOver = TERMINAL.has(run.status);
  return (
    <div className="flex gap-2">
      {!isOver && run.started_at === null && (
        <Button icon={<FlaskConical />} busy={busy === "demo"} onClick={() => void demo()}>
          Demo events
        </Button>
      )}
      {isOver ? (
        <Button icon={<RotateCcw />} busy={busy === "retry"} onClick={() => void retry()}>
          Retry
        </Button>
      ) : (
        <Button look="danger" icon={<Ban />} busy={busy === "cancel"} onClick={() => void cancel()}>
          Cancel
        </Button>
      )}
    </div>
  );
}

/** `[` and `]` walk through the project's runs. */
function useNeighbours(id: string): void {
  const navigate = useNavigate();
  const { runId: onlyRun } = useMe();
  const runs = useRuns({ limit: 200 }, { enabled: onlyRun === null });
  const go = (by: number) => (): void => {
    const list = runs.data?.runs ?? [];
    const at = list.findIndex((run) => run.id === id);
    const next = at === -1 ? undefined : list[at + by];
    if (next) void navigate({ to: "/runs/$run", params: { run: next.id } });
  };
  useShortcuts([
    { keys: "[", text: "Newer run", run: go(-1) },
    { keys: "]", text: "Older run", run: go(1) },
  ]);
}
