/**
 * One connection for all tabs of a browser that look at the same project.
 *
 * Browsers open at most six HTTP/1.1 connections to a host, and a person may hold few streams;
 * forty tabs must not meet either limit. The tabs elect a leader with a Web Lock: whoever holds
 * it owns the `ProjectConnection` and hands its events to the others over a `BroadcastChannel`.
 * When the leader's tab closes, crashes or is discarded, the browser passes the lock on, and the
 * next leader resumes after the last number that it saw itself, so no tab misses an event.
 *
 * Each tab also holds a lock of its own, for which the leader queues: it is granted when that tab
 * is gone, and the lines that only this tab wanted are no longer asked for.
 */
import {
  type ConnectionState,
  type EventListener,
  type LiveConnection,
  type LogFilter,
  ProjectConnection,
  type StateListener,
} from "./connection.js";
import type { RuncastEvent } from "./events.js";
import type { Http } from "./http.js";

type Message =
  | { kind: "want"; tab: string; logs: LogFilter }
  | { kind: "state"; state: ConnectionState; position: number | null; epoch: string | null }
  | { kind: "events"; events: readonly RuncastEvent[]; position: number | null }
  | { kind: "roll call" }
  | { kind: "retry" };

/** What the platform gives; tests bring their own. */
export interface Tabs {
  locks: Pick<LockManager, "request">;
  channel: (name: string) => BroadcastChannel;
}

export function browserTabs(): Tabs | null {
  const locks = globalThis.navigator?.locks;
  if (!locks || typeof BroadcastChannel === "undefined") return null;
  return { locks, channel: (name) => new BroadcastChannel(name) };
}

export class SharedConnection implements LiveConnection {
  state: ConnectionState = { status: "connecting" };
  position: number | null = null;

  readonly #name: string;
  readonly #tab = crypto.randomUUID();
  readonly #channel: BroadcastChannel;
  readonly #release = new AbortController();
  readonly #eventListeners = new Set<EventListener>();
  readonly #stateListeners = new Set<StateListener>();
  readonly #wants = new Map<string, LogFilter>();
  #logs: LogFilter = [];
  #epoch: string | null = null;
  #connection: ProjectConnection | null = null;

  /** `identity` separates people who sign in one after another in the same browser. */
  constructor(
    private readonly http: Http,
    readonly projectId: string,
    identity: string,
    private readonly tabs: Tabs,
  ) {
    this.#name = `runcast ${http.baseUrl} ${identity} ${projectId}`;
    this.#channel = tabs.channel(this.#name);
    this.#channel.onmessage = ({ data }: MessageEvent<Message>) => this.#receive(data);
    this.#hold(this.#tabLock(this.#tab), () => undefined);
    this.#hold(this.#name, () => this.#lead());
    this.#want();
  }

  get isLeader(): boolean {
    return this.#connection !== null;
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
    this.#logs = filter;
    this.#want();
  }

  retryNow(): void {
    if (this.#connection) this.#connection.retryNow();
    else this.#send({ kind: "retry" });
  }

  close(): void {
    this.#eventListeners.clear();
    this.#stateListeners.clear();
    this.#connection?.close();
    this.#connection = null;
    this.#release.abort();
    this.#channel.close();
  }

  /** Takes the lock when its turn comes, and keeps it until this tab closes the connection. */
  #hold(lock: string, onGranted: () => void): void {
    const { signal } = this.#release;
    const held = async (): Promise<void> => {
      onGranted();
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener("abort", () => resolve(), { once: true });
      });
    };
    this.tabs.locks.request(lock, { signal }, held).catch(() => undefined);
  }

  #lead(): void {
    if (this.#release.signal.aborted) return;
    const connection = new ProjectConnection(this.http, this.projectId, {
      logs: this.#union(),
      lastEventId: this.position,
      epoch: this.#epoch,
    });
    this.#connection = connection;
    connection.onState((state) => {
      this.#epoch = connection.epoch;
      this.#setState(state);
      this.#sendState();
    });
    connection.onEvents((events) => {
      this.#epoch = connection.epoch;
      this.position = connection.position;
      this.#send({ kind: "events", events, position: connection.position });
      this.#emit(events);
    });
    this.#send({ kind: "roll call" });
  }

  #receive(message: Message): void {
    if (message.kind === "want") this.#hear(message.tab, message.logs);
    else if (message.kind === "retry") this.#connection?.retryNow();
    else if (message.kind === "roll call") this.#want();
    else if (this.#connection) return;
    else if (message.kind === "state") {
      this.#epoch = message.epoch;
      this.position ??= message.position;
      this.#setState(message.state);
    } else {
      this.position = message.position;
      this.#emit(message.events);
    }
  }

  /** As leader: another tab says which lines it shows. */
  #hear(tab: string, logs: LogFilter): void {
    if (!this.#connection) return;
    if (!this.#wants.has(tab)) this.#watch(tab);
    this.#wants.set(tab, logs);
    this.#connection.setLogs(this.#union());
    this.#sendState();
  }

  #watch(tab: string): void {
    const { signal } = this.#release;
    const gone = (): Promise<void> => {
      this.#wants.delete(tab);
      this.#connection?.setLogs(this.#union());
      return Promise.resolve();
    };
    this.tabs.locks.request(this.#tabLock(tab), { signal }, gone).catch(() => undefined);
  }

  #want(): void {
    if (this.#connection) this.#connection.setLogs(this.#union());
    else this.#send({ kind: "want", tab: this.#tab, logs: this.#logs });
  }

  #union(): LogFilter {
    const runs = new Set<string>();
    for (const logs of [this.#logs, ...this.#wants.values()]) {
      if (logs === "all") return "all";
      for (const run of logs) runs.add(run);
    }
    return [...runs];
  }

  #sendState(): void {
    const { state, position } = this;
    this.#send({ kind: "state", state: cloneable(state), position, epoch: this.#epoch });
  }

  #send(message: Message): void {
    if (!this.#release.signal.aborted) this.#channel.postMessage(message);
  }

  #emit(events: readonly RuncastEvent[]): void {
    for (const listener of this.#eventListeners) listener(events);
  }

  #setState(state: ConnectionState): void {
    this.state = state;
    for (const listener of this.#stateListeners) listener(state);
  }

  #tabLock(tab: string): string {
    return `${this.#name} tab ${tab}`;
  }
}

/** A problem is an `Error` with fields, which a channel would strip. */
function cloneable(state: ConnectionState): ConnectionState {
  return state.status === "closed" ? { ...state, problem: null } : state;
}

