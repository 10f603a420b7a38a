/** The lines of several runs in the order of their times, each once; the oldest go when there are too many. */
import { type LogLine, type RuncastEvent, isLog, lineOfEvent, withoutEscapes } from "@runcast/client";
import { highlightOf } from "../log/highlight";
import type { Lines, LinesChange } from "../log/lines";

const MAX_LINES = 20_000;

export interface MergedLine extends LogLine {
  runId: string;
  /** The line's number in its own run; `lineNumber` is its place in the stream. */
  runLine: number;
}

type Given = LogLine & { runId: string };

export class MergedLines implements Lines {
  #lines: readonly MergedLine[] = [];
  /** Those of them that the search finds. */
  #found: readonly MergedLine[] = [];
  #search: RegExp | null = null;
  /** How many lines went: numbers go on counting. */
  #gone = 0;
  readonly #held = new Set<string>();
  readonly #listeners = new Set<(change: LinesChange) => void>();

  get length(): number {
    return this.#found.length;
  }
  at(index: number): MergedLine | undefined {
    return this.#found[index];
  }
  numberAt(index: number): number {
    return this.#found[index]?.lineNumber ?? this.#gone + this.#lines.length + 1;
  }
  indexOf(lineNumber: number): number {
    let [from, to] = [0, this.#found.length];
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.#found[middle]!.lineNumber < lineNumber) from = middle + 1;
      else to = middle;
    }
    return from;
  }
  show(): void {
    // All that there is is here.
  }
  onChange(listener: (change: LinesChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  take(events: readonly RuncastEvent[], chosen: ReadonlySet<string>): void {
    const added: Given[] = [];
    for (const event of events) {
      if (isLog(event) && chosen.has(event.data.run_id)) {
        added.push({ ...lineOfEvent(event.data), runId: event.data.run_id });
      }
    }
    this.add(added);
  }

  /** Adds lines that aren't there yet, each where its time belongs. */
  add(lines: readonly Given[]): void {
    const fresh = lines.filter((line) => {
      const name = nameOf(line);
      if (this.#held.has(name)) return false;
      this.#held.add(name);
      return true;
    });
    if (fresh.length === 0) return;
    const added = fresh.map((line) => ({ ...line, runLine: line.lineNumber })).sort(byTime);
    const last = this.#lines.at(-1);
    const isInOrder = !last || byTime(last, added[0]!) <= 0;
    const all = isInOrder ? [...this.#lines, ...added] : [...this.#lines, ...added].sort(byTime);
    const over = all.length > MAX_LINES ? all.length - MAX_LINES + MAX_LINES / 10 : 0;
    for (const line of all.slice(0, over)) this.#held.delete(nameOf({ ...line, lineNumber: line.runLine }));
    this.#gone += over;
    this.#lines = all.slice(over).map((line, place) => ({ ...line, lineNumber: this.#gone + place + 1 }));
    this.#found = this.#matching();
    this.#tell(isInOrder && !this.#search ? { prepended: -over } : { reset: true });
  }

  /** Leaves only the lines in which this text is seen; an empty one leaves them all. */
  search(text: string): void {
    this.#search = highlightOf(text, false);
    this.#found = this.#matching();
    this.#tell({ reset: true });
  }

  #matching(): readonly MergedLine[] {
    const search = this.#search;
    if (!search) return this.#lines;
    return this.#lines.filter(({ content }) => withoutEscapes(content).search(search) !== -1);
  }

  /** Forgets everything: the stream was closed. */
  clear(): void {
    this.#lines = [];
    this.#found = [];
    this.#held.clear();
    this.#gone = 0;
    this.#tell({ reset: true });
  }

  #tell(change: LinesChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}

const nameOf = ({ runId, lineNumber }: Given): string => `${runId}:${lineNumber}`;

/** Lines of one run keep their order, whatever their times say. */
function byTime(a: MergedLine, b: MergedLine): number {
  if (a.runId === b.runId) return a.runLine - b.runLine;
  return (a.timestamp ?? "").localeCompare(b.timestamp ?? "");
}
