/**
 * Several projects on one connection (`GET /events?projects=`): one place among a person's streams, and one of
 * a browser's connections, however many projects are watched.
 *
 * The position is a text that the server makes: it names every project and where it stands, last the project
 * of the event at hand. It is kept as it is. Each event is handed on with its project, in order and once.
 */
import type { ConnectionState, LogFilter } from "./connection.js";
import { type RuncastEvent, isBye, isConnected, isLog } from "./events.js";
import type { Http } from "./http.js";
import { epochText, epochsOf, lastOf, numbersIn, positionOf, projectNamed } from "./positions.js";
import { Ranges } from "./ranges.js";
import type { SseFrame } from "./sse.js";
import { StreamConnection, type StreamRequest, filterText } from "./stream.js";
import type { Bye, Connected } from "./types.js";

/** An event with the id of its project, null where the server doesn't say (backfilled lines). */
export interface ProjectEvent extends RuncastEvent {
  projectId: string | null;
}
export type ProjectEventListener = (events: readonly ProjectEvent[]) => void;

/** Ids or slugs of projects, at most 50, or all that may be seen: the 50 in which something happened last. */
export type FollowedProjects = readonly string[] | "all";

export interface CombinedOptions {
  logs?: LogFilter;
  /** First this many of the last lines of each subscribed run. */
  logTail?: number;
  /** Resume after this position, or after a number of each project. */
  lastEventId?: string | Readonly<Record<string, number>> | null;
  /** The epochs that belong to the position, as `CombinedConnection.epoch` gave them. */
  epoch?: string | null;
  onLag?: "skip";
  random?: () => number;
}

/** What a page needs of a connection to several projects, be it its own or one shared with other tabs. */
export interface LiveCombined {
  readonly state: ConnectionState;
  /** Where the stream stands in all of its projects; null before anything came. */
  readonly position: string | null;
  /** Ids of the projects whose events come now. */
  readonly live: ReadonlySet<string>;
  onEvents(listener: ProjectEventListener): () => void;
  onState(listener: (state: ConnectionState) => void): () => void;
  setLogs(filter: LogFilter): void;
  retryNow(): void;
  /** Opens the stream again where it stands: `"all"` is what may be seen then. At most every ten seconds. */
  reopen(): void;
  close(): void;
}

const REOPEN_MS = 10_000;
const NO_PROJECTS: ReadonlySet<string> = new Set();

export class CombinedConnection extends StreamConnection implements LiveCombined {
  position: string | null;

  readonly #epochs: Map<string, string>;
  /** Those that have begun on this stream, and go on. */
  readonly #begun = new Set<string>();
  /** Those that have begun, or were found to be gone when they should. */
  readonly #settled = new Set<string>();
  /** Ids by what positions call their projects. */
  readonly #named = new Map<string, string>();
  readonly #eventListeners = new Set<ProjectEventListener>();
  readonly #stateListeners = new Set<(state: ConnectionState) => void>();
  readonly #lines = new Map<string, Ranges>();
  #batch: ProjectEvent[] = [];
  #connected: Connected | null = null;
  #openedAt = Date.now();
  #reopening: ReturnType<typeof setTimeout> | undefined;

  constructor(
    http: Http,
    private readonly projects: FollowedProjects,
    private readonly options: CombinedOptions = {},
  ) {
    super(http, options.logs ?? [], options.random);
    const { lastEventId: given } = options;
    this.position = typeof given === "object" && given !== null ? positionOf(given) : (given ?? null);
    this.#epochs = epochsOf(options.epoch ?? null);
  }

  get live(): ReadonlySet<string> {
    return this.state.status === "live" ? this.#begun : NO_PROJECTS;
  }

  /** The epochs of the projects that have begun, which belong to the position. */
  get epoch(): string | null {
    return epochText(this.#epochs);
  }

  /** A `bye` with a `project_id` among them says that no more comes of that project. */
  onEvents(listener: ProjectEventListener): () => void {
    this.#eventListeners.add(listener);
    return () => this.#eventListeners.delete(listener);
  }

  onState(listener: (state: ConnectionState) => void): () => void {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  }

  reopen(): void {
    this.#reopening ??= setTimeout(
      () => {
        this.#reopening = undefined;
        this.openAgain();
      },
      Math.max(0, this.#openedAt + REOPEN_MS - Date.now()),
    );
  }

  override close(): void {
    super.close();
    clearTimeout(this.#reopening);
    this.#eventListeners.clear();
    this.#stateListeners.clear();
  }

  protected override request(filter: LogFilter): Promise<StreamRequest> {
    const { projects, position, options } = this;
    clearTimeout(this.#reopening);
    this.#reopening = undefined;
    this.#openedAt = Date.now();
    this.#begun.clear();
    this.#settled.clear();
    this.#connected = null;
    return Promise.resolve({
      path: "/events",
      query: {
        projects: projects === "all" ? projects : projects.join(","),
        subscribe_logs: filterText(filter),
        log_tail: position === null ? options.logTail : undefined,
        epoch: position === null ? undefined : (this.epoch ?? undefined),
        on_lag: options.onLag,
      },
      lastEventId: position,
      anonymous: false,
    });
  }

  protected override canFilter(): boolean {
    return true;
  }

  protected override forgetPosition(): boolean {
    const had = this.position !== null;
    this.position = null;
    return had;
  }

  protected override onPosition(id: string): void {
    this.position = id;
  }

  protected override onFrame(frame: SseFrame): void {
    const event = this.#eventOf(frame);
    if (frame.id !== null) this.position = frame.id;
    if (isConnected(event)) this.#begin(event.data);
    else if (isBye(event)) this.#end(event.projectId, event.data.reason);
    if (isLog(event) && !this.#isNewLine(event.data.run_id, event.data.line_number)) return;
    this.#batch.push(event);
  }

  protected override flush(): void {
    const events = this.#batch;
    this.#batch = [];
    if (events.length > 0) for (const listener of this.#eventListeners) listener(events);
    const connected = this.#connected;
    if (!connected || this.#settled.size < (connected.projects ?? 1)) return;
    this.#connected = null;
    // Only now: a listener that learns that it is live has had the state with which each project began.
    for (const id of this.#epochs.keys()) if (!this.#begun.has(id)) this.#forget(id);
    this.isLive(connected.connection_id, connected.heartbeat_s);
  }

  protected override onStateChange(state: ConnectionState): void {
    for (const listener of this.#stateListeners) listener(state);
  }

  #begin(connected: Connected): void {
    this.#epochs.set(connected.project_id, connected.epoch);
    this.#begun.add(connected.project_id);
    this.#settled.add(connected.project_id);
    if (this.state.status !== "live") this.#connected = connected;
    this.#stand(connected);
  }

  /** Where a project began, until an id says so. With a tail that comes after its lines, as they are asked for again. */
  #stand({ project_id: id, resumed_from, head }: Connected): void {
    if (this.options.logTail !== undefined || numbersIn(this.position, [id]).has(id)) return;
    const own = `${id}:${resumed_from ?? head}`;
    this.position = this.position === null ? own : `${own},${this.position}`;
  }

  #forget(projectId: string): void {
    this.#epochs.delete(projectId);
    this.#named.clear();
  }

  #end(projectId: string | null, reason: Bye["reason"]): void {
    if (projectId === null) {
      this.isOver(reason);
      return;
    }
    this.#begun.delete(projectId);
    // Those that were asked for and may not be read are told first, and aren't counted as beginning.
    if (reason !== "revoked") this.#settled.add(projectId);
    // What can't be read now is asked for again; the position still names it.
    if (reason === "shutdown") this.reopen();
    else this.#forget(projectId);
  }

  #eventOf(frame: SseFrame): ProjectEvent {
    const data = JSON.parse(frame.data) as RuncastEvent["data"];
    if (frame.id === null) {
      const projectId = typeof data.project_id === "string" ? data.project_id : null;
      return { id: null, type: frame.event, data, projectId };
    }
    const [name, number] = lastOf(frame.id);
    return { id: number, type: frame.event, data, projectId: this.#projectOf(name) };
  }

  #projectOf(name: string): string | null {
    const known = this.#named.get(name);
    if (known !== undefined) return known;
    const found = projectNamed(name, this.#epochs.keys());
    if (found !== null) this.#named.set(name, found);
    return found;
  }

  #isNewLine(runId: string, lineNumber: number): boolean {
    let lines = this.#lines.get(runId);
    if (!lines) this.#lines.set(runId, (lines = new Ranges()));
    return lines.add(lineNumber);
  }
}
