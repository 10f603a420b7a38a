/**
 * A run's log as a window: any line by its number, of a log of any length, in bounded memory.
 *
 * Line numbers are 1, 2, 3 … without holes, so a line's place is known before its text is. The
 * log is held in chunks; `show` names the lines someone looks at, missing chunks among them are
 * fetched, and the chunks furthest from there are forgotten beyond the budget. Live lines go to
 * their place too, whatever order they come in, so a line that a lost connection kept back is
 * simply one that is still missing, and is fetched like any other.
 */
import type { RuncastEvent } from "./events.js";
import { isLog, type LogData } from "./events.js";
import type { Http } from "./http.js";
import type { Cut, LogEntry, LogLine } from "./types.js";
import { segment } from "./names.js";

export const CHUNK_LINES = 500;
const BUDGET_BYTES = 24 * 1024 * 1024;
/** What a line costs beside its text: the object, its other strings, its slot. */
const LINE_OVERHEAD_BYTES = 240;
const MIN_CHUNKS = 6;
const RETRY_MS = 2_000;

interface Chunk {
  lines: (LogLine | undefined)[];
  filled: number;
  bytes: number;
}

export type LogChange = "lines" | "length" | "error";

export class RunLog {
  /** Number of the last line known to exist. */
  lastLine = 0;
  error: Error | null = null;
  /** Whether the first answer has come, so that an empty log can be told from an unknown one. */
  isLoaded = false;
  /** The first line that is still kept: retention removes a log from its beginning. */
  firstLine = 1;

  /** Names of agents in lines that were ever held here. */
  readonly agents = new Set<string>();

  readonly #chunks = new Map<number, Chunk>();
  readonly #loading = new Map<number, AbortController>();
  readonly #listeners = new Set<(change: LogChange) => void>();
  #bytes = 0;
  #from = 1;
  #to = 1;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly http: Http,
    readonly runId: string,
  ) {}

  onChange(listener: (change: LogChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads the last lines, and so how long the log is. */
  async open(): Promise<void> {
    try {
      const entries = await this.#fetch({ tail: CHUNK_LINES });
      for (const entry of entries) this.#put(lineOf(entry));
      this.isLoaded = true;
      this.#settled(null);
    } catch (error) {
      this.#settled(error);
    }
  }

  line(lineNumber: number): LogLine | undefined {
    return this.#chunks.get(chunkOf(lineNumber))?.lines[(lineNumber - 1) % CHUNK_LINES];
  }

  /** Says which lines are looked at; those that are missing come as a change. */
  show(from: number, to: number): void {
    this.#from = Math.max(1, from);
    this.#to = Math.max(this.#from, to);
    this.#load();
  }

  /** Takes a live or backfilled line of this run; others are ignored. */
  take(events: readonly RuncastEvent[]): void {
    const before = this.lastLine;
    let taken = false;
    for (const event of events) {
      if (isLog(event) && event.data.run_id === this.runId) {
        taken = this.#put(lineOfEvent(event.data)) || taken;
      }
    }
    if (!taken) return;
    this.#forget();
    this.#emit(this.lastLine > before ? "length" : "lines");
  }

  /** Learns from elsewhere (a run's `last_line_number`) that the log is at least this long. */
  reaches(lastLine: number): void {
    if (lastLine <= this.lastLine) return;
    this.lastLine = lastLine;
    this.#emit("length");
  }

  /** Asks again for whatever is missing, after a connection came back. */
  async refresh(): Promise<void> {
    if (!this.isLoaded) return this.open();
    try {
      const entries = await this.#fetch({ tail: 1 });
      for (const entry of entries) this.#put(lineOf(entry));
      this.#settled(null);
      this.#load();
    } catch (error) {
      this.#settled(error);
    }
  }

  /** Numbers of lines `from`…`to` that are not held. */
  missing(from: number, to: number): number[] {
    const missing: number[] = [];
    for (let n = from; n <= to; n += 1) if (!this.line(n)) missing.push(n);
    return missing;
  }

  get heldBytes(): number {
    return this.#bytes;
  }

  close(): void {
    clearTimeout(this.#retry);
    for (const request of this.#loading.values()) request.abort();
    this.#listeners.clear();
    this.#chunks.clear();
  }

  #load(): void {
    const first = chunkOf(this.#from);
    const last = chunkOf(Math.min(this.#to, Math.max(1, this.lastLine)));
    for (const [index, request] of this.#loading) {
      if (index < first - 2 || index > last + 2) request.abort();
    }
    for (let index = first; index <= last; index += 1) {
      if (!this.#isWhole(index) && !this.#loading.has(index)) void this.#loadChunk(index);
    }
  }

  async #loadChunk(index: number): Promise<void> {
    const request = new AbortController();
    this.#loading.set(index, request);
    try {
      const after = this.#firstMissing(index) - 1;
      const limit = (index + 1) * CHUNK_LINES - after;
      const entries = await this.#fetch({ after_line: after, limit }, request.signal);
      for (const entry of entries) this.#put(lineOf(entry));
      this.#learnFirst(after + 1, entries[0]?.line_number ?? after + limit + 1);
      this.isLoaded = true;
      this.#loading.delete(index);
      this.#settled(null);
      this.#forget();
    } catch (error) {
      this.#loading.delete(index);
      if (!request.signal.aborted) this.#settled(error);
    }
  }

  async #fetch(query: Record<string, number>, signal?: AbortSignal): Promise<LogEntry[]> {
    const path = `/runs/${segment(this.runId)}/logs`;
    const { data } = await this.http.json<{ logs: LogEntry[] }>("GET", path, { query, signal });
    return data.logs;
  }

  #put(line: LogLine): boolean {
    const index = chunkOf(line.lineNumber);
    let chunk = this.#chunks.get(index);
    if (!chunk) this.#chunks.set(index, (chunk = { lines: [], filled: 0, bytes: 0 }));
    const slot = (line.lineNumber - 1) % CHUNK_LINES;
    if (chunk.lines[slot]) return false;
    chunk.lines[slot] = line;
    if (line.agentName) this.agents.add(line.agentName);
    chunk.filled += 1;
    const bytes = bytesOf(line);
    chunk.bytes += bytes;
    this.#bytes += bytes;
    this.lastLine = Math.max(this.lastLine, line.lineNumber);
    return true;
  }

  #isWhole(index: number): boolean {
    return this.#firstMissing(index) > Math.min((index + 1) * CHUNK_LINES, this.lastLine);
  }

  /** The first line of a chunk that is kept and isn't held; beyond the chunk where there is none. */
  #firstMissing(index: number): number {
    const end = (index + 1) * CHUNK_LINES;
    let line = Math.max(index * CHUNK_LINES + 1, this.firstLine);
    while (line <= end && this.line(line)) line += 1;
    return line;
  }

  /** Lines that were asked for and did not come, while later ones exist, are no longer kept. */
  #learnFirst(asked: number, came: number): void {
    if (came > asked) this.firstLine = Math.max(this.firstLine, Math.min(came, this.lastLine + 1));
  }

  #forget(): void {
    if (this.#bytes <= BUDGET_BYTES || this.#chunks.size <= MIN_CHUNKS) return;
    const middle = (chunkOf(this.#from) + chunkOf(this.#to)) / 2;
    const byDistance = [...this.#chunks.keys()].sort(
      (a, b) => Math.abs(b - middle) - Math.abs(a - middle),
    );
    for (const index of byDistance) {
      if (this.#bytes <= BUDGET_BYTES || this.#chunks.size <= MIN_CHUNKS) return;
      this.#bytes -= this.#chunks.get(index)?.bytes ?? 0;
      this.#chunks.delete(index);
    }
  }

  #settled(error: unknown): void {
    this.error = error as Error | null;
    this.#emit(error === null ? "lines" : "error");
    clearTimeout(this.#retry);
    if (error !== null) this.#retry = setTimeout(() => this.#again(), RETRY_MS);
  }

  #again(): void {
    if (this.#listeners.size === 0) return;
    if (this.isLoaded) this.#load();
    else void this.open();
  }

  #emit(change: LogChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}

/** What a line that is held takes of a page's memory, about. */
export const bytesOf = (line: LogLine): number => line.content.length + LINE_OVERHEAD_BYTES;

const chunkOf = (lineNumber: number): number => Math.floor((lineNumber - 1) / CHUNK_LINES);

export function lineOf(entry: LogEntry): LogLine {
  return {
    lineNumber: entry.line_number,
    content: shownText(entry.message),
    cutBytes: cutBytes(entry.message, entry.cut),
    timestamp: entry.ts,
    level: entry.level ?? null,
    agentName: entry.agent_name ?? null,
    eventType: entry.event_type ?? null,
    source: entry.source,
    payload: entry.payload,
  };
}

/** NUL has no shape of its own: it is shown as its symbol, as in the log's plain text. */
const shownText = (text: string): string => text.replaceAll("\0", "\u2400");

function cutBytes(text: string, cut: Cut | undefined): number {
  return cut ? Math.max(0, cut.length - new TextEncoder().encode(text).length) : 0;
}

export function lineOfEvent(data: LogData): LogLine {
  return {
    lineNumber: data.line_number,
    content: shownText(data.line),
    cutBytes: cutBytes(data.line, data.cut),
    timestamp: data.ts,
    level: data.level ?? null,
    agentName: data.agent_name ?? null,
    eventType: data.event_type ?? null,
    source: data.source ?? null,
    payload: data.payload ?? null,
  };
}
