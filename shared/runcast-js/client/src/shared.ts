/**
 * One connection for all tabs of a browser that look at the same project, or at the same projects.
 *
 * Browsers open at most six HTTP/1.1 connections to a host, and a person may hold few streams; forty tabs
 * must not meet either limit. The tabs elect a leader (`leadership.ts`), which owns the connection and hands
 * its events to the others over a `BroadcastChannel`. A new leader resumes after the last position that it saw
 * itself. A tab that led and was stopped meanwhile is told by a `gap` what it missed. What the connection is,
 * and what a position in it, is the business of its kinds (`shared-kinds.ts`).
 *
 * Each tab also holds a lock of its own, for which the leader queues: it is granted when that tab is gone,
 * and the lines that only this tab wanted are no longer asked for. Without locks a tab's wish is forgotten
 * when the tab hasn't repeated it for some minutes.
 */
import type { ConnectionState, LogFilter, StateListener } from "./connection.js";
import type { RuncastEvent } from "./events.js";
import type { Http } from "./http.js";
import { Leadership, type LeadershipMessage } from "./leadership.js";
import { type ToldState, revived, toldState } from "./told-state.js";

interface StateMessage<P> {
  kind: "state";
  /** The tab that asked, or null: all. */
  to: string | null;
  state: ToldState;
  position: P | null;
  epoch: string | null;
}
interface EventsMessage<E, P> {
  kind: "events";
  events: readonly E[];
  after: P | null;
  position: P | null;
  /** Where it has changed. */
  epoch?: string | null;
}
type Message<E, P> =
  | LeadershipMessage
  | StateMessage<P>
  | EventsMessage<E, P>
  | { kind: "want"; tab: string; logs: LogFilter; asksState: boolean }
  | { kind: "roll call" }
  | { kind: "retry" }
  | { kind: "reopen" };

/** The connection that a leader holds: `E` are its events, `P` a position in it. */
export interface Led<E, P> {
  readonly state: ConnectionState;
  readonly position: P | null;
  readonly epoch: string | null;
  onEvents(listener: (events: readonly E[]) => void): () => void;
  onState(listener: StateListener): () => void;
  setLogs(filter: LogFilter): void;
  retryNow(): void;
  reopen?(): void;
  close(): void;
}

/** Where and with what a leader's connection opens. */
export interface LedOptions<P> {
  logs: LogFilter;
  lastEventId: P | null;
  epoch: string | null;
}

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

export abstract class SharedStream<E extends RuncastEvent, P extends number | string> {
  state: ConnectionState = { status: "connecting" };
  position: P | null = null;

  readonly #name: string;
  readonly #tab = tabName();
  readonly #channel: BroadcastChannel;
  readonly #release = new AbortController();
  readonly #eventListeners = new Set<(events: readonly E[]) => void>();
  readonly #stateListeners = new Set<StateListener>();
  readonly #wishes = new Map<string, Wish>();
  readonly #leadership: Leadership;
  readonly #repeat: ReturnType<typeof setInterval>;
  #logs: LogFilter = [];
  #epoch: string | null = null;
  #connection: Led<E, P> | null = null;

  /**
   * `identity` separates people who sign in one after another in the same browser, and `subject` what is
   * followed: tabs that name the same share.
   */
  constructor(
    http: Http,
    identity: string,
    subject: string,
    private readonly tabs: Tabs,
  ) {
    this.#name = `runcast ${http.baseUrl} ${identity} ${subject}`;
    this.#channel = tabs.channel(this.#name);
    this.#channel.onmessage = ({ data }: MessageEvent<Message<E, P>>) => this.#receive(data);
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

  protected abstract open(options: LedOptions<P>): Led<E, P>;
  /** Gaps that name what lies between what this tab has seen and where the leader is. */
  protected abstract missed(seen: P, leaderAt: P): readonly E[];

  get isLeader(): boolean {
    return this.#connection !== null;
  }

  /** Which histories the position belongs to; null before anything came. */
  get epoch(): string | null {
    return this.#epoch;
  }

  onEvents(listener: (events: readonly E[]) => void): () => void {
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

  /** Opens the connection again where it stands, if it is of a kind that has a reason to. */
  reopen(): void {
    if (this.#connection) this.#connection.reopen?.();
    else this.#send({ kind: "reopen" });
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
    const connection = this.open({
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
      const { position, epoch } = connection;
      const change = epoch === this.#epoch ? {} : { epoch };
      this.#send({ kind: "events", events, after: this.position, position, ...change });
      this.#epoch = epoch;
      this.position = position;
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

  #receive(message: Message<E, P>): void {
    switch (message.kind) {
      case "want":
        return this.#hear(message.tab, message.logs, message.asksState);
      case "retry":
        return this.#retry();
      case "reopen":
        return this.#connection?.reopen?.();
      case "roll call":
        this.#leadership.heard();
        return this.#want();
      case "state":
        if (!this.#connection && (message.to ?? this.#tab) === this.#tab) this.#learn(message);
        return;
      case "events":
        return this.#follow(message);
      default:
        this.#leadership.receive(message);
        // A leader is there, and this tab doesn't know yet how its connection is.
        if (message.kind === "answer" && this.state.status === "connecting") this.#want();
    }
  }

  /** As another than the leader: what came on its connection. */
  #follow({ events, after, position, epoch }: EventsMessage<E, P>): void {
    if (this.#connection) return;
    this.#leadership.heard();
    this.#tellGap(after);
    this.position = position;
    if (epoch !== undefined) this.#epoch = epoch;
    this.#emit(events);
  }

  #learn(message: StateMessage<P>): void {
    this.#leadership.heard();
    this.#tellGap(message.position);
    this.#epoch = message.epoch;
    this.position ??= message.position;
    this.#setState(revived(message.state));
  }

  /** Says what this tab missed if the leader is further than what it has seen. */
  #tellGap(leaderAt: P | null): void {
    const { position } = this;
    if (position === null || leaderAt === null || leaderAt === position) return;
    const gaps = this.missed(position, leaderAt);
    if (gaps.length === 0) return;
    this.position = leaderAt;
    this.#emit(gaps);
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
    this.#send({ kind: "state", to, state: toldState(state), position, epoch: this.#epoch });
  }

  #send(message: Message<E, P>): void {
    if (!this.#release.signal.aborted) this.#channel.postMessage(message);
  }

  #emit(events: readonly E[]): void {
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
