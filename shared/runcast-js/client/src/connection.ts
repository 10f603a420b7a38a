/**
 * One live connection to a project's events.
 *
 * It reads the stream with `fetch`, so that the token goes in a header; resumes after the last
 * number it has handled; waits 1, 2, 4, 8, 16, 30 s between attempts; hands on every event once;
 * and treats a server that has been silent for two and a half heartbeats as gone. A `gap` is an
 * event like others: it moves the position, and a program that holds state must read it again.
 */
import { type RuncastEvent, isBye, isConnected, isGap, isLog } from "./events.js";
import type { Http } from "./http.js";
import type { Problem } from "./problem.js";
import { Ranges } from "./ranges.js";
import type { SseFrame } from "./sse.js";
import { StreamConnection, type StreamRequest, filterText } from "./stream.js";
import type { Connected } from "./types.js";
import { segment } from "./names.js";

/** Which runs' lines are sent: none, some, or those of every run. */
export type LogFilter = "all" | readonly string[];

export type ConnectionState =
  | { status: "connecting" }
  | { status: "live"; connectionId: string }
  | { status: "reconnecting"; attempt: number; retryAt: number; reason: string }
  | { status: "closed"; reason: string; problem: Problem | null };

export type EventListener = (events: readonly RuncastEvent[]) => void;
export type StateListener = (state: ConnectionState) => void;

/** What a page needs of a connection, be it its own or one shared with other tabs. */
export interface LiveConnection {
  readonly projectId: string;
  readonly state: ConnectionState;
  /** Number of the last event handled; null before the first. */
  readonly position: number | null;
  onEvents(listener: EventListener): () => void;
  onState(listener: StateListener): () => void;
  setLogs(filter: LogFilter): void;
  retryNow(): void;
  close(): void;
}

export interface ConnectionOptions {
  /** Only this run, its events and all of its lines: for who may see no more of the project. */
  onlyRun?: string;
  logs?: LogFilter;
  /**
   * Gives a one-use stream ticket for each attempt, where the stream's address is one that the
   * token must not be sent to; see `RuncastClient.streamTicket`.
   */
  ticket?: () => Promise<string>;
  /** First this many of the last lines of each subscribed run. */
  logTail?: number;
  /** Resume after this number (0: from the first kept event). */
  lastEventId?: number | null;
  epoch?: string | null;
  /** `skip`: when too far behind, jump to the present with a `gap`. */
  onLag?: "skip";
  random?: () => number;
}

export class ProjectConnection extends StreamConnection implements LiveConnection {
  position: number | null;
  epoch: string | null;

  readonly #eventListeners = new Set<EventListener>();
  readonly #stateListeners = new Set<StateListener>();
  readonly #lines = new Map<string, Ranges>();
  #batch: RuncastEvent[] = [];

  constructor(
    http: Http,
    readonly projectId: string,
    private readonly options: ConnectionOptions = {},
  ) {
    super(http, options.logs ?? [], options.random);
    this.position = options.lastEventId ?? null;
    this.epoch = options.epoch ?? null;
  }

  onEvents(listener: EventListener): () => void {
    this.#eventListeners.add(listener);
    return () => this.#eventListeners.delete(listener);
  }

  onState(listener: StateListener): () => void {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  }

  override close(): void {
    super.close();
    this.#eventListeners.clear();
    this.#stateListeners.clear();
  }

  protected override async request(filter: LogFilter): Promise<StreamRequest> {
    const { onlyRun } = this.options;
    const ticket = await this.options.ticket?.();
    return {
      path: onlyRun
        ? `/runs/${segment(onlyRun)}/stream`
        : `/projects/${segment(this.projectId)}/events`,
      query: {
        subscribe_logs: onlyRun ? undefined : filterText(filter),
        log_tail: this.position === null ? this.options.logTail : undefined,
        epoch: this.position === null ? undefined : this.epoch,
        on_lag: this.options.onLag,
        ticket,
      },
      lastEventId: this.position === null ? null : String(this.position),
      anonymous: ticket !== undefined,
    };
  }

  protected override canFilter(): boolean {
    return !this.options.onlyRun;
  }

  protected override forgetPosition(): boolean {
    const had = this.position !== null;
    this.position = null;
    return had;
  }

  protected override onPosition(id: string): void {
    this.#moveTo(Number(id));
  }

  protected override onFrame(frame: SseFrame): void {
    const id = frame.id === null ? null : Number(frame.id);
    const data = JSON.parse(frame.data) as RuncastEvent["data"];
    const event: RuncastEvent = { id, type: frame.event, data };
    if (isConnected(event)) this.#connected(event.data);
    else if (isBye(event)) this.isOver(event.data.reason);
    else if (isGap(event)) this.#moveTo(event.data.to, event.data.reason !== "retention");
    else if (id !== null) {
      if (this.position !== null && id <= this.position) return;
      this.#moveTo(id);
    }
    if (isLog(event) && !this.#isNewLine(event.data.run_id, event.data.line_number)) return;
    this.#batch.push(event);
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

  #connected(data: Connected): void {
    this.epoch = data.epoch;
    // With a tail the position comes after its lines: a stream cut off among them asks for them again.
    if (this.options.logTail === undefined) this.position ??= data.resumed_from ?? data.head;
    this.isLive(data.connection_id, data.heartbeat_s);
  }

  #moveTo(position: number, evenBack = false): void {
    if (!Number.isSafeInteger(position)) return;
    if (evenBack || this.position === null || position > this.position) this.position = position;
  }

  /** Backfilled lines carry no number of their own and may be ones that we have. */
  #isNewLine(runId: string, lineNumber: number): boolean {
    let lines = this.#lines.get(runId);
    if (!lines) this.#lines.set(runId, (lines = new Ranges()));
    return lines.add(lineNumber);
  }
}
