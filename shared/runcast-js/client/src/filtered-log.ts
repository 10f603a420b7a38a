/**
 * The lines of a run's log that a filter wants: a list, oldest first, that grows at both ends.
 *
 * The newest matches are read first and older ones as someone looks at the beginning. Line numbers
 * have no holes, so the list knows up to which line it is complete (`#coveredTo`). A live line that is
 * just the next one is matched here; one that leaves a hole (it came while a request was under way, or
 * after a lost connection) or that only the server can match makes the list read on from there. So a
 * list that says it has everything has everything, whatever failed, came late or was cut in between.
 */
import type { LogQuery, RuncastClient } from "./client.js";
import { type RuncastEvent, isLog } from "./events.js";
import { type LineFilter, matcherOf, queryOf } from "./line-filter.js";
import { bytesOf, lineOf, lineOfEvent } from "./run-log.js";
import type { LogLine } from "./types.js";

const PAGE_LINES = 500;
/**
 * More than this is not kept as lines come: the oldest go. They are read again when they are looked at, while
 * there is room for them (`isFull`).
 */
const BUDGET_BYTES = 96 * 1024 * 1024;
/** What is left then. */
const KEPT_BYTES = (BUDGET_BYTES / 4) * 3;
/** More live lines than this don't wait for their turn: they are read when it comes. */
const MAX_WAITING = 20_000;
const NEAR_TOP_LINES = 100;
const RETRY_MS = 2_000;
/** Live lines that only the server can match are asked for at most this often. */
const ASK_MS = 500;

export interface FilteredChange {
  /** This many lines were put before the first; negative: taken away from there. */
  prepended?: number;
}

export class FilteredLog {
  /** Whether the first answer has come, so that no match can be told from not knowing. */
  isLoaded = false;
  /** Whether the list begins with the log's first match. */
  hasAll = false;
  error: Error | null = null;
  #lines: LogLine[] = [];
  #bytes = 0;
  /** Every matching line from the list's first up to this number is in the list. */
  #coveredTo = 0;
  /** The newest line known to exist. */
  #newest = 0;
  #waiting: LogLine[] = [];
  #cursor: string | null = null;
  #isReadingOlder = false;
  #hasOlderFailed = false;
  #isReadingOn = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #matches: ((line: LogLine) => boolean) | null;
  readonly #listeners = new Set<(change: FilteredChange) => void>();
  readonly #abort = new AbortController();

  constructor(
    private readonly client: RuncastClient,
    readonly runId: string,
    readonly filter: LineFilter,
  ) {
    this.#matches = matcherOf(filter);
  }

  /** Reads the newest matches. `lastLine` is the newest line that was seen before. */
  open(lastLine: number): void {
    this.#newest = Math.max(this.#newest, lastLine);
    void this.#readOlder();
  }

  /** Whether older matches exist, or may exist, that aren't read because there is no room for them. */
  get isFull(): boolean {
    return !this.hasAll && this.#bytes >= BUDGET_BYTES;
  }

  get #isClosed(): boolean {
    return this.#abort.signal.aborted;
  }

  get length(): number {
    return this.#lines.length;
  }
  at(index: number): LogLine | undefined {
    return this.#lines[index];
  }
  numberAt(index: number): number {
    return this.#lines[index]?.lineNumber ?? 0;
  }
  /** The index of a line, or of the first after it. */
  indexOf(lineNumber: number): number {
    return firstFrom(this.#lines, lineNumber);
  }
  /** Says which lines are looked at: near the beginning, older matches are read. */
  show(from: number): void {
    if (from < NEAR_TOP_LINES && this.isLoaded) void this.#readOlder();
  }
  onChange(listener: (change: FilteredChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  close(): void {
    this.#abort.abort();
    clearTimeout(this.#timer);
    this.#listeners.clear();
  }

  /** Takes live lines of the run: those that match join the end. */
  take(events: readonly RuncastEvent[]): void {
    for (const event of events) {
      if (!isLog(event) || event.data.run_id !== this.runId) continue;
      const line = lineOfEvent(event.data);
      this.#newest = Math.max(this.#newest, line.lineNumber);
      if (line.lineNumber > this.#coveredTo && this.#waiting.length < MAX_WAITING) this.#waiting.push(line);
    }
    this.#settle();
  }

  /** Learns that the log is at least this long (after a connection came back). */
  reaches(lastLine: number): void {
    this.#newest = Math.max(this.#newest, lastLine);
    this.#settle();
  }

  /** Takes waiting lines that are just what comes next; reads on where there is a hole. */
  #settle(): void {
    if (!this.isLoaded || this.#isReadingOn || this.#isClosed) return;
    const found: LogLine[] = [];
    const waiting = this.#waiting.sort((a, b) => a.lineNumber - b.lineNumber);
    let taken = 0;
    if (this.#matches) {
      for (const line of waiting) {
        if (line.lineNumber > this.#coveredTo + 1) break;
        taken += 1;
        if (line.lineNumber <= this.#coveredTo) continue;
        this.#coveredTo = line.lineNumber;
        if (this.#matches(line)) found.push(line);
      }
    }
    this.#waiting = this.#matches ? waiting.slice(taken) : [];
    if (found.length > 0) this.#append(found);
    if (this.#newest > this.#coveredTo) this.#later(this.#matches ? 0 : ASK_MS);
  }

  #later(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.#hasOlderFailed) void this.#readOlder();
      if (this.isLoaded) void this.#readOn();
    }, ms);
  }

  /** Reads the matches between what is covered and the newest known line. */
  async #readOn(): Promise<void> {
    if (this.#isReadingOn || this.#isClosed) return;
    this.#isReadingOn = true;
    const target = this.#newest;
    try {
      const window = { after_line: this.#coveredTo, before_line: target + 1, limit: PAGE_LINES };
      for (let cursor: string | null | undefined; cursor !== null; ) {
        const page = await this.#page({ ...window, ...(cursor && { cursor }) });
        this.#append(page.lines);
        cursor = page.cursor;
      }
      this.#coveredTo = Math.max(this.#coveredTo, target);
      this.#settled(null);
    } catch (error) {
      this.#settled(error as Error);
    } finally {
      this.#isReadingOn = false;
    }
    if (!this.error) this.#settle();
  }

  /** Reads the page of matches before the first one that is held. */
  async #readOlder(): Promise<void> {
    if (this.#isReadingOlder || this.#isClosed || this.hasAll || this.isFull) return;
    this.#isReadingOlder = true;
    try {
      const covered = this.#newest;
      const forgotten = this.#forgotten;
      const page = await this.#page(this.#olderWindow());
      // What lay between the page and the lines that are held was forgotten meanwhile.
      if (forgotten !== this.#forgotten) {
        // A view that still looks at the beginning asks again as it draws.
        this.#emitSoon();
        return;
      }
      if (!this.isLoaded) this.#coveredTo = Math.max(covered, page.lines.at(-1)?.lineNumber ?? 0);
      this.#cursor = page.cursor;
      this.hasAll = page.cursor === null;
      this.isLoaded = true;
      this.#lines = [...page.lines, ...this.#lines];
      this.#bytes += sum(page.lines);
      this.#hasOlderFailed = false;
      this.#settled(null, { prepended: page.lines.length });
    } catch (error) {
      this.#hasOlderFailed = true;
      this.#settled(error as Error);
    } finally {
      this.#isReadingOlder = false;
    }
    this.#settle();
    // A page may be cut before it found anything: nothing is shown yet that could ask for more.
    if (!this.error && this.#lines.length < NEAR_TOP_LINES) void this.#readOlder();
  }

  #olderWindow(): LogQuery {
    if (this.#cursor) return { tail: PAGE_LINES, cursor: this.#cursor, ...this.#firstWindow };
    return { tail: PAGE_LINES, ...this.#beforeFirst() };
  }

  /** A cursor belongs to the request that it came from, which is repeated with it. */
  #firstWindow: LogQuery = {};

  #beforeFirst(): LogQuery {
    const first = this.#lines[0];
    this.#firstWindow = first ? { before_line: first.lineNumber } : {};
    return this.#firstWindow;
  }

  async #page(window: LogQuery): Promise<{ lines: LogLine[]; cursor: string | null }> {
    const query = { ...window, ...queryOf(this.filter) };
    const { data } = await this.client.logs(this.runId, query, this.#abort.signal);
    return { lines: data.logs.map(lineOf), cursor: data.next_cursor ?? null };
  }

  #append(lines: readonly LogLine[]): void {
    const last = this.#lines.at(-1)?.lineNumber ?? 0;
    const fresh = lines.filter(({ lineNumber }) => lineNumber > last);
    if (fresh.length === 0) return;
    this.#lines.push(...fresh);
    this.#bytes += sum(fresh);
    this.#emit({});
    if (this.#bytes > BUDGET_BYTES) this.#forgetOldest();
  }

  /** How often the oldest lines were dropped. */
  #forgotten = 0;

  #forgetOldest(): void {
    this.#forgotten += 1;
    let surplus = 0;
    for (const line of this.#lines) {
      if (this.#bytes <= KEPT_BYTES) break;
      this.#bytes -= bytesOf(line);
      surplus += 1;
    }
    this.#lines.splice(0, surplus);
    this.#cursor = null;
    this.hasAll = false;
    this.#emit({ prepended: -surplus });
  }

  #settled(error: Error | null, change: FilteredChange = {}): void {
    if (this.#isClosed) return;
    this.error = error;
    this.#emit(change);
    if (error) this.#later(RETRY_MS);
  }

  /** Says that there is a change, after what is under way has ended. */
  #emitSoon(): void {
    queueMicrotask(() => this.#emit({}));
  }

  #emit(change: FilteredChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}

const sum = (lines: readonly LogLine[]): number => lines.reduce((bytes, line) => bytes + bytesOf(line), 0);

/** The index of the first line with at least this number, by halves. */
function firstFrom(lines: readonly LogLine[], lineNumber: number): number {
  let low = 0;
  let high = lines.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((lines[middle]?.lineNumber ?? 0) < lineNumber) low = middle + 1;
    else high = middle;
  }
  return low;
}
