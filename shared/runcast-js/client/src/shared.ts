/**
 * One connection for all tabs of a browser that look at the same project.
 *
 * Browsers open at most six HTTP/1.1 connections to a host, and a person may hold few streams; forty tabs
 * must not meet either limit. The tabs elect a leader (`leadership.ts`), which owns the `ProjectConnection`
 * and hands its events to the others over a `BroadcastChannel`. A new leader resumes after the last number
 * that it saw itself. A tab that led and was stopped meanwhile is told by a `gap` what it missed.
 *
 * Each tab also holds a lock of its own, for which the leader queues: it is granted when that tab is gone,
 * and the lines that only this tab wanted are no longer asked for. Without locks a tab's wish is forgotten
 * when the tab hasn't repeated it for some minutes.
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
import { Leadership, type LeadershipMessage } from "./leadership.js";
import { Problem } from "./problem.js";

interface StateMessage {
  kind: "state";
  /** The tab that asked, or null: all. */
  to: string | null;
  state: ConnectionState | ClosedState;
  position: number | null;
  epoch: string | null;
}
type Message =
  | LeadershipMessage
  | StateMessage
  | { kind: "want"; tab: string; logs: LogFilter; asksState: boolean }
  | { kind: "events"; events: readonly RuncastEvent[]; after: number | null; position: number | null }
  | { kind: "roll call" }
  | { kind: "retry" };

/** What the platform gives; tests bring their own. */
export interface Tabs {
  /** Null where the page isn't a secure context. */
  locks: Pick<LockManager, "request"> | null;
  channel: (name: string) => BroadcastChannel;
}

export function browserTabs(): Tabs | null {
  if (typeof BroadcastChannel === "undefined") return null;
  const locks = (globalThis.navigator as Navigator | undefined)?.locks;
  return { locks: locks ?? null, channel: (name) => new BroadcastChannel(name) };
}

/** Without locks a wish for lines that wasn't repeated for this long is dropped. */
const WISH_MS = 180_000;
const REPEAT_WISH_MS = 45_000;

interface Wish {
  logs: LogFilter;
  heardAt: number;
}

export class SharedConnection implements LiveConnection {
  state: ConnectionState = { status: "connecting" };
  position: number | null = null;

  readonly #name: string;
  readonly #tab = tabName();
  readonly #channel: BroadcastChannel;
  readonly #release = new AbortController();
  readonly #eventListeners = new Set<EventListener>();
  readonly #stateListeners = new Set<StateListener>();
  readonly #wishes = new Map<string, Wish>();
  readonly #leadership: Leadership;
  readonly #repeat: ReturnType<typeof setInterval>;
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
    this.#holdTabLock();
    this.#leadership = new Leadership({
      locks: tabs.locks,
      name: this.#name,
      tab: this.#tab,
      send: (message) => this.#send(message),
      onLead: () => this.#lead(),
      onYield: () => this.#yield(),
    });
    this.#want();
    this.#repeat = setInterval(() => this.#want(), REPEAT_WISH_MS);
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

  /** Ends a wait between two attempts; opens a connection that was refused once more. */
  retryNow(): void {
    if (this.#connection) this.#retry();
    else this.#send({ kind: "retry" });
  }

  close(): void {
    if (this.#release.signal.aborted) return;
    clearInterval(this.#repeat);
    this.#eventListeners.clear();
    this.#stateListeners.clear();
    this.#connection?.close();
    this.#connection = null;
    this.#leadership.close();
    this.#release.abort();
    this.#channel.close();
  }

  /** Held as long as this tab is there. */
  #holdTabLock(): void {
    const { signal } = this.#release;
    const gone = (): Promise<void> =>
      new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    this.tabs.locks?.request(this.#tabLock(this.#tab), { signal }, gone).catch(() => undefined);
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
      if (connection !== this.#connection) return;
      this.#epoch = connection.epoch;
      this.position ??= connection.position;
      this.#setState(state);
      this.#sendState(null);
    });
    connection.onEvents((events) => {
      if (connection !== this.#connection) return;
      const after = this.position;
      this.#epoch = connection.epoch;
      this.position = connection.position;
      this.#send({ kind: "events", events, after, position: connection.position });
      this.#emit(events);
    });
    this.#send({ kind: "roll call" });
  }

  /** Another tab leads: it was faster while this one was stopped. */
  #yield(): void {
    this.#connection?.close();
    this.#connection = null;
    this.#setState({ status: "connecting" });
    this.#want();
  }

  #retry(): void {
    if (this.#connection?.state.status === "closed") this.#lead();
    else this.#connection?.retryNow();
  }

  #receive(message: Message): void {
    switch (message.kind) {
      case "want":
        return this.#hear(message.tab, message.logs, message.asksState);
      case "retry":
        return this.#retry();
      case "roll call":
        this.#leadership.heard();
        return this.#want();
      case "state":
        if (!this.#connection && (message.to ?? this.#tab) === this.#tab) this.#learn(message);
        return;
      case "events":
        if (this.#connection) return;
        this.#leadership.heard();
        this.#tellGap(message.after);
        this.position = message.position;
        this.#emit(message.events);
        return;
      default:
        this.#leadership.receive(message);
        // A leader is there, and this tab doesn't know yet how its connection is.
        if (message.kind === "answer" && this.state.status === "connecting") this.#want();
    }
  }

  #learn(message: StateMessage): void {
    this.#leadership.heard();
    this.#tellGap(message.position);
    this.#epoch = message.epoch;
    this.position ??= message.position;
    this.#setState(revived(message.state));
  }

  /** Says what this tab missed if the leader is further than what it has seen. */
  #tellGap(leaderAt: number | null): void {
    const { position } = this;
    if (position === null || leaderAt === null || leaderAt <= position) return;
    this.position = leaderAt;
    const data = { from: position + 1, to: leaderAt, reason: "lag", refetch: [] };
    this.#emit([{ id: leaderAt, type: "gap", data }]);
  }

  /** As leader: another tab says which lines it shows. */
  #hear(tab: string, logs: LogFilter, asksState: boolean): void {
    if (!this.#connection) return;
    if (!this.#wishes.has(tab)) this.#watch(tab);
    this.#wishes.set(tab, { logs, heardAt: Date.now() });
    this.#connection.setLogs(this.#union());
    if (asksState) this.#sendState(tab);
  }

  #watch(tab: string): void {
    const { signal } = this.#release;
    const gone = (): Promise<void> => {
      this.#wishes.delete(tab);
      this.#connection?.setLogs(this.#union());
      return Promise.resolve();
    };
    this.tabs.locks?.request(this.#tabLock(tab), { signal }, gone).catch(() => undefined);
  }

  #want(): void {
    if (this.#connection) this.#connection.setLogs(this.#union());
    else {
      const asksState = this.state.status === "connecting";
      this.#send({ kind: "want", tab: this.#tab, logs: this.#logs, asksState });
    }
  }

  #union(): LogFilter {
    if (!this.tabs.locks) {
      const stale = Date.now() - WISH_MS;
      for (const [tab, { heardAt }] of this.#wishes) if (heardAt < stale) this.#wishes.delete(tab);
    }
    const runs = new Set<string>();
    for (const logs of [this.#logs, ...[...this.#wishes.values()].map((wish) => wish.logs)]) {
      if (logs === "all") return "all";
      for (const run of logs) runs.add(run);
    }
    return [...runs];
  }

  #sendState(to: string | null): void {
    const { state, position } = this;
    this.#send({ kind: "state", to, state: cloneable(state), position, epoch: this.#epoch });
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

/** A name of 32 hexadecimal digits; `randomUUID` is missing on plain http. */
function tabName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A closed state whose problem is plain data: a channel strips an `Error` of its fields. */
interface ClosedState {
  status: "closed";
  reason: string;
  problem: { status: number; title: string; detail: string | null; type: string } | null;
}

function cloneable(state: ConnectionState): ConnectionState | ClosedState {
  if (state.status !== "closed" || !state.problem) return state;
  const { status, title, detail, type } = state.problem;
  return { ...state, problem: { status, title, detail, type } };
}

function revived(state: ConnectionState | ClosedState): ConnectionState {
  if (state.status !== "closed" || !state.problem || state.problem instanceof Problem) {
    return state as ConnectionState;
  }
  const { status, title, detail, type } = state.problem;
  return { ...state, problem: new Problem(status, title, detail, type) };
}
