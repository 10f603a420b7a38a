/** The whole log with its folds: what is hidden has no index. */
import type { LogLine, RunLog } from "@runcast/client";
import { type Fold, foldsIn, hiddenRanges } from "./folds";
import type { FoldMark, Lines, LinesChange } from "./lines";

/** Folds are looked for this many lines around what is shown. */
const AROUND = 300;
/** The view asks for this many rows above the first that is seen. */
const OVERSCAN = 12;
const SCAN_MS = 80;

export class FoldedLog implements Lines {
  /** By the line that each hangs on, and by its first line. */
  readonly #folds = new Map<number, Map<number, Fold>>();
  readonly #open = new Set<number>();
  #ranges: [number, number][] = [];
  /** How many lines the ranges before each one hide. */
  #before: number[] = [];
  #hidden = 0;
  #window: readonly [number, number] = [1, 1];
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #listeners = new Set<(change: LinesChange) => void>();

  constructor(private readonly log: RunLog) {}

  get length(): number {
    return Math.max(0, this.log.lastLine - this.#hidden);
  }

  at(index: number): LogLine | undefined {
    return this.log.line(this.numberAt(index));
  }

  numberAt(index: number): number {
    let [low, high] = [0, this.#ranges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const [from] = this.#ranges[middle]!;
      if (from - 1 - this.#before[middle]! <= index) low = middle + 1;
      else high = middle;
    }
    const hidden = low === 0 ? 0 : this.#before[low - 1]! + sizeOf(this.#ranges[low - 1]!);
    return index + 1 + hidden;
  }

  /** Of a hidden line the index of the line above its fold. */
  indexOf(lineNumber: number): number {
    let hidden = 0;
    for (const [at, [from, to]] of this.#ranges.entries()) {
      if (from > lineNumber) break;
      hidden = this.#before[at]! + Math.min(sizeOf([from, to]), lineNumber - from + 1);
    }
    return Math.max(0, lineNumber - 1 - hidden);
  }

  show(from: number, to: number): void {
    this.#window = [this.numberAt(from), this.numberAt(to)];
    this.log.show(...this.#window);
    this.#scanSoon();
  }

  onChange(listener: (change: LinesChange) => void): () => void {
    this.#listeners.add(listener);
    const stop = this.log.onChange(() => {
      this.#scanSoon();
      listener({});
    });
    return () => {
      stop();
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) clearTimeout(this.#timer);
    };
  }

  foldAt(lineNumber: number): FoldMark | null {
    const own = [...(this.#folds.get(lineNumber)?.values() ?? [])];
    const [first] = own;
    if (!first) return null;
    const lines = own.reduce((sum, { from, to }) => sum + to - from + 1, 0);
    const result = own.find((fold) => fold.result)?.result ?? null;
    return { lines, isOpen: this.#open.has(lineNumber), result };
  }

  toggle(lineNumber: number): void {
    if (!this.#open.delete(lineNumber)) this.#open.add(lineNumber);
    this.#changed(0);
  }

  /** Opens whatever hides a line. */
  reveal(lineNumber: number): void {
    const hiding = [...this.#all()].filter(
      ({ head, from, to }) => from <= lineNumber && lineNumber <= to && !this.#open.has(head),
    );
    if (hiding.length === 0) return;
    for (const { head } of hiding) this.#open.add(head);
    this.#changed(0);
  }

  *#all(): Generator<Fold> {
    for (const own of this.#folds.values()) yield* own.values();
  }

  #scanSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#scan();
    }, SCAN_MS);
  }

  #scan(): void {
    const [from, to] = this.#window;
    const last = Math.min(this.log.lastLine, to + AROUND);
    const found = foldsIn((n) => this.log.line(n), Math.max(1, from - AROUND), last);
    const fresh = found.filter(({ head, from, to }) => this.#folds.get(head)?.get(from)?.to !== to);
    if (fresh.length === 0) return;
    for (const fold of fresh) {
      const own = this.#folds.get(fold.head);
      if (own) own.set(fold.from, fold);
      else this.#folds.set(fold.head, new Map([[fold.from, fold]]));
    }
    this.#changed(from === 1 ? 1 : this.numberAt(this.indexOf(from) + OVERSCAN));
  }

  /** Tells the view how many rows came or went, and how many of them above the line `top`. */
  #changed(top: number): void {
    const [length, above] = [this.length, this.indexOf(top)];
    this.#ranges = hiddenRanges(this.#all(), ({ head }) => this.#open.has(head));
    this.#before = [];
    this.#hidden = 0;
    for (const range of this.#ranges) {
      this.#before.push(this.#hidden);
      this.#hidden += sizeOf(range);
    }
    const prepended = top > 0 ? this.indexOf(top) - above : 0;
    const folded = this.length - length - prepended;
    for (const listener of this.#listeners) listener({ prepended, folded, reset: true });
  }
}

const sizeOf = ([from, to]: readonly [number, number]): number => to - from + 1;
