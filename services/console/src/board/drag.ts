/**
 * Dragging with any pointer. The browser's own drag and drop knows no fingers on most phones, so cards
 * and lanes follow the pointer's events instead: a mouse drags once it has moved a little, a finger once
 * it has rested, so that a quick one still scrolls. A copy of what is dragged follows the pointer, and
 * the board scrolls by itself near its edges. Escape, or anything that takes the pointer away, ends it
 * with nothing done.
 *
 * What can be dragged has `data-drag` (its kind) and `data-drag-id`; where it may go is read from the
 * `data-task`, `data-column` and `data-subtask` of what lies under the pointer.
 */

export interface Dragged {
  kind: "subtask" | "task";
  id: string;
}

/** Where the pointer is: a lane, a column of it, the card that it would be put before. */
export interface Place {
  task: string;
  column: string | null;
  before: string | null;
}

export interface DragListener {
  /** A drag begins, or is over another place, or over none. */
  onOver: (dragged: Dragged, place: Place | null) => void;
  /** It was dropped there. */
  onDrop: (dragged: Dragged, place: Place) => void;
  /** It has ended, after `onDrop` or without. */
  onEnd: () => void;
}

const MOUSE_PX = 6;
const FINGER_PX = 10;
const REST_MS = 300;
const EDGE_PX = 56;
const SCROLL_PX = 16;

interface Press {
  pointer: number;
  isFinger: boolean;
  dragged: Dragged;
  element: HTMLElement;
  x: number;
  y: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

interface Drag {
  ghost: HTMLElement;
  /** From the pointer to the copy's corner. */
  dx: number;
  dy: number;
  place: Place | null;
  frame: number;
}

export class Dragging {
  readonly #board: HTMLElement;
  readonly #listener: DragListener;
  #press: Press | null = null;
  #drag: Drag | null = null;

  constructor(board: HTMLElement, listener: DragListener) {
    this.#board = board;
    this.#listener = listener;
    board.addEventListener("pointerdown", this.#down);
    // Not passive: a finger that drags must not scroll as well.
    board.addEventListener("touchstart", this.#touch, { passive: false });
    board.addEventListener("touchmove", this.#hold, { passive: false });
    board.addEventListener("contextmenu", this.#hold);
  }

  destroy(): void {
    this.#end();
    this.#board.removeEventListener("pointerdown", this.#down);
    this.#board.removeEventListener("touchstart", this.#touch);
    this.#board.removeEventListener("touchmove", this.#hold);
    this.#board.removeEventListener("contextmenu", this.#hold);
  }

  readonly #hold = (event: Event): void => {
    if (this.#drag) event.preventDefault();
  };

  /** A finger that stops a scroll still scrolls when it moves, and takes what was lifted away: it lifts nothing. */
  readonly #touch = (event: TouchEvent): void => {
    if (!event.cancelable && !this.#drag) this.#end();
  };

  readonly #down = (event: PointerEvent): void => {
    if (this.#press || !event.isPrimary || event.button !== 0) return;
    const target = event.target as Element;
    const control = target.closest("button, a, input, select, label");
    const element = target.closest<HTMLElement>("[data-drag]");
    const { drag: kind, dragId: id } = element?.dataset ?? {};
    if (!element || !id || (control && !control.hasAttribute("data-grip"))) return;
    const isFinger = event.pointerType === "touch";
    this.#press = {
      pointer: event.pointerId,
      isFinger,
      dragged: { kind: kind as Dragged["kind"], id },
      element,
      x: event.clientX,
      y: event.clientY,
      timer: isFinger ? setTimeout(() => this.#begin(), REST_MS) : undefined,
    };
    addEventListener("pointermove", this.#move);
    addEventListener("pointerup", this.#up);
    addEventListener("pointercancel", this.#cancel);
    addEventListener("keydown", this.#key, { capture: true });
    addEventListener("blur", this.#cancel);
  };

  readonly #move = (event: PointerEvent): void => {
    const press = this.#press;
    if (press?.pointer !== event.pointerId) return;
    const moved = Math.hypot(event.clientX - press.x, event.clientY - press.y);
    if (!this.#drag) {
      if (moved <= (press.isFinger ? FINGER_PX : MOUSE_PX)) return;
      if (press.isFinger) return this.#end();
      this.#begin();
    }
    press.x = event.clientX;
    press.y = event.clientY;
    this.#look();
  };

  readonly #up = (event: PointerEvent): void => {
    if (this.#press?.pointer !== event.pointerId) return;
    const { dragged } = this.#press;
    const place = this.#drag?.place;
    if (this.#drag) swallowClick();
    if (place) this.#listener.onDrop(dragged, place);
    this.#end();
  };

  readonly #cancel = (): void => this.#end();

  readonly #key = (event: KeyboardEvent): void => {
    if (event.key !== "Escape" || !this.#drag) return;
    event.preventDefault();
    event.stopPropagation();
    this.#end();
  };

  #begin(): void {
    const { element, x, y, dragged } = this.#press!;
    const box = element.getBoundingClientRect();
    const ghost = element.cloneNode(true) as HTMLElement;
    for (const name of ["data-subtask", "data-drag", "data-drag-id", "id"]) ghost.removeAttribute(name);
    ghost.setAttribute("aria-hidden", "true");
    ghost.inert = true;
    ghost.classList.add("drag-ghost");
    ghost.style.width = `${box.width}px`;
    document.body.append(ghost);
    element.setAttribute("data-dragged", "");
    getSelection()?.removeAllRanges();
    this.#drag = { ghost, dx: box.left - x, dy: box.top - y, place: null, frame: 0 };
    this.#listener.onOver(dragged, null);
    this.#look();
    this.#scroll();
  }

  /** Moves the copy to the pointer, and says where it is if that is another place. */
  #look(): void {
    const { x, y, dragged } = this.#press!;
    const drag = this.#drag!;
    drag.ghost.style.transform = `translate(${x + drag.dx}px, ${y + drag.dy}px)`;
    const under = document.elementFromPoint(x, y);
    const place = under && this.#board.contains(under) ? placeOf(under) : null;
    if (isSame(place, drag.place)) return;
    drag.place = place;
    this.#listener.onOver(dragged, place);
  }

  readonly #scroll = (): void => {
    if (!this.#drag || !this.#press) return;
    const { x, y } = this.#press;
    const { left, right, top, bottom } = this.#board.getBoundingClientRect();
    const by = (at: number, from: number, to: number): number =>
      at < from + EDGE_PX ? -SCROLL_PX : at > to - EDGE_PX ? SCROLL_PX : 0;
    const [dx, dy] = [by(x, left, right), by(y, top, bottom)];
    if (dx !== 0 || dy !== 0) {
      this.#board.scrollBy(dx, dy);
      this.#look();
    }
    this.#drag.frame = requestAnimationFrame(this.#scroll);
  };

  #end(): void {
    if (!this.#press) return;
    clearTimeout(this.#press.timer);
    this.#press.element.removeAttribute("data-dragged");
    this.#press = null;
    removeEventListener("pointermove", this.#move);
    removeEventListener("pointerup", this.#up);
    removeEventListener("pointercancel", this.#cancel);
    removeEventListener("keydown", this.#key, { capture: true });
    removeEventListener("blur", this.#cancel);
    if (!this.#drag) return;
    cancelAnimationFrame(this.#drag.frame);
    this.#drag.ghost.remove();
    this.#drag = null;
    this.#listener.onEnd();
  }
}

function placeOf(under: Element): Place | null {
  const task = under.closest<HTMLElement>("[data-task]")?.dataset.task;
  if (!task) return null;
  return {
    task,
    column: under.closest<HTMLElement>("[data-column]")?.dataset.column ?? null,
    before: under.closest<HTMLElement>("[data-subtask]")?.dataset.subtask ?? null,
  };
}

const isSame = (a: Place | null, b: Place | null): boolean =>
  a?.task === b?.task && a?.column === b?.column && a?.before === b?.before;

/** The click that some browsers send after a drag would open the card. */
function swallowClick(): void {
  const stop = (event: Event): void => {
    event.preventDefault();
    event.stopPropagation();
  };
  addEventListener("click", stop, { capture: true, once: true });
  setTimeout(() => removeEventListener("click", stop, { capture: true }), 0);
}
