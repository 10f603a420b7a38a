/** The lines of several runs in the order they arrive; the oldest go when there are too many. */
import { type LogLine, type RuncastEvent, isLog, lineOfEvent } from "@runcast/client";
import type { Lines, LinesChange } from "../log/lines";

const MAX_LINES = 20_000;

export interface MergedLine extends LogLine {
  runId: string;
}

export class MergedLines implements Lines {
  #lines: MergedLine[] = [];
  /** How many lines went: numbers go on counting. */
  #gone = 0;
  readonly #listeners = new Set<(change: LinesChange) => void>();

  get length(): number {
    return this.#lines.length;
  }
  at(index: number): MergedLine | undefined {
    return this.#lines[index];
  }
  numberAt(index: number): number {
    return this.#gone + index + 1;
  }
  indexOf(lineNumber: number): number {
    return lineNumber - this.#gone - 1;
  }
  show(): void {
    // All that there is is here.
  }
  onChange(listener: (change: LinesChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  take(events: readonly RuncastEvent[], chosen: ReadonlySet<string>): void {
    const added: MergedLine[] = [];
    for (const event of events) {
      if (isLog(event) && chosen.has(event.data.run_id)) {
        added.push({ ...lineOfEvent(event.data), runId: event.data.run_id });
      }
    }
    this.add(added);
  }

  add(lines: readonly MergedLine[]): void {
    if (lines.length === 0) return;
    const before = this.#gone + this.#lines.length;
    const numbered = lines.map((line, i) => ({ ...line, lineNumber: before + i + 1 }));
    const all = [...this.#lines, ...numbered];
    const over = Math.max(0, all.length - MAX_LINES);
    this.#lines = over > 0 ? all.slice(over + MAX_LINES / 10) : all;
    const gone = all.length - this.#lines.length;
    this.#gone += gone;
    for (const listener of this.#listeners) listener(gone > 0 ? { prepended: -gone } : {});
  }
}
