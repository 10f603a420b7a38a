/**
 * One project's share of a connection to several, as if it were a connection of its own.
 *
 * A page that follows one project needn't know whether others come on the same stream. A part is `live` from the
 * moment at which its project has begun, and ends alone when the server says that no more comes of it.
 */
import type { LiveCombined, ProjectEvent } from "./combined.js";
import type {
  ConnectionState,
  EventListener,
  LiveConnection,
  LogFilter,
  StateListener,
} from "./connection.js";
import { type RuncastEvent, isBye, isConnected } from "./events.js";
import { numbersIn } from "./positions.js";
import { filterText } from "./stream.js";

const CONNECTING: ConnectionState = { status: "connecting" };

export class CombinedParts {
  readonly #parts = new Map<string, Set<Part>>();
  readonly #ended = new Map<string, ConnectionState>();
  readonly #listeners = new Set<() => void>();
  #asked = "";

  /** `logs`: lines that are wanted besides those that parts ask for. */
  constructor(
    readonly connection: LiveCombined,
    private readonly logs: LogFilter = [],
  ) {
    this.applyLogs();
    connection.onEvents((events) => this.#take(events));
    connection.onState(() => this.#tell());
  }

  get state(): ConnectionState {
    return this.connection.state;
  }

  /** The state of one project's part. */
  stateOf(projectId: string): ConnectionState {
    const { state, live } = this.connection;
    const ended = this.#ended.get(projectId);
    if (ended && state.status === "live") return ended;
    return state.status === "live" && !live.has(projectId) ? CONNECTING : state;
  }

  /** Ids of the projects whose events come now. */
  get live(): ReadonlySet<string> {
    return this.connection.live;
  }

  /** Called when the state of the connection or of any part may have changed. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  part(projectId: string): LiveConnection {
    const parts = this.#parts.get(projectId) ?? new Set();
    this.#parts.set(projectId, parts);
    const part: Part = new Part(this, projectId, () => {
      parts.delete(part);
      if (parts.size === 0) this.#parts.delete(projectId);
      this.applyLogs();
    });
    parts.add(part);
    return part;
  }

  /** Asks for the lines that any part wants. */
  applyLogs(): void {
    const parts = [...this.#parts.values()].flatMap((each) => [...each]);
    const filters = [this.logs, ...parts.map(({ logs }) => logs)];
    const all = filters.includes("all");
    const filter: LogFilter = all ? "all" : [...new Set(filters.flat())];
    if (filterText(filter) === this.#asked) return;
    this.#asked = filterText(filter);
    this.connection.setLogs(filter);
  }

  close(): void {
    this.connection.close();
  }

  #take(events: readonly ProjectEvent[]): void {
    let hasChanged = false;
    for (const event of events) {
      if (!event.projectId) continue;
      if (isConnected(event)) this.#ended.delete(event.projectId);
      else if (isBye(event)) this.#end(event.projectId, event.data.reason);
      else continue;
      hasChanged = true;
    }
    for (const [projectId, own] of byProject(events)) {
      for (const part of this.#parts.get(projectId) ?? []) part.emit(own);
    }
    if (hasChanged) this.#tell();
  }

  #end(projectId: string, reason: string): void {
    // A part that can't be read now is asked for again.
    const isAway = reason === "shutdown";
    this.#ended.set(projectId, isAway ? CONNECTING : { status: "closed", reason, problem: null });
  }

  #tell(): void {
    for (const [projectId, parts] of this.#parts) {
      const state = this.stateOf(projectId);
      for (const part of parts) part.tell(state);
    }
    for (const listener of this.#listeners) listener();
  }
}

function byProject(events: readonly ProjectEvent[]): Map<string, ProjectEvent[]> {
  const grouped = new Map<string, ProjectEvent[]>();
  for (const event of events) {
    if (event.projectId === null) continue;
    const own = grouped.get(event.projectId);
    if (own) own.push(event);
    else grouped.set(event.projectId, [event]);
  }
  return grouped;
}

class Part implements LiveConnection {
  state: ConnectionState;
  logs: LogFilter = [];
  readonly #eventListeners = new Set<EventListener>();
  readonly #stateListeners = new Set<StateListener>();

  constructor(
    private readonly whole: CombinedParts,
    readonly projectId: string,
    private readonly onClosed: () => void,
  ) {
    this.state = whole.stateOf(projectId);
  }

  get position(): number | null {
    const { position } = this.whole.connection;
    return numbersIn(position, [this.projectId]).get(this.projectId) ?? null;
  }

  onEvents(listener: EventListener): () => void {
    this.#eventListeners.add(listener);
    return () => this.#eventListeners.delete(listener);
  }
  onState(listener: StateListener): () => void {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  }
  setLogs(filter: LogFilter): void {
    this.logs = filter;
    this.whole.applyLogs();
  }
  retryNow(): void {
    this.whole.connection.retryNow();
  }
  close(): void {
    this.#eventListeners.clear();
    this.#stateListeners.clear();
    this.onClosed();
  }

  emit(events: readonly RuncastEvent[]): void {
    for (const listener of this.#eventListeners) listener(events);
  }
  tell(state: ConnectionState): void {
    if (state === this.state) return;
    this.state = state;
    for (const listener of this.#stateListeners) listener(state);
  }
}
