/**
 * Connections that several parts of a page use at once, and that outlive a change of page.
 *
 * Each caller that asks for a connection gets a handle of its own; the connection asks for the lines that any
 * handle wants, and closes a moment after the last handle did, so that going from one page of a project to
 * another opens no new stream.
 */
import type { LiveCombined, ProjectEvent } from "./combined.js";
import type { ConnectionState, LiveConnection, LogFilter, StateListener } from "./connection.js";
import type { RuncastEvent } from "./events.js";

const LINGER_MS = 2_000;

/** What both kinds of connections have. */
interface Poolable {
  readonly state: ConnectionState;
  onState(listener: StateListener): () => void;
  setLogs(filter: LogFilter): void;
  retryNow(): void;
  close(): void;
}

interface Pooled<C> {
  connection: C;
  /** The lines that each handle wants. */
  wanted: Map<object, LogFilter>;
  closing: ReturnType<typeof setTimeout> | undefined;
}

type HandleOf<C, H> = new (pooled: Pooled<C>, onClosed: () => void) => H;

interface Told<E> {
  onEvents(listener: (events: readonly E[]) => void): () => void;
}

export class ConnectionPool<C extends Poolable, H> {
  readonly #pooled = new Map<string, Pooled<C>>();

  constructor(private readonly handle: HandleOf<C, H>) {}

  /** A handle on the connection of that name, which is opened if there is none. */
  acquire(name: string, open: () => C): H {
    let pooled = this.#pooled.get(name);
    if (!pooled || pooled.connection.state.status === "closed") {
      clearTimeout(pooled?.closing);
      // One that ended still holds its place among the tabs.
      pooled?.connection.close();
      pooled = { connection: open(), wanted: new Map(), closing: undefined };
      this.#pooled.set(name, pooled);
    }
    clearTimeout(pooled.closing);
    return new this.handle(pooled, () => this.#linger(name));
  }

  #linger(name: string): void {
    const pooled = this.#pooled.get(name);
    if (!pooled || pooled.wanted.size > 0) return;
    pooled.closing = setTimeout(() => {
      pooled.connection.close();
      if (this.#pooled.get(name) === pooled) this.#pooled.delete(name);
    }, LINGER_MS);
  }
}

abstract class Handle<E, C extends Poolable & Told<E>> {
  readonly #stops = new Set<() => void>();

  constructor(
    protected readonly pooled: Pooled<C>,
    private readonly onClosed: () => void,
  ) {
    pooled.wanted.set(this, []);
  }

  get state(): ConnectionState {
    return this.pooled.connection.state;
  }

  onEvents(listener: (events: readonly E[]) => void): () => void {
    return this.#keep(this.pooled.connection.onEvents(listener));
  }
  onState(listener: StateListener): () => void {
    return this.#keep(this.pooled.connection.onState(listener));
  }
  setLogs(filter: LogFilter): void {
    this.pooled.wanted.set(this, filter);
    this.#apply();
  }
  retryNow(): void {
    this.pooled.connection.retryNow();
  }
  close(): void {
    for (const stop of this.#stops) stop();
    this.#stops.clear();
    if (!this.pooled.wanted.delete(this)) return;
    this.#apply();
    this.onClosed();
  }

  #apply(): void {
    const filters = [...this.pooled.wanted.values()];
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

export class ProjectHandle extends Handle<RuncastEvent, LiveConnection> implements LiveConnection {
  get projectId(): string {
    return this.pooled.connection.projectId;
  }
  get position(): number | null {
    return this.pooled.connection.position;
  }
}

export class CombinedHandle extends Handle<ProjectEvent, LiveCombined> implements LiveCombined {
  get position(): string | null {
    return this.pooled.connection.position;
  }
  get live(): ReadonlySet<string> {
    return this.pooled.connection.live;
  }
  reopen(): void {
    this.pooled.connection.reopen();
  }
}
