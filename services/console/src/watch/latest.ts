/** The newest line of each run, passed to the cards of that run, a few times a second. */
import { type RuncastEvent, isLog, withoutEscapes } from "@runcast/client";
import { afterCarriageReturns } from "../log/ansi";

const TELL_MS = 200;
const SHOWN_CHARACTERS = 200;

export interface Latest {
  lineNumber: number;
  text: string;
  level: string | null;
}

/** A line as a terminal would show it, as much of it as a card has room for. */
export const shownText = (line: string): string =>
  withoutEscapes(afterCarriageReturns(line).slice(0, 2 * SHOWN_CHARACTERS)).slice(0, SHOWN_CHARACTERS);

export class LatestLines {
  readonly #lines = new Map<string, Latest>();
  readonly #listeners = new Map<string, Set<() => void>>();
  readonly #changed = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  get(runId: string): Latest | null {
    return this.#lines.get(runId) ?? null;
  }

  put(runId: string, line: Latest): void {
    if ((this.#lines.get(runId)?.lineNumber ?? 0) >= line.lineNumber) return;
    this.#lines.set(runId, line);
    this.#changed.add(runId);
    this.#timer ??= setTimeout(() => this.#tell(), TELL_MS);
  }

  take(events: readonly RuncastEvent[]): void {
    for (const event of events) {
      if (!isLog(event)) continue;
      const { run_id: runId, line_number: lineNumber, line, level } = event.data;
      this.put(runId, { lineNumber, text: shownText(line), level: level ?? null });
    }
  }

  subscribe(runId: string, listener: () => void): () => void {
    const listeners = this.#listeners.get(runId) ?? new Set();
    this.#listeners.set(runId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(runId);
    };
  }

  #tell(): void {
    this.#timer = undefined;
    for (const runId of this.#changed) {
      for (const listener of this.#listeners.get(runId) ?? []) listener();
    }
    this.#changed.clear();
  }
}
