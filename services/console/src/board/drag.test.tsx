import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Dragging } from "./drag";

const onOver = vi.fn();
let dragging: Dragging;

beforeEach(() => {
  vi.useFakeTimers();
  document.elementFromPoint = () => null;
  Element.prototype.scrollBy = () => undefined;
  document.body.innerHTML = `<div><p data-drag="subtask" data-drag-id="s">Card</p></div>`;
  const listener = { onOver, onDrop: () => undefined, onEnd: () => undefined };
  dragging = new Dragging(document.querySelector("div")!, listener);
});

afterEach(() => {
  dragging.destroy();
  onOver.mockClear();
  vi.useRealTimers();
});

function rest(isHeld: boolean): void {
  const card = document.querySelector("p")!;
  const finger = { isPrimary: true, pointerType: "touch", pointerId: 1 };
  card.dispatchEvent(Object.assign(new MouseEvent("pointerdown", { bubbles: true }), finger));
  card.dispatchEvent(new Event("touchstart", { bubbles: true, cancelable: isHeld }));
  vi.advanceTimersByTime(400);
}

it("lifts a card on which a finger rests", () => {
  rest(true);
  expect(onOver).toHaveBeenCalled();
});

it("lifts nothing with a finger that stops a scroll, which the browser goes on to scroll by", () => {
  rest(false);
  expect(onOver).not.toHaveBeenCalled();
});
