/**
 * What a log view can show: lines by index, some of which may still be on their way.
 *
 * The whole log is dense (index 0 is line 1). A `FilteredLog` is a list that grows at both ends, so its
 * indices shift when older lines are found; it says by how much.
 */
import type { FilteredChange, LogLine, RunLog } from "@runcast/client";

export interface LinesChange extends FilteredChange {
  /** Lines came between others: what was drawn is out of date. */
  reset?: boolean;
  /** By how many rows the list grew (or shrank) without any line having come: something was folded. */
  folded?: number;
}

/** What a row says of the lines that are folded under it. */
export interface FoldMark {
  lines: number;
  isOpen: boolean;
  /** Of a tool call: how it ended. */
  result: { ok: boolean; ms: number | null } | null;
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
  /** What is folded under a line, if anything. */
  foldAt?(lineNumber: number): FoldMark | null;
  toggle?(lineNumber: number): void;
  /** Opens whatever hides a line. */
  reveal?(lineNumber: number): void;
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
