import { type UseQueryResult, useQuery } from "@tanstack/react-query";
import {
  type ActiveRun,
  type Answer,
  type Artifact,
  type LogLine,
  Problem,
  type Run,
  type RunList,
  type RunLog,
  type RunQuery,
  type Subtask,
  type Task,
  TERMINAL,
} from "@runcast/client";
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { type Held, type LiveRoot, type LiveState, keys } from "./cache.js";
import { type ProjectEvents, useProjectEvents } from "./ProjectEventsProvider.js";

/** While there is no live connection, state is read again this often. */
export const POLLING_INTERVAL_MS = 5_000;

export interface LiveQueryOptions {
  enabled?: boolean;
}

/** A query that events keep fresh: it polls only while there is no live connection. */
function useLive<R extends LiveRoot>(
  events: ProjectEvents,
  root: R,
  queryKey: readonly unknown[],
  read: () => Promise<Answer<LiveState[R]>>,
  options: LiveQueryOptions,
): UseQueryResult<LiveState[R]> {
  return useQuery({
    queryKey,
    queryFn: async (): Promise<Held<LiveState[R]>> => events.cache.hold(root, queryKey, await read()),
    select: (held) => held.state,
    enabled: options.enabled ?? true,
    ...freshness(events.isConnected),
  });
}

/**
 * When to read again: on every interval without a connection, never by itself with one, nor what
 * the server refuses.
 */
export function freshness(isConnected: boolean) {
  return {
    refetchInterval: isConnected
      ? (false as const)
      : ({ state }: { state: { error: Error | null } }) =>
          isRefused(state.error) ? (false as const) : POLLING_INTERVAL_MS,
    refetchOnWindowFocus: !isConnected,
    refetchOnReconnect: !isConnected,
    staleTime: isConnected ? Infinity : 0,
  };
}

const isRefused = (error: Error | null): boolean =>
  error instanceof Problem && [401, 403, 404, 410].includes(error.status);

export function useRuns(query: RunQuery = {}, options: LiveQueryOptions = {}) {
  const events = useProjectEvents();
  const { client, projectId } = events;
  const read = async (): Promise<Answer<RunList>> => {
    const { data, head } = await client.projectRuns(projectId, query);
    const { runs, total, next_cursor } = data;
    return { data: { query, runs, total: total ?? null, nextCursor: next_cursor }, head };
  };
  return useLive(events, "runs", [...keys.runs(projectId), query], read, options);
}

export function useActiveRuns(options: LiveQueryOptions = {}): UseQueryResult<
  readonly ActiveRun[]
> {
  const events = useProjectEvents();
  const { client, projectId } = events;
  const read = async (): Promise<Answer<readonly ActiveRun[]>> => {
    const { data, head } = await client.activeRuns(projectId);
    return { data: data.runs, head };
  };
  return useLive(events, "activeRuns", keys.activeRuns(projectId), read, options);
}

/** A run of the provider's project, kept live. One of another project is read once: its events don't come here. */
export function useRun(runId: string, options: LiveQueryOptions = {}): UseQueryResult<Run> {
  const events = useProjectEvents();
  const read = () => events.client.run(runId);
  return useLive(events, "run", keys.run(runId), read, options);
}

export function useArtifacts(runId: string): UseQueryResult<Artifact[]> {
  const { client, isConnected } = useProjectEvents();
  return useQuery({
    queryKey: keys.artifacts(runId),
    queryFn: async () => (await client.artifacts(runId, "all")).data.artifacts,
    ...freshness(isConnected),
  });
}

export function useTasks(options: LiveQueryOptions = {}): UseQueryResult<readonly Task[]> {
  const events = useProjectEvents();
  const { client, projectId } = events;
  const read = async (): Promise<Answer<readonly Task[]>> => {
    const { data, head } = await client.tasks(projectId);
    return { data: data.tasks, head };
  };
  return useLive(events, "tasks", keys.tasks(projectId), read, options);
}

export function useSubtasks(
  taskId: string,
  options: LiveQueryOptions = {},
): UseQueryResult<readonly Subtask[]> {
  const events = useProjectEvents();
  const read = async (): Promise<Answer<readonly Subtask[]>> => {
    const { data, head } = await events.client.task(taskId);
    return { data: data.subtasks, head };
  };
  return useLive(events, "subtasks", keys.subtasks(taskId), read, options);
}

/** The runs that worked, or work, on a task or subtask, newest first. */
export function useAgentRuns(subtaskId: string | null): UseQueryResult<Run[]> {
  const { client, projectId, isConnected } = useProjectEvents();
  return useQuery({
    queryKey: keys.agentRuns(subtaskId ?? ""),
    queryFn: async () => {
      const query = { task_id: subtaskId ?? "", limit: 100 };
      const { runs } = (await client.projectRuns(projectId, query)).data;
      return runs.filter((run) => run.task_id === subtaskId);
    },
    enabled: subtaskId !== null,
    ...freshness(isConnected),
  });
}

/** The log of a run, streaming while the component is mounted; null for no run. */
export function useRunLog(runId: string | null): RunLog | null {
  const { subscribeToLogs, unsubscribeFromLogs, logOf } = useProjectEvents();
  const [log, setLog] = useState<RunLog | null>(null);
  useEffect(() => {
    if (runId === null) return undefined;
    subscribeToLogs(runId);
    setLog(logOf(runId));
    return () => {
      setLog(null);
      unsubscribeFromLogs(runId);
    };
  }, [runId, subscribeToLogs, unsubscribeFromLogs, logOf]);
  return log?.runId === runId ? log : null;
}

export interface LiveLog {
  lines: readonly LogLine[];
  isStreaming: boolean;
  error: Error | null;
}

export interface LiveLogOptions {
  /** How many of the newest lines are given. */
  limit?: number;
}

/** At most so often a growing log renders again. */
const RENDER_MS = 50;
const IDLE: LiveLog = { lines: [], isStreaming: false, error: null };

/** The newest lines of a run, live. Idle for a null run; subscribed only while mounted. */
export function useLiveLog(runId: string | null, { limit = 1_000 }: LiveLogOptions = {}): LiveLog {
  const { isConnected } = useProjectEvents();
  const log = useRunLog(runId);
  const run = useRun(runId ?? "", { enabled: runId !== null });
  const snapshot = useRef<LiveLog>(IDLE);

  const isOpen = run.data !== undefined && !TERMINAL.has(run.data.status);
  const isStreaming = log !== null && isConnected && isOpen;
  const error = log?.error ?? run.error;

  const subscribe = useCallback(
    (notify: () => void) => {
      if (!log) return () => undefined;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const stop = log.onChange(() => {
        timer ??= setTimeout(() => {
          timer = undefined;
          snapshot.current = { ...snapshot.current, lines: newest(log, limit) };
          notify();
        }, RENDER_MS);
      });
      snapshot.current = { ...IDLE, lines: newest(log, limit) };
      notify();
      return () => {
        clearTimeout(timer);
        stop();
      };
    },
    [log, limit],
  );
  const read = useCallback(() => (log ? snapshot.current.lines : IDLE.lines), [log]);
  const lines = useSyncExternalStore(subscribe, read, read);

  if (runId === null) return IDLE;
  return { lines, isStreaming, error: error ?? null };
}

/** The newest lines up to the first that is missing; asks for the missing ones. */
function newest(log: RunLog, limit: number): readonly LogLine[] {
  const lines: LogLine[] = [];
  const from = Math.max(1, log.lastLine - limit + 1);
  log.show(from, log.lastLine);
  for (let n = log.lastLine; n >= from; n -= 1) {
    const line = log.line(n);
    if (!line) break;
    lines.push(line);
  }
  return lines.reverse();
}
