/**
 * TanStack Query caches, kept at the present by events.
 *
 * What is cached about a project is held with the head that it includes (`Runcast-Head`). An
 * event changes held state only if its number is above that head, so an answer that was on its
 * way while events came is neither undone nor applied twice: when it arrives, the recent events
 * above its head are applied to it.
 */
import type { QueryClient, QueryKey } from "@tanstack/react-query";
import {
  type Answer,
  type Connected,
  type Run,
  type RunList,
  type RuncastEvent,
  type Subtask,
  type Task,
  applyToActiveRuns,
  applyToRun,
  applyToRunList,
  applyToSubtasks,
  applyToTasks,
} from "@runcast/client";

export interface Held<T> {
  state: T;
  head: number;
}

/** The state after an event, the same object where nothing changes, or null to read it again. */
export type Apply<T> = (state: T, event: RuncastEvent) => T | null;

export const keys = {
  runs: (projectId: string) => ["runs", projectId] as const,
  activeRuns: (projectId: string) => ["activeRuns", projectId] as const,
  run: (runId: string) => ["run", runId] as const,
  artifacts: (runId: string) => ["artifacts", runId] as const,
  tasks: (projectId: string) => ["tasks", projectId] as const,
  subtasks: (taskId: string) => ["subtasks", taskId] as const,
  agentRuns: (subtaskId: string) => ["agentRuns", subtaskId] as const,
};

export interface LiveState {
  runs: RunList;
  activeRuns: readonly Run[];
  run: Run;
  tasks: readonly Task[];
  subtasks: readonly Subtask[];
}

export type LiveRoot = keyof LiveState;

const appliers: { [R in LiveRoot]: Apply<LiveState[R]> } = {
  runs: applyToRunList,
  activeRuns: applyToActiveRuns,
  run: applyToRun,
  tasks: applyToTasks,
  subtasks: applyToSubtasks,
};

const ROOTS = Object.keys(appliers) as LiveRoot[];

/** Events kept for answers that were asked for before they came. */
const RECENT_EVENTS = 2_000;
const REREAD_MS = 1_000;

export class LiveCache {
  #recent: RuncastEvent[] = [];
  /** The newest event that is no longer among the recent ones. */
  #forgotten = 0;
  /** Keys that were read again in the last second, and whether they have been asked for since. */
  readonly #soon = new Map<string, boolean>();

  constructor(
    private readonly queries: QueryClient,
    readonly projectId: string,
  ) {}

  /** Brings everything held about the project to after these events. */
  apply(events: readonly RuncastEvent[]): void {
    const numbered = events.filter((event) => event.id !== null && event.type !== "gap");
    if (numbered.length === 0) return;
    this.#recent.push(...numbered);
    const surplus = this.#recent.splice(0, Math.max(0, this.#recent.length - RECENT_EVENTS));
    this.#forgotten = surplus.at(-1)?.id ?? this.#forgotten;
    for (const root of ROOTS) this.#applyTo(root, numbered);
    for (const event of numbered) this.#invalidateFor(event);
  }

  /**
   * Notes the newest line of each run in what is held of it. Lines change nothing else, and their
   * numbers only grow, so their event numbers do not matter here.
   */
  applyLines(lines: readonly RuncastEvent[]): void {
    for (const event of lines) {
      const queryKey = keys.run(event.data.run_id ?? "");
      const held = this.queries.getQueryData<Held<Run>>(queryKey);
      const state = held && applyToRun(held.state, event);
      if (held && state && state !== held.state) {
        this.queries.setQueryData(queryKey, { ...held, state });
      }
    }
  }

  /** The answer to what the key names, with the events applied that came while it was on its way. */
  hold<R extends LiveRoot>(root: R, queryKey: QueryKey, answer: Answer<LiveState[R]>): Held<LiveState[R]> {
    const held = { state: answer.data, head: answer.head ?? 0 };
    // Heads of different projects can't be compared, and these events are none of the other's.
    if (isOfOther(root, this.projectId, held.state)) return held;
    // Without a head no one can tell which events the answer includes; the next ones apply.
    if (answer.head === null) return { ...held, head: this.#recent.at(-1)?.id ?? 0 };
    const isKnown = answer.head >= this.#forgotten;
    const caughtUp = isKnown ? reduce(held, this.#recent, appliers[root]) : null;
    // An event came meanwhile that only a new answer can show, or that isn't known any more.
    if (caughtUp === null) this.#invalidateSoon(queryKey);
    return caughtUp ?? held;
  }

  /** Reads again what was read before `position`: the events between were not seen. */
  catchUp(position: number): void {
    void this.queries.invalidateQueries({
      predicate: (query) => {
        if (!isLive(query.queryKey, this.projectId, query.state.data)) return false;
        const held = query.state.data as Held<unknown> | undefined;
        return held === undefined || held.head < position;
      },
    });
  }

  /** Reads everything again that is of this project, or may be: events were lost. */
  invalidate(): void {
    this.#recent = [];
    this.#forgotten = 0;
    for (const root of ["runs", "activeRuns", "tasks"]) {
      void this.queries.invalidateQueries({ queryKey: [root, this.projectId] });
    }
    for (const root of ["run", "subtasks", "artifacts", "agentRuns"]) {
      void this.queries.invalidateQueries({ queryKey: [root] });
    }
  }

  #applyTo<R extends LiveRoot>(root: R, events: readonly RuncastEvent[]): void {
    const queries = this.queries.getQueriesData<Held<LiveState[R]>>({ queryKey: [root] });
    for (const [queryKey, held] of queries) {
      if (!held || !isLive(queryKey, this.projectId, held)) continue;
      const next = reduce(held, events, appliers[root]);
      if (next === null) this.#invalidateSoon(queryKey);
      else if (next.state !== held.state) this.queries.setQueryData(queryKey, next);
      else held.head = next.head;
    }
  }

  #invalidateFor(event: RuncastEvent): void {
    const { type, data } = event;
    if (type === "artifact:created" && data.run_id) {
      this.#invalidateSoon(keys.artifacts(data.run_id));
    }
    if (type === "agent:started" || type === "agent:completed" || type === "agent:failed") {
      const id = data.subtask_id ?? data.task_id;
      const queryKey = id ? keys.agentRuns(id) : ["agentRuns"];
      this.#invalidateSoon(queryKey);
    }
  }

  /**
   * Reads again what a key names: now, and at most once a second while events keep asking for it.
   *
   * A read that is under way is never cancelled, so that a list is shown however fast runs end.
   */
  #invalidateSoon(queryKey: QueryKey): void {
    const name = JSON.stringify(queryKey);
    if (this.#soon.has(name)) {
      this.#soon.set(name, true);
      return;
    }
    // A read that was under way may have been answered before what is asked for now: it is read once more.
    this.#soon.set(name, this.queries.isFetching({ queryKey }) > 0);
    void this.queries.invalidateQueries({ queryKey }, { cancelRefetch: false });
    setTimeout(() => {
      const isAskedAgain = this.#soon.get(name) === true;
      this.#soon.delete(name);
      if (isAskedAgain) this.#invalidateSoon(queryKey);
    }, REREAD_MS);
  }
}

/** What a stream says when a project begins: its active runs, unless not all of them are shown whole. */
export function holdActiveRuns(queries: QueryClient, connected: Connected): void {
  const { project_id: projectId, head, active_runs: state, active_runs_complete: isComplete } = connected;
  if (isComplete === false || state.some((run) => "omitted" in run)) return;
  const held = queries.getQueryData<Held<readonly Run[]>>(keys.activeRuns(projectId));
  if (held && held.head >= head) return;
  queries.setQueryData<Held<readonly Run[]>>(keys.activeRuns(projectId), { state, head });
}

function reduce<T>(
  held: Held<T>,
  events: readonly RuncastEvent[],
  apply: Apply<T>,
): Held<T> | null {
  let { state, head } = held;
  for (const event of events) {
    if (event.id === null || event.id <= head) continue;
    const next = apply(state, event);
    if (next === null) return null;
    state = next;
    head = event.id;
  }
  return { state, head };
}

/** Whether a run was read that is of another project than the events. */
const isOfOther = (root: LiveRoot, projectId: string, state: unknown): boolean =>
  root === "run" && (state as Run).project_id !== projectId;

/** Lists name their project in the key; a single run or task names it in its state. */
function isLive(key: QueryKey, projectId: string, data: unknown): boolean {
  const [root, id] = key;
  if (root === "run") return data !== undefined && !isOfOther(root, projectId, (data as Held<Run>).state);
  if (root === "subtasks") return true;
  return typeof root === "string" && (ROOTS as string[]).includes(root) && id === projectId;
}
