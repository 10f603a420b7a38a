/**
 * One live stream and what keeps it going: attempts, waits, silence, and the filter of its lines. What its
 * frames mean, and where it resumes, is the business of its kinds: `ProjectConnection` and
 * `CombinedConnection`.
 */
import { Backoff } from "./backoff.js";
import type { ConnectionState, LogFilter } from "./connection.js";
import type { Http, Query } from "./http.js";
import { Problem } from "./problem.js";
import { type SseFrame, SseParser } from "./sse.js";
import type { Bye } from "./types.js";

/** More ids than this do not fit one filter; then all lines are asked for. */
const MAX_FILTERED_RUNS = 200;
const FINAL: ReadonlySet<Bye["reason"]> = new Set(["complete", "revoked", "deleted"]);
/** Until `connected` tells the server's own heartbeat. */
const FIRST_FRAME_MS = 20_000;
/** A stream that lived this long makes the next wait the shortest again. */
const STABLE_AFTER_MS = 5_000;

/** What is asked of the server: a path, its parameters, and the position to resume after. */
export interface StreamRequest {
  path: string;
  query: Query;
  lastEventId: string | null;
  anonymous: boolean;
}

export abstract class StreamConnection {
  state: ConnectionState = { status: "connecting" };

  readonly #backoff: Backoff;
  #logs: LogFilter;
  #sentLogs: LogFilter | null = null;
  #patching = false;
  #abort = new AbortController();
  #wake: (() => void) | null = null;
  #serverRetryMs: number | null = null;
  #silenceMs = FIRST_FRAME_MS;
  #watchdog: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  #opensAgain = false;

  constructor(
    protected readonly http: Http,
    logs: LogFilter,
    random?: () => number,
  ) {
    this.#logs = logs;
    this.#backoff = new Backoff(random);
    void this.#run();
  }

  /** The next connection, with this filter of lines. */
  protected abstract request(filter: LogFilter): Promise<StreamRequest>;
  protected abstract onFrame(frame: SseFrame): void;
  protected abstract onPosition(id: string): void;
  /** Hands on what a portion of bytes brought. */
  protected abstract flush(): void;
  protected abstract onStateChange(state: ConnectionState): void;
  /** Forgets a position that the server refused; whether there was one. */
  protected abstract forgetPosition(): boolean;
  /** Whether the filter of the lines may change. */
  protected abstract canFilter(): boolean;

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
    if (!this.#closed) this.#end("closed by the client", null);
  }

  /** What a kind calls when `connected` came. */
  protected isLive(connectionId: string, heartbeatSeconds: number): void {
    this.#silenceMs = heartbeatSeconds * 2500;
    this.#setState({ status: "live", connectionId });
    void this.#patch();
  }

  /** Ends the open stream and opens another one at once, after the same position. */
  protected openAgain(): void {
    if (this.state.status === "live") {
      this.#opensAgain = true;
      this.#abort.abort();
    } else this.retryNow();
  }

  /** What a kind calls when the server said that the whole stream ends. */
  protected isOver(reason: Bye["reason"]): void {
    if (FINAL.has(reason)) this.#end(reason, null);
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
      if (this.#opensAgain) {
        this.#opensAgain = false;
        continue;
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
    const { path, query, lastEventId, anonymous } = await this.request(filter);
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (lastEventId !== null) headers["Last-Event-ID"] = lastEventId;
    return this.http.send("GET", path, { headers, query, anonymous, signal: this.#abort.signal });
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body.getReader();
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const parser = new SseParser({
      onFrame: (frame) => this.onFrame(frame),
      onPosition: (id) => this.onPosition(id),
      onRetry: (milliseconds) => (this.#serverRetryMs = milliseconds),
    });
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#closed) return;
      parser.feed(decoder.decode(value, { stream: true }));
      this.flush();
      this.#guard(this.#silenceMs);
    }
  }

  /** Sends the wanted filter to the open connection, one request at a time. */
  async #patch(): Promise<void> {
    if (this.#patching || this.state.status !== "live" || this.#sentLogs === null) return;
    if (!this.canFilter()) return;
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
    if (problem.status === 422 && this.forgetPosition()) return false;
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
    this.onStateChange(state);
  }
}

export function filterText(filter: LogFilter): string {
  if (filter === "all" || filter.length > MAX_FILTERED_RUNS) return "all";
  return [...filter].sort().join(",");
}
