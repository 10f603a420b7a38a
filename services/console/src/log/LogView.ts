/**
 * A log of any length in a native scroller, in constant memory and with plain DOM.
 *
 * Only the rows in and around the viewport exist. While the log is short enough, the scroll
 * position is the place in the log, to the pixel. A million rows are taller than browsers allow an
 * element to be, and wrapped rows have no known height; then the scroller has a fixed height and
 * the view keeps an **anchor** (first visible row, and how much of it is hidden): small scroll
 * steps move the anchor by as many pixels, jumps and drags of the scrollbar go to the proportional
 * place, and when scrolling rests, the scrollbar is put where the anchor says.
 *
 * Following is a mode of its own: the last row sits at the bottom edge, and any scroll that the
 * user makes upwards ends it.
 */
import type { LogLine } from "@runcast/client";
import type { Lines } from "./lines";
import { type RowOptions, placeholderOf, rowOf } from "./row";

export const ROW_HEIGHT = 20;
const MAX_HEIGHT = 6_000_000;
const OVERSCAN_ROWS = 12;
const REST_MS = 160;
const END_SLACK = 4;

export interface LogViewEvents {
  onFollow(following: boolean): void;
  /** How many lines came since following ended. */
  onUnseen(count: number): void;
  /** A click on a line's number; `extend`: with shift. */
  onPick(lineNumber: number, extend: boolean): void;
  onContext(lineNumber: number): void;
}

export type LogViewOptions = RowOptions;

interface Anchor {
  index: number;
  /** Pixels of that row above the viewport's top. */
  hidden: number;
}

export class LogView {
  readonly #space: HTMLElement;
  readonly #block: HTMLElement;
  readonly #rows = new Map<number, HTMLElement>();
  readonly #whole = new Set<number>();
  readonly #resize: ResizeObserver;
  #lines: Lines | null = null;
  #stopListening: () => void = () => undefined;
  #options: LogViewOptions;
  #anchor: Anchor = { index: 0, hidden: 0 };
  #following = true;
  #seenLength = 0;
  #unseen = 0;
  #selected: readonly [number, number] | null = null;
  #pulse: number | null = null;
  #frame = 0;
  #rest: ReturnType<typeof setTimeout> | undefined;
  /** Where we last put the scroller; what differs from it is the user's doing. */
  #placedTop = 0;
  #dragsScrollbar = false;
  #height = 0;
  #viewport = 0;

  constructor(
    private readonly host: HTMLElement,
    options: LogViewOptions,
    private readonly events: LogViewEvents,
  ) {
    this.#options = options;
    this.#space = document.createElement("div");
    this.#space.className = "log-space";
    this.#block = document.createElement("div");
    this.#block.className = "log-block";
    this.#space.append(this.#block);
    host.replaceChildren(this.#space);
    host.classList.toggle("log-wrap", options.wrap);
    this.#viewport = host.clientHeight;
    host.addEventListener("scroll", this.#onScroll, { passive: true });
    host.addEventListener("pointerdown", this.#onPointerDown);
    host.addEventListener("click", this.#onClick);
    window.addEventListener("pointerup", this.#onPointerUp);
    document.addEventListener("selectionchange", this.#onSelection);
    this.#resize = new ResizeObserver(() => {
      this.#viewport = host.clientHeight;
      this.#invalidate();
    });
    this.#resize.observe(host);
  }

  destroy(): void {
    this.#stopListening();
    this.#resize.disconnect();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#rest);
    this.host.removeEventListener("scroll", this.#onScroll);
    this.host.removeEventListener("pointerdown", this.#onPointerDown);
    this.host.removeEventListener("click", this.#onClick);
    window.removeEventListener("pointerup", this.#onPointerUp);
    document.removeEventListener("selectionchange", this.#onSelection);
    this.host.replaceChildren();
  }

  get isFollowing(): boolean {
    return this.#following;
  }

  /** Number of the first line that is fully in view. */
  get topLine(): number {
    const { index, hidden } = this.#anchor;
    return this.#lines?.numberAt(index + (hidden > ROW_HEIGHT / 2 ? 1 : 0)) ?? 1;
  }

  setLines(lines: Lines): void {
    this.#stopListening();
    this.#lines = lines;
    this.#stopListening = lines.onChange(({ prepended = 0, reset = false, folded = 0 }) => {
      if (reset) this.#clearRows();
      this.#seenLength = Math.max(0, this.#seenLength + folded);
      if (prepended !== 0) this.#shift(prepended);
      this.#invalidate();
    });
    this.#clearRows();
    this.#anchor = { index: 0, hidden: 0 };
    this.#seenLength = lines.length;
    this.#invalidate();
  }

  setOptions(options: LogViewOptions): void {
    const top = this.topLine;
    const rewrapped = options.wrap !== this.#options.wrap;
    this.#options = options;
    this.host.classList.toggle("log-wrap", options.wrap);
    this.#clearRows();
    if (rewrapped && !this.#following) this.jumpTo(top, "start");
    else this.#invalidate();
  }

  select(range: readonly [number, number] | null): void {
    this.#selected = range;
    for (const row of this.#rows.values()) this.#markSelected(row);
  }

  follow(following: boolean): void {
    if (following === this.#following) return;
    this.#following = following;
    this.#seenLength = this.#lines?.length ?? 0;
    this.#setUnseen(0);
    this.events.onFollow(following);
    this.#invalidate();
  }

  jumpTo(lineNumber: number, place: "start" | "centre" = "centre", pulse = false): void {
    if (!this.#lines) return;
    this.#lines.reveal?.(lineNumber);
    this.follow(false);
    const index = Math.max(0, Math.min(this.#lines.indexOf(lineNumber), this.#lines.length - 1));
    const above = place === "centre" ? Math.floor(this.#viewport / ROW_HEIGHT / 2) - 1 : 0;
    this.#anchor = { index: Math.max(0, index - above), hidden: 0 };
    if (pulse) this.#pulse = lineNumber;
    this.#render();
    this.#putScrollbar();
    this.#invalidate();
  }

  // Geometry

  get #length(): number {
    return this.#lines?.length ?? 0;
  }
  /** Whether a scroll position is a place in the log, to the pixel. */
  get #isExact(): boolean {
    return !this.#options.wrap && this.#length * ROW_HEIGHT <= MAX_HEIGHT;
  }
  get #scrollRange(): number {
    return Math.max(0, this.#height - this.#viewport);
  }
  get #rowsInView(): number {
    return Math.ceil(this.#viewport / ROW_HEIGHT) + 1;
  }
  /** The anchor when the scrollbar is at its end, roughly: rows may be taller than one line. */
  get #lastAnchor(): number {
    return Math.max(0, this.#length - this.#viewport / ROW_HEIGHT);
  }

  // What the user does

  readonly #onScroll = (): void => {
    const top = this.host.scrollTop;
    const delta = top - this.#placedTop;
    if (Math.abs(delta) < 1) return;
    this.#placedTop = top;
    if (this.#following) {
      if (delta > 0 || this.#scrollRange - top <= END_SLACK) return;
      this.follow(false);
    }
    this.#scrollBy(delta, top);
    this.#invalidate();
    clearTimeout(this.#rest);
    this.#rest = setTimeout(this.#onRest, REST_MS);
  };

  #scrollBy(delta: number, top: number): void {
    const jumps = this.#dragsScrollbar || Math.abs(delta) > 2 * this.#viewport;
    if (this.#isExact) this.#anchor = anchorAt(top / ROW_HEIGHT);
    else if (jumps) this.#anchor = anchorAt((top / (this.#scrollRange || 1)) * this.#lastAnchor);
    else this.#anchor = this.#moved(delta);
  }

  /** The anchor this many pixels further, over rows as tall as they are. */
  #moved(delta: number): Anchor {
    let { index, hidden } = this.#anchor;
    hidden += delta;
    while (hidden < 0 && index > 0) hidden += this.#heightOf((index -= 1));
    while (index < this.#length - 1 && hidden >= this.#heightOf(index)) {
      hidden -= this.#heightOf(index);
      index += 1;
    }
    return { index, hidden: Math.max(0, hidden) };
  }

  #heightOf(index: number): number {
    return this.#options.wrap ? (this.#rows.get(index)?.offsetHeight ?? ROW_HEIGHT) : ROW_HEIGHT;
  }

  readonly #onRest = (): void => {
    if (this.#dragsScrollbar) {
      this.#rest = setTimeout(this.#onRest, REST_MS);
      return;
    }
    // The browser tells of a scroll a frame later: one that it hasn't told of yet isn't undone.
    this.#onScroll();
    if (!this.#following && this.#isAtEnd()) this.follow(true);
    else this.#putScrollbar();
  };

  #isAtEnd(): boolean {
    const last = this.#rows.get(this.#length - 1);
    if (!last) return false;
    const bottom = last.getBoundingClientRect().bottom - this.host.getBoundingClientRect().top;
    return bottom <= this.#viewport + END_SLACK;
  }

  /** Puts the scrollbar where the anchor says; what is seen stays. */
  #putScrollbar(): void {
    if (this.#isExact || this.#following) return;
    const place = this.#anchor.index + this.#anchor.hidden / ROW_HEIGHT;
    const share = this.#lastAnchor > 0 ? Math.min(1, place / this.#lastAnchor) : 0;
    this.#placeTop(share * this.#scrollRange);
    this.#render();
  }

  readonly #onPointerDown = (event: PointerEvent): void => {
    const { left, top } = this.host.getBoundingClientRect();
    const onVertical = event.clientX - left > this.host.clientWidth;
    this.#dragsScrollbar = onVertical && event.clientY - top < this.host.clientHeight;
  };

  readonly #onPointerUp = (): void => {
    this.#dragsScrollbar = false;
  };

  readonly #onSelection = (): void => {
    const selection = document.getSelection();
    if (!this.#following || !selection || selection.isCollapsed) return;
    if (selection.anchorNode && this.#block.contains(selection.anchorNode)) this.follow(false);
  };

  readonly #onClick = (event: MouseEvent): void => {
    const target = event.target as HTMLElement;
    const line = Number(target.closest<HTMLElement>(".log-row")?.dataset.line ?? NaN);
    if (Number.isNaN(line)) return;
    if (target.dataset.fold !== undefined) this.#toggle(line);
    else if (target.dataset.more !== undefined) this.#showWhole(line);
    else if (target.dataset.context !== undefined) this.events.onContext(line);
    else if (target.classList.contains("log-number") && !event.metaKey && !event.ctrlKey) {
      event.preventDefault();
      this.events.onPick(line, event.shiftKey);
    }
  };

  /** What is above the fold stays where it is. */
  #toggle(line: number): void {
    this.follow(false);
    this.#lines?.toggle?.(line);
  }

  #showWhole(line: number): void {
    this.#whole.add(line);
    const index = this.#lines?.indexOf(line) ?? -1;
    this.#rows.get(index)?.remove();
    this.#rows.delete(index);
    this.#invalidate();
  }

  // What is drawn

  #invalidate(): void {
    if (this.#frame === 0) {
      this.#frame = requestAnimationFrame(() => {
        this.#frame = 0;
        this.#render();
      });
    }
  }

  #render(): void {
    const lines = this.#lines;
    if (!lines || this.#viewport === 0) return;
    this.#countUnseen(lines.length);
    this.#setHeight();
    if (this.#following) this.#anchor = anchorAt(this.#lastAnchor);
    else if (this.#isExact) this.#anchor = this.#exactAnchor();
    const first = Math.max(0, this.#anchor.index - OVERSCAN_ROWS);
    const last = Math.min(lines.length, this.#anchor.index + this.#rowsInView + OVERSCAN_ROWS);
    lines.show(first, Math.max(first, last - 1));
    this.#drawRows(lines, first, last);
    this.#placeBlock(first);
  }

  /** A jump sets the anchor before the scroller; a resize may leave it beyond the end. */
  #exactAnchor(): Anchor {
    const wanted = Math.min(
      this.#scrollRange,
      this.#anchor.index * ROW_HEIGHT + this.#anchor.hidden,
    );
    if (Math.abs(this.host.scrollTop - wanted) >= 1) this.#placeTop(wanted);
    return anchorAt(wanted / ROW_HEIGHT);
  }

  #drawRows(lines: Lines, first: number, last: number): void {
    for (const [index, row] of this.#rows) {
      if (index >= first && index < last) continue;
      row.remove();
      this.#rows.delete(index);
    }
    let previous: HTMLElement | null = null;
    for (let index = first; index < last; index += 1) {
      const row = this.#rowFor(lines, index);
      const here: ChildNode | null = previous ? previous.nextSibling : this.#block.firstChild;
      if (row !== here) this.#block.insertBefore(row, here);
      previous = row;
    }
  }

  #rowFor(lines: Lines, index: number): HTMLElement {
    const held = this.#rows.get(index);
    const line = lines.at(index);
    if (held && (!line || !held.classList.contains("log-waiting"))) return held;
    held?.remove();
    const row = this.#newRow(line, lines.numberAt(index));
    this.#rows.set(index, row);
    return row;
  }

  #newRow(line: LogLine | undefined, lineNumber: number): HTMLElement {
    const row = line
      ? rowOf(line, this.#options, this.#whole.has(lineNumber), this.#lines?.foldAt?.(lineNumber) ?? null)
      : placeholderOf(lineNumber, this.#options);
    this.#markSelected(row);
    if (line && this.#pulse === lineNumber) {
      row.classList.add("log-pulse");
      this.#pulse = null;
    }
    return row;
  }

  #placeBlock(first: number): void {
    let y: number;
    if (this.#following) {
      this.#placeTop(this.#scrollRange);
      const blockHeight = this.#options.wrap ? this.#block.offsetHeight : this.#rows.size * ROW_HEIGHT;
      y = Math.max(this.#isShort() ? 0 : -Infinity, this.#height - blockHeight);
      if (this.#isShort()) y = 0;
    } else if (this.#isExact) y = first * ROW_HEIGHT;
    else y = this.#scaledBlockTop(first);
    this.#block.style.transform = `translateY(${y}px)`;
  }

  /** All of it fits the viewport: it begins at the top. */
  #isShort(): boolean {
    if (this.#length > this.#rowsInView) return false;
    return this.#block.offsetHeight <= this.#viewport;
  }

  #scaledBlockTop(first: number): number {
    const top = this.host.scrollTop;
    const anchorRow = this.#rows.get(this.#anchor.index);
    const above = this.#options.wrap
      ? (anchorRow?.offsetTop ?? 0)
      : (this.#anchor.index - first) * ROW_HEIGHT;
    const y = top - above - this.#anchor.hidden;
    if (!this.#rows.has(this.#length - 1)) return y;
    const beyond = top + this.#viewport - (y + this.#block.offsetHeight);
    if (beyond <= 0 || this.#isShort()) return y;
    this.#anchor = this.#moved(-beyond);
    return y + beyond;
  }

  #setHeight(): void {
    const wanted = Math.max(
      Math.min(this.#length * ROW_HEIGHT, MAX_HEIGHT),
      this.#options.wrap ? this.#block.offsetHeight : 0,
      this.#viewport,
    );
    if (wanted === this.#height) return;
    this.#height = wanted;
    this.#space.style.height = `${wanted}px`;
  }

  #placeTop(top: number): void {
    this.host.scrollTop = top;
    this.#placedTop = this.host.scrollTop;
  }

  #countUnseen(length: number): void {
    if (this.#following) this.#seenLength = length;
    this.#setUnseen(Math.max(0, length - this.#seenLength));
  }

  #setUnseen(count: number): void {
    if (count === this.#unseen) return;
    this.#unseen = count;
    this.events.onUnseen(count);
  }

  #markSelected(row: HTMLElement): void {
    const line = Number(row.dataset.line ?? NaN);
    const [from, to] = this.#selected ?? [0, -1];
    row.classList.toggle("log-selected", line >= from && line <= to);
  }

  #shift(prepended: number): void {
    this.#clearRows();
    this.#seenLength = Math.max(0, this.#seenLength + prepended);
    this.#anchor = { ...this.#anchor, index: Math.max(0, this.#anchor.index + prepended) };
    if (!this.#following) this.#render();
  }

  #clearRows(): void {
    this.#rows.clear();
    this.#block.replaceChildren();
  }
}

function anchorAt(place: number): Anchor {
  const index = Math.floor(place);
  return { index, hidden: Math.round((place - index) * ROW_HEIGHT) };
}
