import { useQuery } from "@tanstack/react-query";
import { type Run, TERMINAL } from "@runcast/client";
import { useProjectEvents } from "@runcast/react";
import { ChevronDown, ChevronRight, Network } from "lucide-react";
import { useEffect, useState } from "react";
import { Failure } from "../design/Failure";
import { LivenessBadge, StatusBadge } from "../design/Status";
import { Empty, Rows } from "../design/Surface";
import { Lasting } from "../design/Time";
import { client } from "../session/session";
import { RunLink, useRunSlug } from "./RunLink";
import { agentOf, nameOf } from "./names";
import { usageText } from "./usage";
import { useWhenLive } from "./useWhenLive";

const LOOK_MS = 5_000;
const SHOWN = 200;
/** Deeper trees are opened by hand. */
const OPEN_DEPTH = 2;

/** The runs that a run started; read again while any of them may change. */
export function useChildren(run: Run, enabled = true) {
  const { onEvents } = useProjectEvents();
  const children = useQuery({
    queryKey: ["children", run.id],
    queryFn: async () => (await client.childRuns(run.id, { limit: SHOWN })).data,
    enabled,
    refetchInterval: ({ state }) => {
      const isOpen = !TERMINAL.has(run.status) || state.data?.runs.some(({ status }) => !TERMINAL.has(status));
      return (state.data?.runs.length ?? 0) > 0 && isOpen ? LOOK_MS : false;
    },
  });
  const { refetch } = children;
  useWhenLive(() => {
    if (enabled) void refetch();
  });
  useEffect(
    () =>
      onEvents((events) => {
        const isOurs = events.some(
          ({ type, data }) =>
            type === "run:created" && (data.run as Partial<Run> | undefined)?.parent_run_id === run.id,
        );
        if (isOurs && enabled) void refetch();
      }),
    [onEvents, refetch, run.id, enabled],
  );
  return children;
}

/** The run's sub-agents as a tree: how each stands, how long it took, what it used. */
export function SubAgents({ run }: { run: Run }) {
  const slug = useRunSlug();
  const parent = useQuery({
    queryKey: ["parent", run.parent_run_id],
    queryFn: async () => (await client.run(run.parent_run_id ?? "")).data,
    enabled: run.parent_run_id !== null,
    staleTime: 30_000,
  });
  return (
    <div className="flex flex-col gap-3 px-4 py-5 sm:px-6">
      {parent.data && (
        <p className="text-sm text-muted">
          Started by{" "}
          <RunLink run={parent.data} slug={slug} className="text-accent hover:underline">
            {nameOf(parent.data)}
          </RunLink>
        </p>
      )}
      <Branch run={run} depth={0} />
    </div>
  );
}

function Branch({ run, depth }: { run: Run; depth: number }) {
  const children = useChildren(run);
  if (children.error && !children.data) return <Failure error={children.error} />;
  if (children.isPending) return <Rows count={2} className="h-8" />;
  const { runs, next_cursor: next } = children.data;
  if (runs.length === 0 && depth === 0) {
    return (
      <Empty icon={<Network />} title="No sub-agents">
        Runs that this one starts appear here.
      </Empty>
    );
  }
  return (
    <ul aria-label={`Sub-agents of ${nameOf(run)}`} className={depth === 0 ? "" : "ml-3 border-l pl-3"}>
      {runs.map((child) => (
        <Node key={child.id} run={child} depth={depth} />
      ))}
      {next !== null && <li className="px-2 py-1 text-xs text-muted">Only the first {SHOWN} are shown.</li>}
    </ul>
  );
}

function Node({ run, depth }: { run: Run; depth: number }) {
  const [isOpen, setOpen] = useState(depth < OPEN_DEPTH);
  const children = useChildren(run, isOpen);
  const slug = useRunSlug();
  const hasNone = children.data?.runs.length === 0;
  const usage = usageText(run.usage);
  return (
    <li>
      <div className="flex min-h-9 items-center gap-2 rounded-md px-1 text-sm hover:bg-hover">
        <button
          type="button"
          aria-label={`Sub-agents of ${nameOf(run)}`}
          aria-expanded={isOpen}
          disabled={hasNone}
          onClick={() => setOpen(!isOpen)}
          className="flex size-6 shrink-0 items-center justify-center rounded-sm text-muted hover:text-fg disabled:invisible [&_svg]:size-4"
        >
          {isOpen ? <ChevronDown /> : <ChevronRight />}
        </button>
        <RunLink run={run} slug={slug} className="min-w-0 truncate font-medium hover:underline">
          {nameOf(run)}
        </RunLink>
        {run.agent_name && <span className="hidden truncate text-xs text-muted sm:inline">{agentOf(run)}</span>}
        <span className="ml-auto flex shrink-0 items-center gap-2.5 text-xs text-muted">
          {usage && <span className="nums hidden md:inline">{usage}</span>}
          <Lasting from={run.started_at} to={run.finished_at} />
          <LivenessBadge liveness={run.liveness} />
          <StatusBadge status={run.status} />
        </span>
      </div>
      {isOpen && !hasNone && <Branch run={run} depth={depth + 1} />}
    </li>
  );
}
