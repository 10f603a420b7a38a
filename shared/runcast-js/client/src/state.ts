/**
 * State plus events: what a client holds, brought to now.
 *
 * Every function here is pure and answers the same object when an event changes nothing, so that
 * what is shown only re-renders on a change. Stale state with the events after its head applied
 * equals freshly read state; `null` means that an event can't be applied to what is held and the
 * state has to be read again.
 */
import type { EventData, RuncastEvent } from "./events.js";
import {
  type Progress,
  type Run,
  type RunStatus,
  type Subtask,
  TERMINAL,
  type Task,
  type TaskStatus,
} from "./types.js";

/** The run with the event applied; the same run if it isn't concerned. */
export function applyToRun(run: Run, event: RuncastEvent): Run {
  const { data } = event;
  if (data.run_id !== run.id) return run;
  switch (event.type) {
    case "run:status_changed":
      return withStatus(run, data.new_status as RunStatus, timeOf(event));
    case "run:step_changed":
      return withStep(run, data.new_step as string, timeOf(event));
    case "run:liveness_changed":
      return { ...run, liveness: data.new_liveness as Run["liveness"] };
    case "run:updated":
      return { ...run, ...(data.changed as Partial<Run>), updated_at: timeOf(event) };
    case "run:progress":
      return { ...run, progress: progressOf(data), updated_at: timeOf(event) };
    case "agent:started":
    case "agent:completed":
    case "agent:failed":
      return { ...run, ...(data.run as Partial<Run> | undefined) };
    case "agent:log":
      return withLine(run, Number(data.line_number));
    default:
      return run;
  }
}

export interface RunListQuery {
  status?: RunStatus | readonly RunStatus[];
  q?: string;
  key?: string;
  cursor?: string | null;
  task_id?: string;
}

/** A page of a project's runs, newest first, and what it was asked for. */
export interface RunList {
  query: RunListQuery;
  runs: readonly Run[];
  total: number | null;
  nextCursor: string | null;
}

/**
 * The page with the event applied. A run that comes under its filter, or may do so, is asked for (null): only
 * the server knows its place; one that no longer does is left out.
 */
export function applyToRunList(list: RunList, event: RuncastEvent): RunList | null {
  const { key, cursor, task_id, q } = list.query;
  if (event.type === "run:created") {
    if (cursor) return list;
    if (key || task_id) return null;
    return withCreated(list, event.data.run as Run | undefined);
  }
  const at = list.runs.findIndex((run) => run.id === event.data.run_id);
  const before = list.runs[at];
  if (!before) return withOneElsewhere(list, event);
  const after = applyToRun(before, event);
  if (after === before) return list;
  const hasLeft = (hasWords(before, q) && !hasWords(after, q)) || !hasStatus(list.query, after.status);
  if (!hasLeft) return { ...list, runs: list.runs.with(at, after) };
  const total = list.total === null ? null : list.total - 1;
  return { ...list, runs: list.runs.toSpliced(at, 1), total };
}

/** What a list by status may ask for besides. */
const STATUS_LIST: ReadonlySet<string> = new Set(["status", "limit", "sort"]);

/** The page with an event of a run that isn't on it: it may come under the filter, or be one less on later pages. */
function withOneElsewhere(list: RunList, event: RuncastEvent): RunList | null {
  const { status, q, cursor } = list.query;
  const { old_status: from, new_status: to } = event.data as { old_status?: RunStatus; new_status?: RunStatus };
  if (q && mayBeFound(event, q)) return null;
  if (status === undefined || to === undefined) return list;
  if (hasStatus(list.query, to)) return null;
  if (!from || !hasStatus(list.query, from) || cursor || !list.nextCursor || list.total === null) return list;
  // Whether it was in the list only the server knows, where more than the status is asked for.
  const isByStatusAlone = Object.entries(list.query).every(([name, value]) => !value || STATUS_LIST.has(name));
  return isByStatusAlone ? { ...list, total: list.total - 1 } : null;
}

/** Whether a change of a run brings one of the words that are looked for. */
function mayBeFound({ data }: RuncastEvent, q: string): boolean {
  const { name, agent_name, agent_type, current_step } = (data.changed ?? {}) as Partial<Run>;
  const texts = [data.new_step, name, agent_name, agent_type, current_step];
  const text = texts.filter(Boolean).join(" ").toLowerCase();
  return wordsOf(q).some((word) => text.includes(word));
}

const hasStatus = ({ status }: RunListQuery, of: RunStatus): boolean =>
  status === undefined || (typeof status === "string" ? status === of : status.includes(of));

/** Whether a search for these words finds the run, by the server's own rule. */
export function hasWords(run: Run, q: string | undefined): boolean {
  const words = wordsOf(q ?? "");
  if (words.length === 0) return true;
  const { id, key, name, agent_name, agent_type, current_step } = run;
  const text = [id, key, name, agent_name, agent_type, current_step].filter(Boolean).join(" ");
  return words.every((word) => text.toLowerCase().includes(word));
}

const wordsOf = (q: string): string[] => q.toLowerCase().split(/\s+/).filter(Boolean);

function withCreated(list: RunList, created: Run | undefined): RunList {
  if (!created || list.runs.some((run) => run.id === created.id)) return list;
  if (!hasStatus(list.query, created.status)) return list;
  if (!hasWords(created, list.query.q)) return list;
  const total = list.total === null ? null : list.total + 1;
  return { ...list, runs: [created, ...list.runs], total };
}

/**
 * The active runs with the event applied: those that run, or await feedback once started. Null
 * when a run that isn't held has become active.
 */
export function applyToActiveRuns(
  runs: readonly Run[],
  event: RuncastEvent,
): readonly Run[] | null {
  if (event.type === "run:created") {
    const created = event.data.run as Run | undefined;
    return created && isActive(created) && !runs.some((run) => run.id === created.id)
      ? [created, ...runs]
      : runs;
  }
  const known = runs.some((run) => run.id === event.data.run_id);
  if (!known) return becameActive(event) ? null : runs;
  const next = replaceOne(runs, event);
  return next === runs ? runs : next.filter(isActive);
}

/** The tasks with the event applied; null when one was created or a subtask isn't held. */
export function applyToTasks(
  tasks: readonly Task[],
  event: RuncastEvent,
): readonly Task[] | null {
  if (event.type === "task:status_changed") return withTaskStatus(tasks, event);
  if (event.type === "task:updated") {
    return byPosition(tasks.map((task) => updated(task, event, task.id === event.data.task_id)));
  }
  if (event.type === "task:deleted") return tasks.filter((task) => task.id !== event.data.task_id);
  if (!event.type.startsWith("subtask:")) return tasks;
  const id = subtaskIdOf(event);
  const at = tasks.findIndex((task) => task.subtasks.some((subtask) => subtask.id === id));
  const task = tasks[at];
  if (!task) return null;
  const subtasks = applyToSubtasks(task.subtasks, event);
  return subtasks === null ? null : tasks.with(at, { ...task, subtasks: [...subtasks] });
}

/** The subtasks with the event applied; an event of others changes nothing. */
export function applyToSubtasks(
  subtasks: readonly Subtask[],
  event: RuncastEvent,
): readonly Subtask[] | null {
  const at = subtasks.findIndex((subtask) => subtask.id === subtaskIdOf(event));
  const subtask = subtasks[at];
  if (!subtask) return subtasks;
  if (event.type === "subtask:unblocked") return subtasks.with(at, { ...subtask, status: "PENDING" });
  if (event.type === "subtask:updated") return byPosition(subtasks.with(at, updated(subtask, event)));
  if (event.type === "subtask:deleted") return subtasks.filter(({ id }) => id !== subtask.id);
  if (event.type !== "subtask:status_changed") return subtasks;
  const changed = event.data.subtask as Partial<Subtask>;
  return subtasks.with(at, { ...subtask, ...changed });
}

/** With the fields that an event says have changed. */
function updated<T>(held: T, { data }: RuncastEvent, isMeant = true): T {
  return isMeant ? { ...held, ...(data.changed as Partial<T>) } : held;
}

function byPosition<T extends { position: number }>(held: readonly T[]): readonly T[] {
  return held.toSorted((one, other) => one.position - other.position);
}

function withTaskStatus(tasks: readonly Task[], event: RuncastEvent): readonly Task[] | null {
  const at = tasks.findIndex((task) => task.id === event.data.task_id);
  const task = tasks[at];
  if (!task) return null;
  return tasks.with(at, { ...task, status: event.data.new_status as TaskStatus });
}

function subtaskIdOf({ data }: RuncastEvent): string | undefined {
  return data.subtask_id ?? (data.subtask as Subtask | undefined)?.id;
}

export function isActive(run: Run): boolean {
  return (
    run.status === "running" || (run.status === "awaiting_feedback" && run.started_at !== null)
  );
}

function becameActive(event: RuncastEvent): boolean {
  if (event.type === "agent:started") return true;
  return event.type === "run:status_changed" && !TERMINAL.has(event.data.new_status as RunStatus);
}

function replaceOne(runs: readonly Run[], event: RuncastEvent): readonly Run[] {
  const at = runs.findIndex((run) => run.id === event.data.run_id);
  const run = runs[at];
  if (!run) return runs;
  const next = applyToRun(run, event);
  return next === run ? runs : runs.with(at, next);
}

function withStatus(run: Run, status: RunStatus, at: string): Run {
  return {
    ...run,
    status,
    started_at: run.started_at ?? (status === "running" ? at : null),
    finished_at: TERMINAL.has(status) ? (run.finished_at ?? at) : run.finished_at,
    updated_at: at,
  };
}

function withStep(run: Run, step: string, at: string): Run {
  const first = { [step]: at, ...run.step_timestamps };
  return { ...run, current_step: step, step_timestamps: first, updated_at: at };
}

function withLine(run: Run, lineNumber: number): Run {
  return lineNumber > run.last_line_number ? { ...run, last_line_number: lineNumber } : run;
}

function progressOf(data: EventData): Progress {
  const { run_id: _run, at: _at, ...progress } = data;
  return progress as unknown as Progress;
}

function timeOf(event: RuncastEvent): string {
  return event.data.at ?? new Date().toISOString();
}
