import { type CallAnswer, type CallOptions, type MethodOf, type Path, requestOf } from "./call.js";
import { CombinedConnection, type CombinedOptions, type LiveCombined, type FollowedProjects } from "./combined.js";
import { ProjectConnection, type ConnectionOptions, type LiveConnection } from "./connection.js";
import { type Answer, Http, type HttpOptions, type Query } from "./http.js";
import { keyFault, segment } from "./names.js";
import { ndjson } from "./ndjson.js";
import { CombinedHandle, ConnectionPool, ProjectHandle } from "./pool.js";
import { type RecordOptions, RunRecorder } from "./recording/recorder.js";
import { RunLog } from "./run-log.js";
import { browserTabs } from "./shared.js";
import { SharedCombined, SharedConnection } from "./shared-kinds.js";
import type { Artifact, LogEntry, Project, Role, Run, RunStatus, Subtask, Task } from "./types.js";

export interface Page {
  limit?: number;
  cursor?: string | null;
}

export interface RunQuery extends Page {
  /** Of a project's or all runs, those in this state, or in one of these. */
  status?: RunStatus | readonly RunStatus[];
  key?: string;
  /** Words in id, key, name, agent or step, in any case. */
  q?: string;
  task_id?: string;
}

export interface LogQuery {
  after_line?: number;
  before_line?: number;
  tail?: number;
  limit?: number;
  q?: string;
  /** Whether `q` is a regular expression (RE2's syntax). */
  regex?: boolean;
  level?: string;
  agent_name?: string;
  /** A page's `next_cursor`, with the same other parameters. */
  cursor?: string;
}

export interface SearchQuery {
  q?: string;
  regex?: boolean;
  level?: string;
  agent_name?: string;
  from_line?: number;
}

export interface SearchProgress {
  searched_to_line: number;
  matches: number;
  /** At the end: whether it was searched to its end, or cut short. */
  done?: boolean;
}

export type SearchItem = LogEntry | SearchProgress;

export const isProgress = (item: SearchItem): item is SearchProgress => "searched_to_line" in item;

export interface LogPage {
  logs: LogEntry[];
  next_cursor: string | null;
}

export interface Listed {
  total?: number;
  next_cursor: string | null;
}
export type Runs = Listed & { runs: Run[] };
export type Projects = Listed & { projects: Project[] };
export type Artifacts = Listed & { artifacts: Artifact[] };
export type Tasks = Listed & { tasks: Task[] };

export type SubtaskMove = "start" | "complete" | "fail" | "review" | "merge" | "skip" | "retry";
export type TaskMove = "activate" | "planning-failed" | "retry-planning";

export interface NewRun {
  id?: string;
  key?: string;
  name?: string;
  status?: RunStatus;
  input?: unknown;
  metadata?: Record<string, unknown>;
  [field: string]: unknown;
}

/** What may be changed of a task or a subtask; `position` orders it among its siblings. */
export interface TaskChange {
  title?: string;
  description?: string;
  position?: number;
}

/** Also which subtasks a subtask waits for, by their ids. */
export interface SubtaskChange extends TaskChange {
  depends_on?: string[];
}

export interface NewTask {
  title: string;
  description?: string;
  kind?: string;
  subtasks?: NewSubtask[];
}

export interface NewSubtask {
  title: string;
  key?: string;
  description?: string;
  /** Keys or ids of other subtasks of the task. */
  depends_on?: string[];
}

/**
 * Runcast's endpoints, typed. Each answers with its data and the head that this state includes;
 * an unsuccessful answer is thrown as a `Problem`.
 */
export class RuncastClient {
  readonly http: Http;
  readonly #pool = new ConnectionPool<LiveConnection, ProjectHandle>(ProjectHandle);
  readonly #combined = new ConnectionPool<LiveCombined, CombinedHandle>(CombinedHandle);

  constructor(options: HttpOptions = {}) {
    this.http = new Http(options);
  }

  // Projects

  projects(page: Page = {}): Promise<Answer<Projects>> {
    return this.#get("/projects", { ...page });
  }
  project(project: string): Promise<Answer<Project>> {
    return this.#get(`/projects/${segment(project)}`);
  }
  createProject(body: { name: string; slug?: string }): Promise<Answer<Project>> {
    return this.#post("/projects", body);
  }
  updateProject(project: string, body: { name?: string; slug?: string }): Promise<Answer<Project>> {
    return this.http.json("PATCH", `/projects/${segment(project)}`, { body });
  }
  deleteProject(project: string): Promise<Answer<null>> {
    return this.http.json("DELETE", `/projects/${segment(project)}`);
  }

  // Runs

  runs(query: RunQuery = {}): Promise<Answer<Runs>> {
    return this.#get("/runs", { ...query });
  }
  projectRuns(project: string, query: RunQuery = {}, signal?: AbortSignal): Promise<Answer<Runs>> {
    return this.http.json("GET", `/projects/${segment(project)}/runs`, { query: { ...query }, signal });
  }
  activeRuns(project: string): Promise<Answer<{ runs: Run[] }>> {
    return this.#get(`/projects/${segment(project)}/active-runs`);
  }
  run(run: string, project?: string): Promise<Answer<Run>> {
    return this.#get(`/runs/${segment(run)}`, { project });
  }
  /** The runs that a run started, oldest first. */
  childRuns(run: string, page: Page = {}): Promise<Answer<Runs>> {
    return this.#get(`/runs/${segment(run)}/children`, { ...page });
  }
  createRun(project: string, body: NewRun = {}): Promise<Answer<Run>> {
    const fault = body.key === undefined ? null : keyFault(body.key);
    if (fault !== null) return Promise.reject(new TypeError(`key ${fault}`));
    return this.#post(`/projects/${segment(project)}/runs`, body);
  }
  /** A run that this program reports: it says, and the rest happens in the background. */
  record(project = "default", options: RecordOptions = {}): RunRecorder {
    return new RunRecorder(this.http, project, options);
  }
  cancelRun(run: string): Promise<Answer<Run>> {
    return this.#post(`/runs/${segment(run)}/cancel`);
  }
  retryRun(run: string): Promise<Answer<Run>> {
    return this.#post(`/runs/${segment(run)}/retry`);
  }
  startDemo(run: string, intervalSeconds?: number): Promise<Answer<unknown>> {
    return this.http.json("POST", `/runs/${segment(run)}/demo`, {
      query: { interval_s: intervalSeconds },
    });
  }

  // Artifacts

  artifacts(run: string, versions: "latest" | "all" = "latest"): Promise<Answer<Artifacts>> {
    const query = { versions: versions === "all" ? "all" : undefined, limit: 1000 };
    return this.#get(`/runs/${segment(run)}/artifacts`, query);
  }
  artifactContent(artifact: string, signal?: AbortSignal): Promise<Response> {
    const path = `/artifacts/${segment(artifact)}/content`;
    return this.http.send("GET", path, { headers: { Accept: "*/*" }, signal });
  }

  // Logs

  /** A page of lines, oldest first. With a filter there may be fewer than asked for and more to come. */
  logs(run: string, query: LogQuery = {}, signal?: AbortSignal): Promise<Answer<LogPage>> {
    const path = `/runs/${segment(run)}/logs`;
    return this.http.json<LogPage>("GET", path, { query: { ...query }, signal });
  }
  /** The whole log as text, each line as it was written. */
  logText(run: string, query: LogQuery = {}): Promise<Response> {
    const headers = { Accept: "text/plain" };
    return this.http.send("GET", `/runs/${segment(run)}/logs`, { headers, query: { ...query } });
  }
  /** The whole log, or what a filter wants of it, entry by entry. */
  async *logEntries(run: string, query: LogQuery = {}, signal?: AbortSignal): AsyncGenerator<LogEntry, void> {
    const headers = { Accept: "application/x-ndjson" };
    const path = `/runs/${segment(run)}/logs`;
    const response = await this.http.send("GET", path, { headers, query: { ...query }, signal });
    if (response.body) yield* ndjson<LogEntry>(response.body);
  }
  /** The whole of a line that was cut, while its file is still there. */
  rawLine(run: string, lineNumber: number): Promise<Response> {
    const headers = { Accept: "text/plain" };
    return this.http.send("GET", `/runs/${segment(run)}/logs/${lineNumber}/raw`, { headers });
  }
  /** Matches as the server finds them, and how far it has read. */
  async *searchLogs(
    run: string,
    query: SearchQuery,
    signal?: AbortSignal,
  ): AsyncGenerator<SearchItem, void> {
    const headers = { Accept: "application/x-ndjson" };
    const path = `/runs/${segment(run)}/logs/search`;
    const response = await this.http.send("GET", path, { headers, query: { ...query }, signal });
    if (response.body) yield* ndjson<SearchItem>(response.body);
  }
  runLog(run: string): RunLog {
    return new RunLog(this.http, run);
  }

  // Tasks

  tasks(project: string): Promise<Answer<Tasks>> {
    return this.#get(`/projects/${segment(project)}/tasks`, { limit: 1000 });
  }
  task(task: string): Promise<Answer<Task>> {
    return this.#get(`/tasks/${segment(task)}`);
  }
  createTask(project: string, body: NewTask): Promise<Answer<Task>> {
    return this.#post(`/projects/${segment(project)}/tasks`, body);
  }
  updateTask(task: string, body: TaskChange): Promise<Answer<Task>> {
    return this.http.json("PATCH", `/tasks/${segment(task)}`, { body });
  }
  moveTask(task: string, move: TaskMove, body: object = {}): Promise<Answer<Task>> {
    return this.#post(`/tasks/${segment(task)}/${move}`, body);
  }
  deleteTask(task: string): Promise<Answer<null>> {
    return this.http.json("DELETE", `/tasks/${segment(task)}`);
  }
  addSubtask(task: string, body: NewSubtask): Promise<Answer<Subtask>> {
    return this.#post(`/tasks/${segment(task)}/subtasks`, body);
  }
  deleteSubtask(subtask: string): Promise<Answer<null>> {
    return this.http.json("DELETE", `/subtasks/${segment(subtask)}`);
  }
  subtask(subtask: string): Promise<Answer<Subtask>> {
    return this.#get(`/subtasks/${segment(subtask)}`);
  }
  updateSubtask(subtask: string, body: SubtaskChange): Promise<Answer<Subtask>> {
    return this.http.json("PATCH", `/subtasks/${segment(subtask)}`, { body });
  }
  moveSubtask(subtask: string, move: SubtaskMove, body: object = {}): Promise<Answer<Subtask>> {
    return this.#post(`/subtasks/${segment(subtask)}/${move}`, body);
  }

  // People

  inviteMember(email: string, project: string, role: Role): Promise<Answer<unknown>> {
    return this.#post("/invitations", { email, project, role });
  }

  // Streams

  /** A ticket for one stream of this project, good for 30 s: for `EventSource`, or another host. */
  async streamTicket(project: string): Promise<string> {
    const path = `/projects/${segment(project)}/stream-tickets`;
    return (await this.#post<{ ticket: string }>(path)).data.ticket;
  }
  /** A connection of this page's own. */
  connect(project: string, options: ConnectionOptions = {}): ProjectConnection {
    return new ProjectConnection(this.http, project, options);
  }
  /** The events of several projects (at most 50 ids or slugs, or `"all"`) on one connection. */
  events({ projects, ...options }: CombinedOptions & { projects: FollowedProjects }): CombinedConnection {
    return new CombinedConnection(this.http, projects, options);
  }
  /** One connection for all of this browser's tabs; where that can't be had, one for this tab. */
  share(project: string, identity: string): LiveConnection {
    const tabs = browserTabs();
    return this.#pool.acquire(`${identity} ${project}`, () =>
      tabs
        ? new SharedConnection(this.http, project, identity, tabs)
        : new ProjectConnection(this.http, project),
    );
  }

  /** The same for several projects: all tabs that follow the same ones share a connection. */
  shareEvents(projects: FollowedProjects, identity: string): LiveCombined {
    const tabs = browserTabs();
    const name = projects === "all" ? projects : projects.join(",");
    return this.#combined.acquire(`${identity} ${name}`, () =>
      tabs
        ? new SharedCombined(this.http, projects, identity, tabs)
        : new CombinedConnection(this.http, projects),
    );
  }

  /**
   * Any endpoint, typed by the server's description: `call("get", "/runs/{run}/children", { path: { run } })`.
   * Throws a `Problem` like the others.
   */
  call<P extends Path, M extends MethodOf<P>>(
    method: M,
    path: P,
    ...[options]: Partial<CallOptions<P, M>> extends CallOptions<P, M>
      ? [options?: CallOptions<P, M>]
      : [options: CallOptions<P, M>]
  ): Promise<Answer<CallAnswer<P, M>>> {
    return this.http.json(method.toUpperCase(), ...requestOf(path, options ?? {}));
  }

  #get<T>(path: string, query: Query = {}): Promise<Answer<T>> {
    return this.http.json("GET", path, { query });
  }
  #post<T>(path: string, body: unknown = {}): Promise<Answer<T>> {
    return this.http.json("POST", path, { body });
  }
}

