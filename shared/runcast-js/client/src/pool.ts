/**
 * Connections that several parts of a page use at once, and that outlive a change of page.
 *
 * Each caller that asks for a project's connection gets a handle of its own; the connection asks for the
 * lines that any handle wants, and closes a moment after the last handle did, so that going from
 * one page of a project to another opens no new stream.
 */
import type {
  ConnectionState,
  EventListener,
  LiveConnection,
  LogFilter,
  StateListener,
} from "./connection.js";

const LINGER_MS = 2_000;

interface Pooled {
  connection: LiveConnection;
  handles: Set<Handle>;
  closing: ReturnType<typeof setTimeout> | undefined;
}

export class ConnectionPool {
  readonly #pooled = new Map<string, Pooled>();

  /** A handle on the connection of that name, which is opened if there is none. */
  acquire(name: string, open: () => LiveConnection): LiveConnection {
    let pooled = this.#pooled.get(name);
    if (!pooled || pooled.connection.state.status === "closed") {
      clearTimeout(pooled?.closing);
      // One that ended still holds its place among the tabs.
      pooled?.connection.close();
      pooled = { connection: open(), handles: new Set(), closing: undefined };
      this.#pooled.set(name, pooled);
    }
    clearTimeout(pooled.closing);
    return new Handle(pooled, () => this.#linger(name));
  }

  #linger(name: string): void {
    const pooled = this.#pooled.get(name);
    if (!pooled || pooled.handles.size > 0) return;
    pooled.closing = setTimeout(() => {
      pooled.connection.close();
      if (this.#pooled.get(name) === pooled) this.#pooled.delete(name);
    }, LINGER_MS);
  }
}

class Handle implements LiveConnection {
  #logs: LogFilter = [];
  readonly #stops = new Set<() => void>();

  constructor(
    private readonly pooled: Pooled,
    private readonly onClosed: () => void,
  ) {
    pooled.handles.add(this);
  }

  get projectId(): string {
    return this.pooled.connection.projectId;
  }
  get state(): ConnectionState {
    return this.pooled.connection.state;
  }
  get position(): number | null {
    return this.pooled.connection.position;
  }

  onEvents(listener: EventListener): () => void {
    return this.#keep(this.pooled.connection.onEvents(listener));
  }
  onState(listener: StateListener): () => void {
    return this.#keep(this.pooled.connection.onState(listener));
  }
  setLogs(filter: LogFilter): void {
    this.#logs = filter;
    this.#apply();
  }
  retryNow(): void {
    this.pooled.connection.retryNow();
  }
  close(): void {
    for (const stop of this.#stops) stop();
    this.#stops.clear();
    if (!this.pooled.handles.delete(this)) return;
    this.#apply();
    this.onClosed();
  }

  #apply(): void {
    const filters = [...this.pooled.handles].map((handle) => handle.#logs);
    const all = filters.includes("all");
    this.pooled.connection.setLogs(all ? "all" : [...new Set(filters.flat())]);
  }

  #keep(stop: () => void): () => void {
    this.#stops.add(stop);
    return () => {
      this.#stops.delete(stop);
      stop();
    };
  }
}
