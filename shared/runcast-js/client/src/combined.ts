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
import { Ranges } from "./ranges.js";
import type { SseFrame } from "./sse.js";
import { StreamConnection, type StreamRequest, filterText } from "./stream.js";

/** An event with the id of its project, null where the server doesn't say (backfilled lines). */
export interface ProjectEvent extends RuncastEvent {
  projectId: string | null;
}
export type ProjectEventListener = (events: readonly ProjectEvent[]) => void;

export interface CombinedOptions {
  logs?: LogFilter;
  /** First this many of the last lines of each subscribed run. */
  logTail?: number;
  /** Resume after this position, or after a number of each project. */
  lastEventId?: string | Readonly<Record<string, number>> | null;
  onLag?: "skip";
  random?: () => number;
}

export class CombinedConnection extends StreamConnection {
  /** Where the stream stands in all of its projects; null before anything came. */
  position: string | null;

  readonly #epochs = new Map<string, string>();
  readonly #eventListeners = new Set<ProjectEventListener>();
  readonly #stateListeners = new Set<(state: ConnectionState) => void>();
  readonly #lines = new Map<string, Ranges>();
  #batch: ProjectEvent[] = [];

  /** `projects`: ids or slugs, at most 50, or `"all"` that may be seen. */
  constructor(
    http: Http,
    private readonly projects: readonly string[] | "all",
    private readonly options: CombinedOptions = {},
  ) {
    super(http, options.logs ?? [], options.random);
    this.position = positionOf(options.lastEventId);
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

  override close(): void {
    super.close();
    this.#eventListeners.clear();
    this.#stateListeners.clear();
  }

  protected override request(filter: LogFilter): Promise<StreamRequest> {
    const { projects, position, options } = this;
    const epochs = [...this.#epochs].map(([project, epoch]) => `${project}:${epoch}`);
    return Promise.resolve({
      path: "/events",
      query: {
        projects: projects === "all" ? projects : projects.join(","),
        subscribe_logs: filterText(filter),
        log_tail: position === null ? options.logTail : undefined,
        epoch: position === null || epochs.length === 0 ? undefined : epochs.join(","),
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
    if (isConnected(event)) {
      this.#epochs.set(event.data.project_id, event.data.epoch);
      this.isLive(event.data.connection_id, event.data.heartbeat_s);
    } else if (isBye(event)) {
      if (event.projectId === null) this.isOver(event.data.reason);
      else this.#epochs.delete(event.projectId);
    }
    if (isLog(event) && !this.#isNewLine(event.data.run_id, event.data.line_number)) return;
    this.#batch.push(event);
  }

  #eventOf(frame: SseFrame): ProjectEvent {
    const data = JSON.parse(frame.data) as RuncastEvent["data"];
    if (frame.id === null) {
      const projectId = typeof data.project_id === "string" ? data.project_id : null;
      return { id: null, type: frame.event, data, projectId };
    }
    const [name = "", number = ""] = frame.id.split(",").at(-1)?.split(":") ?? [];
    return { id: Number(number), type: frame.event, data, projectId: this.#projectOf(name) };
  }

  protected override flush(): void {
    if (this.#batch.length === 0) return;
    const events = this.#batch;
    this.#batch = [];
    for (const listener of this.#eventListeners) listener(events);
  }

  protected override onStateChange(state: ConnectionState): void {
    for (const listener of this.#stateListeners) listener(state);
  }

  /** The project that a position calls so: by the end of its id, or by the whole. */
  #projectOf(name: string): string | null {
    for (const project of this.#epochs.keys()) {
      if (project === name || project.replaceAll("-", "").endsWith(name)) return project;
    }
    return null;
  }

  #isNewLine(runId: string, lineNumber: number): boolean {
    let lines = this.#lines.get(runId);
    if (!lines) this.#lines.set(runId, (lines = new Ranges()));
    return lines.add(lineNumber);
  }
}

function positionOf(given: CombinedOptions["lastEventId"]): string | null {
  if (given === null || given === undefined || typeof given === "string") return given ?? null;
  return Object.entries(given).map(([project, number]) => `${project}:${number}`).join(",") || null;
}
