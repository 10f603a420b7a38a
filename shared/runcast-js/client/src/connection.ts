/**
 * One live connection to a project's events.
 *
 * It reads the stream with `fetch`, so that the token goes in a header; resumes after the last
 * number it has handled; waits 1, 2, 4, 8, 16, 30 s between attempts; hands on every event once;
 * and treats a server that has been silent for two and a half heartbeats as gone. A `gap` is an
 * event like others: it moves the position, and a program that holds state must read it again.
 */
import { Backoff } from "./backoff.js";
import { type RuncastEvent, isBye, isConnected, isGap, isLog } from "./events.js";
import type { Http } from "./http.js";
import { Problem } from "./problem.js";
import { Ranges } from "./ranges.js";
import { type SseFrame, SseParser } from "./sse.js";
import type { Bye, Connected } from "./types.js";
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

/** More ids than this do not fit one filter; then all lines are asked for. */
const MAX_FILTERED_RUNS = 200;
const FINAL: ReadonlySet<Bye["reason"]> = new Set(["complete", "revoked", "deleted"]);
/** Until `connected` tells the server's own heartbeat. */
const FIRST_FRAME_MS = 20_000;
/** A stream that lived this long makes the next wait the shortest again. */
const STABLE_AFTER_MS = 5_000;

export class ProjectConnection implements LiveConnection {
  state: ConnectionState = { status: "connecting" };
  position: number | null;
  epoch: string | null;

  readonly #eventListeners = new Set<EventListener>();
  readonly #stateListeners = new Set<StateListener>();
  readonly #backoff: Backoff;
  readonly #lines = new Map<string, Ranges>();
  #logs: LogFilter;
  #sentLogs: LogFilter | null = null;
  #patching = false;
  #abort = new AbortController();
  #wake: (() => void) | null = null;
  #batch: RuncastEvent[] = [];
  #serverRetryMs: number | null = null;
  #silenceMs = FIRST_FRAME_MS;
  #watchdog: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(
    private readonly http: Http,
    readonly projectId: string,
    private readonly options: ConnectionOptions = {},
  ) {
    this.#logs = options.logs ?? [];
    this.position = options.lastEventId ?? null;
    this.epoch = options.epoch ?? null;
    this.#backoff = new Backoff(options.random);
    void this.#run();
  }

  onEvents(listener: EventListener): () => void {
    this.#eventListeners.add(listener);
    return () => this.#eventListeners.delete(listener);
  }

  onState(listener: StateListener): () => void {
    this.#stateListeners.add(listener);
    return () => this.#stateListeners.delete(listener);
  }

  /** Changes which lines are sent, on the open connection; the last call wins. */
  setLogs(filter: LogFilter): void {
    this.#logs = filter;
    void this.#patch();
  }

  /** Ends the wait between two attempts. */
  retryNow(): void {
    this.#wake?.();
  }

  close(): void {
    if (this.#closed) return;
    this.#end("closed by the client", null);
    this.#eventListeners.clear();
    this.#stateListeners.clear();
  }

  async #run(): Promise<void> {
    // The maker of this connection adds listeners before the first byte is read.
    await Promise.resolve();
    while (!this.#closed) {
      const openedAt = Date.now();
      const failure = await this.#attempt();
      if (this.#closed) return;
      if (failure instanceof Problem && this.#isFinal(failure)) {
        this.#end(failure.message, failure);
        return;
      }
      await this.#pause(failure, Date.now() - openedAt);
    }
  }

  /** One stream from its request to its end; why it ended, or null when the server said `bye`. */
  async #attempt(): Promise<Error | null> {
    this.#abort = new AbortController();
    if (this.state.status !== "connecting") this.#setState({ status: "connecting" });
    const filter = this.#logs;
    try {
      this.#guard(FIRST_FRAME_MS);
      const response = await this.#open(filter);
      if (!response.body) throw new TypeError("the answer has no body");
      this.#sentLogs = filter;
      await this.#read(response.body);
      return null;
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    } finally {
      clearTimeout(this.#watchdog);
      this.#sentLogs = null;
    }
  }

  async #open(filter: LogFilter): Promise<Response> {
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (this.position !== null) headers["Last-Event-ID"] = String(this.position);
    const { onlyRun } = this.options;
    const ticket = await this.options.ticket?.();
    const path = onlyRun
      ? `/runs/${segment(onlyRun)}/stream`
      : `/projects/${segment(this.projectId)}/events`;
    return this.http.send("GET", path, {
      headers,
      query: {
        subscribe_logs: onlyRun ? undefined : filterText(filter),
        log_tail: this.position === null ? this.options.logTail : undefined,
        epoch: this.position === null ? undefined : this.epoch,
        on_lag: this.options.onLag,
        ticket,
      },
      anonymous: ticket !== undefined,
      signal: this.#abort.signal,
    });
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.getReader();
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const parser = new SseParser({
      onFrame: (frame) => this.#frame(frame),
      onPosition: (id) => this.#moveTo(Number(id)),
      onRetry: (milliseconds) => (this.#serverRetryMs = milliseconds),
    });
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#closed) return;
      parser.feed(decoder.decode(value, { stream: true }));
      this.#guard(this.#silenceMs);
      this.#flush();
    }
  }

  #frame(frame: SseFrame): void {
    const id = frame.id === null ? null : Number(frame.id);
    const data = JSON.parse(frame.data) as RuncastEvent["data"];
    const event: RuncastEvent = { id, type: frame.event, data };
    if (isConnected(event)) this.#connected(event.data);
    else if (isBye(event)) this.#bye(event.data.reason);
    else if (isGap(event)) this.#moveTo(event.data.to, event.data.reason !== "retention");
    else if (id !== null) {
      if (this.position !== null && id <= this.position) return;
      this.#moveTo(id);
    }
    if (isLog(event) && !this.#isNewLine(event.data.run_id, event.data.line_number)) return;
    this.#batch.push(event);
  }

  #connected(data: Connected): void {
    this.epoch = data.epoch;
    // With a tail the position comes after its lines: a stream cut off among them asks for them again.
    if (this.options.logTail === undefined) this.position ??= data.resumed_from ?? data.head;
    this.#silenceMs = data.heartbeat_s * 2500;
    this.#setState({ status: "live", connectionId: data.connection_id });
    void this.#patch();
  }

  #bye(reason: Bye["reason"]): void {
    if (FINAL.has(reason)) this.#end(reason, null);
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

  #flush(): void {
    if (this.#batch.length === 0) return;
    const events = this.#batch;
    this.#batch = [];
    for (const listener of this.#eventListeners) listener(events);
  }

  /** Sends the wanted filter to the open connection, one request at a time. */
  async #patch(): Promise<void> {
    if (this.#patching || this.state.status !== "live" || this.#sentLogs === null) return;
    if (this.options.onlyRun) return;
    if (filterText(this.#logs) === filterText(this.#sentLogs)) return;
    this.#patching = true;
    const wanted = this.#logs;
    const { connectionId } = this.state;
    try {
      await this.http.send("PATCH", `/connections/${connectionId}`, {
        body: { subscribe_logs: wanted === "all" ? "all" : [...wanted].slice(0, MAX_FILTERED_RUNS) },
      });
      if (this.#sentLogs !== null) this.#sentLogs = wanted;
    } catch {
      // The connection is gone, or the hub that holds it: a new one opens with the new filter.
      this.#abort.abort();
    } finally {
      this.#patching = false;
    }
    await this.#patch();
  }

  async #pause(failure: Error | null, livedMs: number): Promise<void> {
    if (livedMs > STABLE_AFTER_MS) this.#backoff.reset();
    const asked = failure instanceof Problem ? (failure.retryAfter ?? 0) * 1000 : 0;
    const wait = Math.max(this.#serverRetryMs ?? this.#backoff.next(), asked);
    this.#serverRetryMs = null;
    this.#setState({
      status: "reconnecting",
      attempt: Math.max(1, this.#backoff.attempt),
      retryAt: Date.now() + wait,
      reason: failure?.message ?? "the server ended the stream",
    });
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, wait);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }

  /** Aborts the stream unless bytes arrive within the time. */
  #guard(milliseconds: number): void {
    clearTimeout(this.#watchdog);
    if (this.#closed) return;
    const abort = this.#abort;
    this.#watchdog = setTimeout(() => {
      abort.abort(new Error("no sign of life from the server"));
    }, milliseconds);
  }

  #isFinal(problem: Problem): boolean {
    if (problem.status === 422 && this.position !== null) {
      this.position = null;
      return false;
    }
    return [400, 401, 403, 404, 410, 422].includes(problem.status);
  }

  #end(reason: string, problem: Problem | null): void {
    this.#closed = true;
    this.#setState({ status: "closed", reason, problem });
    clearTimeout(this.#watchdog);
    this.#abort.abort();
    this.#wake?.();
  }

  #setState(state: ConnectionState): void {
    this.state = state;
    for (const listener of this.#stateListeners) listener(state);
  }
}

export function filterText(filter: LogFilter): string {
  if (filter === "all" || filter.length > MAX_FILTERED_RUNS) return "all";
  return [...filter].sort().join(",");
}
