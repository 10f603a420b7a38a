import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type Project, type Run, TERMINAL } from "@runcast/client";
import {
  CombinedEventsProvider,
  ProjectEventsProvider,
  useActiveRuns,
  useCombinedEvents,
  useProjectEvents,
} from "@runcast/react";
import { FlaskConical, Radio } from "lucide-react";
import { useEffect, useMemo, useState } from "react";
import { Badge } from "../design/Badge";
import { Button } from "../design/Button";
import { Failure } from "../design/Failure";
import { Select } from "../design/Field";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { Card, Empty, Rows } from "../design/Surface";
import { count } from "../design/format";
import { can } from "../projects/roles";
import { useDemo } from "../projects/useDemo";
import { useProjects, useUnderWay } from "../projects/useProjects";
import { client } from "../session/session";
import { useMe } from "../session/SessionProvider";
import { useReportedConnection } from "../shell/ConnectionState";
import { useShortcuts } from "../shell/shortcuts";
import { MergedLines } from "./MergedLines";
import { MergedStream } from "./MergedStream";
import { RunCard } from "./RunCard";
import { LatestLines } from "./latest";
import { byNeed, needsYou } from "./need";
import { labelOf, useCarried, useIdle, useNewcomers, usePolled } from "./followed";
import { useEnded } from "./useEnded";

/** While a project isn't followed live, its runs are read again this often. */
const POLL_MS = 5_000;
const NONE: readonly Run[] = [];
const NO_NAMES: readonly string[] = [];
const NO_PROJECTS: readonly Project[] = [];

/** All runs under way, of all projects that one may see, on one connection for all tabs. */
export function WatchPage() {
  const me = useMe();
  const projects = useProjects();
  // There is nothing to follow before the first project is made.
  const followed = projects.data?.length === 0 ? NO_NAMES : "all";
  return (
    <CombinedEventsProvider projects={followed} client={client} identity={me.id} logs="all">
      <Watch />
    </CombinedEventsProvider>
  );
}

function Watch() {
  useTitle("Watch");
  const navigate = useNavigate();
  const search: { project?: string } = useSearch({ strict: false });
  const [latest] = useState(() => new LatestLines());
  const [merged] = useState(() => new MergedLines());
  const [chosen, setChosen] = useState<ReadonlyMap<string, Run>>(new Map());
  const projects = useProjects({ refetchInterval: 30_000 });
  const wanted = useMemo(
    () => (projects.data ?? []).filter(({ slug }) => !search.project || slug === search.project),
    [projects.data, search.project],
  );
  const events = useCombinedEvents();
  useReportedConnection(projects.data?.length === 0 ? null : events);
  const isLive = events.state.status === "live";
  const carried = useCarried(events);
  const [idle, tellIdle] = useIdle();
  const active = useUnderWay({
    enabled: !isLive || wanted.some(({ id }) => !carried.has(id)),
    refetchInterval: POLL_MS,
  });
  const polled = usePolled(active, isLive);
  useNewcomers(projects.data ?? NO_PROJECTS, { events, carried, idle, polled });
  const isIdle = wanted.every(({ id }) => (carried.has(id) ? idle.has(id) : polled?.get(id) === undefined));
  const isKnown = isLive || active.data !== undefined || active.isError;

  const choose = (run: Run, isChosen: boolean): void => {
    const next = new Map(chosen);
    if (isChosen) next.set(run.id, run);
    else next.delete(run.id);
    setChosen(next);
  };
  useCardKeys();

  return (
    <div className="flex h-full flex-col">
      <div data-place="watch" className="min-h-0 flex-1 overflow-y-auto">
        <PageHeader
          title="Watch"
          below={<p className="text-sm text-muted">Live runs</p>}
          actions={
            <ProjectChoice
              projects={projects.data ?? NO_PROJECTS}
              chosen={search.project}
              onChoose={(project) =>
                void navigate({ to: "/watch", search: project ? { project } : {}, replace: true })
              }
            />
          }
        />
        <PageBody>
          {projects.error && !projects.data && (
            <Failure error={projects.error} onRetry={() => void projects.refetch()} />
          )}
          {(projects.isPending || !isKnown) && <Rows count={2} className="h-36" />}
          {wanted.map((project) => {
            const runs = polled?.get(project.id);
            if (!carried.has(project.id) && !runs) return null;
            const props = { project, latest, chosen, onChoose: choose };
            return (
              <section key={project.id} aria-label={labelOf(project, wanted)} className="flex flex-col gap-3 empty:hidden">
                {carried.has(project.id) ? (
                  <ProjectEventsProvider projectId={project.id} client={client}>
                    <LiveProject {...props} polled={polled && (runs ?? NONE)} merged={merged} onIdle={tellIdle} />
                  </ProjectEventsProvider>
                ) : (
                  <Runs {...props} runs={runs ?? NONE} isLive={false} />
                )}
              </section>
            );
          })}
          {projects.data && isKnown && (
            <Nothing isEmpty={projects.data.length === 0} project={wanted[0]} isIdle={isIdle} />
          )}
          {(active.data?.unread ?? 0) > 0 && (
            <p className="text-sm text-muted">
              {count(active.data?.unread ?? 0)} more are running. Choose a project to see all of its runs.
            </p>
          )}
        </PageBody>
      </div>
      {chosen.size > 0 && <MergedStream lines={merged} runs={chosen} onClose={() => setChosen(new Map())} />}
    </div>
  );
}

interface ProjectChoiceProps {
  projects: readonly Project[];
  chosen: string | undefined;
  onChoose: (slug: string) => void;
}

function ProjectChoice({ projects, chosen, onChoose }: ProjectChoiceProps) {
  if (projects.length < 2) return null;
  return (
    <Select
      aria-label="Project"
      className="w-auto! max-w-56"
      value={chosen ?? ""}
      onChange={({ target }) => onChoose(target.value)}
    >
      <option value="">All projects</option>
      {projects.map(({ slug, name }) => (
        <option key={slug} value={slug}>
          {name}
        </option>
      ))}
    </Select>
  );
}

interface CardsProps {
  project: Project;
  latest: LatestLines;
  chosen: ReadonlyMap<string, Run>;
  onChoose: (run: Run, isChosen: boolean) => void;
}

interface LiveProjectProps extends CardsProps {
  /** What was read since the connection was lost; undefined while it is live. */
  polled: readonly Run[] | undefined;
  merged: MergedLines;
  onIdle: (id: string, isIdle: boolean) => void;
}

function LiveProject({ merged, polled, onIdle, ...props }: LiveProjectProps) {
  const { latest, chosen } = props;
  const { id } = props.project;
  const { state, isConnected, onEvents } = useProjectEvents();
  // Without a connection all projects are read by one request, not each by its own.
  const runs = useActiveRuns({ enabled: isConnected });
  const [ended, dismiss] = useEnded(runs.data, onEvents);
  const isLive = isConnected || state.status === "connecting";
  const known = isLive ? runs.data : (polled ?? runs.data);
  const isIdle = known?.length === 0 && ended.length === 0;
  useEffect(() => onIdle(id, isIdle), [onIdle, id, isIdle]);
  useEffect(() => () => onIdle(id, false), [onIdle, id]);
  useEffect(() => {
    const ids = new Set(chosen.keys());
    return onEvents((events) => {
      latest.take(events);
      merged.take(events, ids);
    });
  }, [onEvents, latest, merged, chosen]);
  if (runs.error && !known) return <Failure error={runs.error} />;
  const shown = [...(known ?? NONE), ...ended];
  if (shown.length === 0) return null;
  return <Runs {...props} runs={shown} isLive={isLive} onDismiss={dismiss} />;
}

interface RunsProps extends CardsProps {
  runs: readonly Run[];
  isLive: boolean;
  onDismiss?: (id: string) => void;
}

function Runs({ project, runs, isLive, onDismiss, ...rest }: RunsProps) {
  const waiting = runs.filter(needsYou).length;
  const working = runs.filter(({ status }) => !TERMINAL.has(status)).length;
  return (
    <>
      <h2 className="flex min-h-6 items-center gap-2 text-base font-semibold">
        <Link to="/projects/$project" params={{ project: project.slug }} className="min-w-0 truncate hover:underline">
          {project.name}
        </Link>
        <span className="nums shrink-0 text-sm font-normal text-muted">
          {count(working)} running
        </span>
        {waiting > 0 && <Badge tone="warn">{count(waiting)} {waiting === 1 ? "needs" : "need"} you</Badge>}
        {!isLive && <Badge>Updates every 5 s</Badge>}
      </h2>
      <ul className="grid grid-cols-[repeat(auto-fill,minmax(min(17rem,100%),1fr))] gap-3">
        {byNeed(runs).map((run) => (
          <RunCard
            key={run.id}
            run={run}
            slug={project.slug}
            latest={rest.latest}
            isLive={isLive}
            isChosen={rest.chosen.has(run.id)}
            onChoose={rest.onChoose}
            onDismiss={onDismiss}
          />
        ))}
      </ul>
    </>
  );
}

/** What is said in place of runs: there is no project, none of this name, or nothing under way. */
function Nothing({ isEmpty, project, isIdle }: { isEmpty: boolean; project: Project | undefined; isIdle: boolean }) {
  if (isEmpty) return <NoProjects />;
  if (!project) return <NotFound />;
  return isIdle ? <NothingRuns project={project} /> : null;
}

function NothingRuns({ project }: { project: Project }) {
  const demo = useDemo();
  return (
    <Card>
      <Empty
        icon={<Radio />}
        title="No active runs"
        action={
          can(project.role, "demo") && (
            <Button icon={<FlaskConical />} busy={demo.busy} onClick={() => demo.start(project)}>
              Play a demo run
            </Button>
          )
        }
      >
        Runs appear here the moment they start.
        {can(project.role, "report") && (
          <>
            {" "}
            Try
            <code className="mt-2 block rounded-md bg-sunken px-3 py-2 font-mono text-xs">
              runcast exec --project {project.slug} -- your-command
            </code>
          </>
        )}
      </Empty>
    </Card>
  );
}

function NotFound() {
  return (
    <Card>
      <Empty icon={<Radio />} title="Project not found">
        It was renamed or deleted, or you don’t have access to it.
      </Empty>
    </Card>
  );
}

function NoProjects() {
  return (
    <Card>
      <Empty
        icon={<Radio />}
        title="No projects yet"
        action={
          <Link to="/projects" className="text-sm font-medium text-accent hover:underline">
            Create a project
          </Link>
        }
      >
        Every run belongs to a project.
      </Empty>
    </Card>
  );
}

/** `j` and `k` walk from card to card. */
function useCardKeys(): void {
  const step = (by: number) => (): void => {
    const cards = [...document.querySelectorAll<HTMLElement>("[data-card]")];
    const at = cards.findIndex((card) => card === document.activeElement);
    cards[Math.min(cards.length - 1, Math.max(0, at + by))]?.focus();
  };
  useShortcuts([
    { keys: "j", text: "Next", run: step(1) },
    { keys: "k", text: "Previous", run: step(-1) },
  ]);
}
