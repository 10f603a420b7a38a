/**
 * What a log view can show: lines by index, some of which may still be on their way.
 *
 * The whole log is dense (index 0 is line 1). A filtered log is a list that grows at both ends, so
 * its indices shift when older lines are found; it says by how much.
 */
import {
  type LogEntry,
  type LogLine,
  type RunLog,
  type RuncastClient,
  type RuncastEvent,
  isLog,
  lineOf,
  lineOfEvent,
} from "@runcast/client";

export interface LinesChange {
  /** So many lines were put before the first; negative: taken away from there. */
  prepended?: number;
}

export interface Lines {
  readonly length: number;
  at(index: number): LogLine | undefined;
  numberAt(index: number): number;
  /** The index of a line, or of the first after it. */
  indexOf(lineNumber: number): number;
  /** These are looked at; what is missing among them is fetched. */
  show(from: number, to: number): void;
  onChange(listener: (change: LinesChange) => void): () => void;
}

export class WholeLog implements Lines {
  constructor(private readonly log: RunLog) {}

  get length(): number {
    return this.log.lastLine;
  }
  at(index: number): LogLine | undefined {
    return this.log.line(index + 1);
  }
  numberAt(index: number): number {
    return index + 1;
  }
  indexOf(lineNumber: number): number {
    return lineNumber - 1;
  }
  show(from: number, to: number): void {
    this.log.show(from + 1, to + 1);
  }
  onChange(listener: (change: LinesChange) => void): () => void {
    return this.log.onChange(() => listener({}));
  }
}

export interface LogFilterValue {
  q: string;
  level: string;
  agent: string;
}

export const isFiltering = ({ q, level, agent }: LogFilterValue): boolean =>
  q !== "" || level !== "" || agent !== "";

const PAGE_LINES = 500;
const MAX_LINES = 20_000;
const NEAR_TOP_LINES = 100;

export class FilteredLog implements Lines {
  isLoaded = false;
  hasAll = false;
  error: Error | null = null;
  #lines: LogLine[] = [];
  #loading = false;
  readonly #listeners = new Set<(change: LinesChange) => void>();
  readonly #abort = new AbortController();

  constructor(
    private readonly client: RuncastClient,
    private readonly runId: string,
    private readonly filter: LogFilterValue,
  ) {
    void this.#older();
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
  indexOf(lineNumber: number): number {
    const at = this.#lines.findIndex((line) => line.lineNumber >= lineNumber);
    return at === -1 ? this.#lines.length : at;
  }
  show(from: number): void {
    if (from < NEAR_TOP_LINES) void this.#older();
  }
  onChange(listener: (change: LinesChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  close(): void {
    this.#abort.abort();
    this.#listeners.clear();
  }

  /** Live lines of the run: those that match join the end. */
  take(events: readonly RuncastEvent[]): void {
    if (!this.isLoaded) return;
    const last = this.#lines.at(-1)?.lineNumber ?? 0;
    const found: LogLine[] = [];
    for (const event of events) {
      if (!isLog(event) || event.data.run_id !== this.runId) continue;
      const line = lineOfEvent(event.data);
      if (line.lineNumber > last && this.#matches(line)) found.push(line);
    }
    if (found.length === 0) return;
    this.#lines = [...this.#lines, ...found];
    this.#emit({});
  }

  async #older(): Promise<void> {
    if (this.#loading || this.hasAll || this.#lines.length >= MAX_LINES) return;
    this.#loading = true;
    try {
      const entries = await this.#page(this.#lines[0]?.lineNumber);
      this.hasAll = entries.length < PAGE_LINES;
      this.isLoaded = true;
      this.error = null;
      this.#lines = [...entries.map(lineOf), ...this.#lines];
      this.#emit({ prepended: entries.length });
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.error = error as Error;
      this.hasAll = true;
      this.#emit({});
    } finally {
      this.#loading = false;
    }
  }

  async #page(before: number | undefined): Promise<LogEntry[]> {
    const { q, level, agent } = this.filter;
    const query = {
      tail: PAGE_LINES,
      ...(before === undefined ? {} : { before_line: before }),
      ...(q && { q }),
      ...(level && { level }),
      ...(agent && { agent_name: agent }),
    };
    return (await this.client.logs(this.runId, query)).data.logs;
  }

  #matches(line: LogLine): boolean {
    const { q, level, agent } = this.filter;
    if (q && !line.content.toLowerCase().includes(q.toLowerCase())) return false;
    if (level && line.level !== level) return false;
    return !agent || line.agentName === agent;
  }

  #emit(change: LinesChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
