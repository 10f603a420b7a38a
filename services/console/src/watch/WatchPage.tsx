import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type Project, type Run, TERMINAL } from "@runcast/client";
import { ProjectEventsProvider, useActiveRuns, useProjectEvents } from "@runcast/react";
import { Radio } from "lucide-react";
import { useCallback, useEffect, useMemo, useState } from "react";
import { Badge } from "../design/Badge";
import { Button } from "../design/Button";
import { Failure } from "../design/Failure";
import { Select } from "../design/Field";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { Card, Empty, Rows } from "../design/Surface";
import { count } from "../design/format";
import { useProjects, useUnderWay } from "../projects/useProjects";
import { client } from "../session/session";
import { useMe } from "../session/SessionProvider";
import { type ShownConnection, useReportedConnection } from "../shell/ConnectionState";
import { useShortcuts } from "../shell/shortcuts";
import { MergedLines } from "./MergedLines";
import { MergedStream } from "./MergedStream";
import { RunCard } from "./RunCard";
import { LatestLines } from "./latest";
import { byNeed, needsYou } from "./need";
import { useEnded } from "./useEnded";

/**
 * A person may hold five streams at once, over all browsers, and a browser six connections to a host:
 * this many projects are followed live from here, those that are on the screen before others, and the
 * rest are read again every few seconds.
 */
const LIVE_PROJECTS = 4;
const POLL_MS = 5_000;

export function WatchPage() {
  useTitle("Watch");
  const me = useMe();
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
  const hasOthers = wanted.length > LIVE_PROJECTS;
  const active = useUnderWay({ enabled: hasOthers, refetchInterval: POLL_MS });
  const [onScreen, setOnScreen] = useState<ReadonlySet<string>>(new Set());
  // With more projects than streams, the busiest are known only once the active runs are.
  const isRanked = !hasOthers || active.data !== undefined || active.isError;
  const live = useLiveProjects(isRanked ? wanted : NO_PROJECTS, active.data?.runs, onScreen);
  const runsOf = (project: Project): readonly Run[] =>
    active.data?.runs.filter((run) => run.project_id === project.id) ?? NONE;
  const [report, isIdle] = useReportOf(live);
  const nothingRuns = isIdle && (!hasOthers || active.data?.runs.length === 0);
  const seen = useOnScreen(setOnScreen);

  const choose = (run: Run, isChosen: boolean): void => {
    const next = new Map(chosen);
    if (isChosen) next.set(run.id, run);
    else next.delete(run.id);
    setChosen(next);
  };
  useCardKeys();

  return (
    <div className="flex h-full flex-col">
      <div className="min-h-0 flex-1 overflow-y-auto">
        <PageHeader
          title="Watch"
          below={<p className="text-sm text-muted">Live runs</p>}
          actions={
            <>
              {chosen.size > 0 && (
                <Button look="quiet" onClick={() => setChosen(new Map())}>
                  Close the stream
                </Button>
              )}
              <ProjectChoice
                projects={projects.data ?? NO_PROJECTS}
                chosen={search.project}
                onChoose={(project) =>
                  void navigate({ to: "/watch", search: project ? { project } : {}, replace: true })
                }
              />
            </>
          }
        />
        <PageBody>
          {projects.error && !projects.data && (
            <Failure error={projects.error} onRetry={() => void projects.refetch()} />
          )}
          {(projects.isPending || !isRanked) && <Rows count={2} className="h-36" />}
          {wanted.map((project) => {
            const isStreamed = live.has(project.id);
            const polled = runsOf(project);
            if (!isStreamed && polled.length === 0) return null;
            const props = { project, latest, chosen, onChoose: choose };
            return (
              <section key={project.id} ref={seen} data-project={project.id} aria-label={project.name} className="flex flex-col gap-3 empty:hidden">
                {isStreamed ? (
                  <ProjectEventsProvider projectId={project.id} client={client} identity={me.id}>
                    <LiveProject {...props} polled={polled} merged={merged} onState={report} />
                  </ProjectEventsProvider>
                ) : (
                  <Runs {...props} runs={polled} isLive={false} />
                )}
              </section>
            );
          })}
          {projects.data && <Nothing isEmpty={projects.data.length === 0} project={wanted[0]} isIdle={nothingRuns} />}
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

const NONE: readonly Run[] = [];
const NO_PROJECTS: readonly Project[] = [];

/** What is on the screen first, then those with the most runs under way; busy ones stay. */
function useLiveProjects(
  projects: readonly Project[],
  active: readonly Run[] | undefined,
  onScreen: ReadonlySet<string>,
): ReadonlySet<string> {
  const [kept, setKept] = useState<readonly string[]>([]);
  const live = useMemo(() => {
    const runs = new Map<string, number>();
    for (const { project_id: id } of active ?? []) runs.set(id, (runs.get(id) ?? 0) + 1);
    const rank = ({ id }: Project): number => {
      const busy = runs.get(id) ?? 0;
      if (busy === 0) return 0;
      return busy + (kept.includes(id) ? 1e6 : 0) + (onScreen.has(id) ? 1e9 : 0);
    };
    const ranked = [...projects].sort((a, b) => rank(b) - rank(a));
    return new Set(ranked.slice(0, LIVE_PROJECTS).map(({ id }) => id));
  }, [projects, active, kept, onScreen]);
  const ids = [...live].join(" ");
  useEffect(() => setKept(ids.split(" ")), [ids]);
  return live;
}

/** Until the page hasn't moved for this long, no stream is opened for what passes by. */
const STILL_MS = 600;

/** Gives what a section's `ref` takes, and tells which projects' sections are on the screen. */
function useOnScreen(tell: (ids: ReadonlySet<string>) => void): (section: HTMLElement | null) => void {
  const [observed] = useState(() => {
    const shown = new Set<string>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const id = (target as HTMLElement).dataset.project ?? "";
        if (isIntersecting) shown.add(id);
        else shown.delete(id);
      }
      clearTimeout(timer);
      timer = setTimeout(() => tell(new Set(shown)), STILL_MS);
    });
    const watch = (section: HTMLElement | null): (() => void) | undefined => {
      if (!section) return undefined;
      observer.observe(section);
      return () => {
        observer.unobserve(section);
        shown.delete(section.dataset.project ?? "");
      };
    };
    return watch;
  });
  return observed;
}

interface Told extends ShownConnection {
  /** Known to have nothing under way. */
  isIdle: boolean;
}

/**
 * The frame shows one state: that of a stream that is live, if any is; else of the first. Also
 * whether all of them have nothing under way.
 */
function useReportOf(live: ReadonlySet<string>): [(id: string, told: Told | null) => void, boolean] {
  const [states, setStates] = useState<ReadonlyMap<string, Told>>(new Map());
  const held = [...live].flatMap((id) => states.get(id) ?? []);
  useReportedConnection(held.find(({ state }) => state?.status === "live") ?? held[0] ?? null);
  const tell = useCallback((id: string, told: Told | null) => {
    setStates((known) => {
      const next = new Map(known);
      if (told) next.set(id, told);
      else next.delete(id);
      return next;
    });
  }, []);
  return [tell, live.size > 0 && held.length === live.size && held.every(({ isIdle }) => isIdle)];
}

interface CardsProps {
  project: Project;
  latest: LatestLines;
  chosen: ReadonlyMap<string, Run>;
  onChoose: (run: Run, isChosen: boolean) => void;
}

interface LiveProjectProps extends CardsProps {
  /** What was read before the stream opened. */
  polled: readonly Run[];
  merged: MergedLines;
  onState: (id: string, shown: Told | null) => void;
}

function LiveProject({ merged, polled, onState, ...props }: LiveProjectProps) {
  const { latest, chosen } = props;
  const { id } = props.project;
  const { state, isConnected, retryNow, onEvents, subscribeToLogs, unsubscribeFromLogs } = useProjectEvents();
  const runs = useActiveRuns();
  const [ended, dismiss] = useEnded(runs.data, onEvents);
  const isIdle = runs.data?.length === 0 && ended.length === 0;
  useEffect(() => onState(id, { state, retryNow, isIdle }), [onState, id, state, retryNow, isIdle]);
  useEffect(() => () => onState(id, null), [onState, id]);
  useEffect(() => {
    subscribeToLogs("all");
    return () => unsubscribeFromLogs("all");
  }, [subscribeToLogs, unsubscribeFromLogs]);
  useEffect(() => {
    const ids = new Set(chosen.keys());
    return onEvents((events) => {
      latest.take(events);
      merged.take(events, ids);
    });
  }, [onEvents, latest, merged, chosen]);
  if (runs.error && !runs.data) return <Failure error={runs.error} />;
  const shown = [...(runs.data ?? polled), ...ended];
  if (shown.length === 0) return null;
  const isLive = isConnected || state.status === "connecting";
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
        <Link to="/projects/$project" params={{ project: project.slug }} className="hover:underline">
          {project.name}
        </Link>
        <span className="nums text-sm font-normal text-muted">
          {count(working)} running
        </span>
        {waiting > 0 && <Badge tone="warn">{count(waiting)} need you</Badge>}
        {!isLive && <Badge>Updates every 5 s</Badge>}
      </h2>
      <ul className="grid grid-cols-[repeat(auto-fill,minmax(min(17rem,100%),1fr))] gap-3">
        {byNeed(runs).map((run) => (
          <RunCard
            key={run.id}
            run={run}
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
  return (
    <Card>
      <Empty icon={<Radio />} title="No active runs">
        Runs appear here the moment they start. Try
        <code className="mt-2 block rounded-md bg-sunken px-3 py-2 font-mono text-xs">
          runcast exec --project {project.slug} -- your-command
        </code>
      </Empty>
    </Card>
  );
}

function NotFound() {
  return (
    <Card>
      <Empty icon={<Radio />} title="Project not found">
        It has another name now, or you can’t see it. Choose another one.
      </Empty>
    </Card>
  );
}

function NoProjects() {
  return (
    <Card>
      <Empty
        icon={<Radio />}
        title="No project yet"
        action={
          <Link to="/projects" className="text-sm font-medium text-accent hover:underline">
            Create one
          </Link>
        }
      >
        Runs belong to projects.
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
