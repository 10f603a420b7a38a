import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import type { Project, Run } from "@runcast/client";
import { ProjectEventsProvider, useActiveRuns, useProjectEvents } from "@runcast/react";
import { Radio } from "lucide-react";
import { useEffect, useMemo, useState } from "react";
import { Badge } from "../design/Badge";
import { Button } from "../design/Button";
import { Failure } from "../design/Failure";
import { Select } from "../design/Field";
import { PageBody, PageHeader, useTitle } from "../design/Page";
import { Card, Empty, Rows } from "../design/Surface";
import { count } from "../design/format";
import { client } from "../session/session";
import { useMe } from "../session/SessionProvider";
import { ReportConnection } from "../shell/ConnectionState";
import { useShortcuts } from "../shell/shortcuts";
import { MergedLines } from "./MergedLines";
import { MergedStream } from "./MergedStream";
import { RunCard } from "./RunCard";
import { LatestLines } from "./latest";

/**
 * A person may hold five streams at once, over all browsers; so many projects are followed live
 * from here, those with the most runs under way, and the others are read anew every few seconds.
 */
const LIVE_PROJECTS = 3;
const POLL_MS = 5_000;

export function WatchPage() {
  useTitle("Watch");
  const me = useMe();
  const navigate = useNavigate();
  const search: { project?: string } = useSearch({ strict: false });
  const [latest] = useState(() => new LatestLines());
  const [merged] = useState(() => new MergedLines());
  const [chosen, setChosen] = useState<ReadonlyMap<string, Run>>(new Map());
  const projects = useQuery({
    queryKey: ["projects"],
    queryFn: async () => (await client.projects({ limit: 200 })).data.projects,
    refetchInterval: 30_000,
  });
  const wanted = useMemo(
    () => (projects.data ?? []).filter(({ slug }) => !search.project || slug === search.project),
    [projects.data, search.project],
  );
  const hasOthers = wanted.length > LIVE_PROJECTS;
  const running = useQuery({
    queryKey: ["watch", "running"],
    queryFn: async () => (await client.runs({ status: "running", limit: 1000 })).data.runs,
    enabled: hasOthers,
    refetchInterval: POLL_MS,
  });
  const live = useLiveProjects(wanted, running.data);
  const others = wanted.filter(({ id }) => !live.some((project) => project.id === id));

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
          below={<p className="text-sm text-muted">Every run under way, as it happens</p>}
          actions={
            <>
              {chosen.size > 0 && (
                <Button look="quiet" onClick={() => setChosen(new Map())}>
                  Close the stream
                </Button>
              )}
              {(projects.data?.length ?? 0) > 1 && (
                <Select
                  aria-label="Project"
                  className="w-auto! max-w-56"
                  value={search.project ?? ""}
                  onChange={({ target }) =>
                    void navigate({
                      to: "/watch",
                      search: target.value ? { project: target.value } : {},
                      replace: true,
                    })
                  }
                >
                  <option value="">All projects</option>
                  {projects.data?.map(({ slug, name }) => (
                    <option key={slug} value={slug}>
                      {name}
                    </option>
                  ))}
                </Select>
              )}
            </>
          }
        />
        <PageBody>
          {projects.error && !projects.data && (
            <Failure error={projects.error} onRetry={() => void projects.refetch()} />
          )}
          {projects.isPending && <Rows count={2} className="h-36" />}
          {projects.data && wanted.length === 0 && <NoProjects />}
          {live.map((project, index) => (
            <ProjectEventsProvider key={project.id} projectId={project.id} client={client} identity={me.id}>
              {index === 0 && <ReportConnection />}
              <LiveProject
                project={project}
                isOnly={wanted.length === 1}
                latest={latest}
                merged={merged}
                chosen={chosen}
                onChoose={choose}
              />
            </ProjectEventsProvider>
          ))}
          {others.map((project) => (
            <Runs
              key={project.id}
              project={project}
              runs={running.data?.filter((run) => run.project_id === project.id) ?? []}
              isLive={false}
              latest={latest}
              chosen={chosen}
              onChoose={choose}
            />
          ))}
        </PageBody>
      </div>
      {chosen.size > 0 && <MergedStream lines={merged} runs={chosen} onClose={() => setChosen(new Map())} />}
    </div>
  );
}

/** Those with the most runs under way; once live, a project stays so while it is busy. */
function useLiveProjects(projects: readonly Project[], running: readonly Run[] | undefined): Project[] {
  const [kept, setKept] = useState<readonly string[]>([]);
  const live = useMemo(() => {
    const runsOf = (id: string): number => running?.filter((run) => run.project_id === id).length ?? 0;
    const rank = (id: string): number => runsOf(id) + (kept.includes(id) && runsOf(id) > 0 ? 1e6 : 0);
    return [...projects].sort((a, b) => rank(b.id) - rank(a.id)).slice(0, LIVE_PROJECTS);
  }, [projects, running, kept]);
  const ids = live.map(({ id }) => id).join(" ");
  useEffect(() => setKept(ids.split(" ")), [ids]);
  return live;
}

interface CardsProps {
  project: Project;
  latest: LatestLines;
  chosen: ReadonlyMap<string, Run>;
  onChoose: (run: Run, isChosen: boolean) => void;
}

function LiveProject({
  merged,
  isOnly,
  ...props
}: CardsProps & { merged: MergedLines; isOnly: boolean }) {
  const { latest, chosen } = props;
  const { onEvents, subscribeToLogs, unsubscribeFromLogs } = useProjectEvents();
  const runs = useActiveRuns();
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
  if (runs.data?.length === 0 && isOnly) return <NothingRuns project={props.project} />;
  return <Runs {...props} runs={runs.data ?? []} isLive />;
}

function Runs({ project, runs, isLive, ...rest }: CardsProps & { runs: readonly Run[]; isLive: boolean }) {
  if (runs.length === 0 && !isLive) return null;
  return (
    <section aria-label={project.name} className="flex flex-col gap-3">
      <h2 className="flex items-center gap-2 text-base font-semibold">
        <Link to="/projects/$project" params={{ project: project.slug }} className="hover:underline">
          {project.name}
        </Link>
        <span className="nums text-sm font-normal text-muted">
          {runs.length === 0 ? "nothing under way" : `${count(runs.length)} under way`}
        </span>
        {!isLive && <Badge>read every 5 s</Badge>}
      </h2>
      <ul className="grid grid-cols-[repeat(auto-fill,minmax(min(17rem,100%),1fr))] gap-3">
        {runs.map((run) => (
          <RunCard
            key={run.id}
            run={run}
            latest={rest.latest}
            isChosen={rest.chosen.has(run.id)}
            onChoose={rest.onChoose}
          />
        ))}
      </ul>
    </section>
  );
}

function NothingRuns({ project }: { project: Project }) {
  return (
    <Card>
      <Empty icon={<Radio />} title="Nothing runs right now">
        Runs appear here the moment they start. Try
        <code className="mt-2 block rounded-md bg-sunken px-3 py-2 font-mono text-xs">
          runcast exec --project {project.slug} -- your-command
        </code>
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
