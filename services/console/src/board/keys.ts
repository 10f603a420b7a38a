/** The board's keys: h j k l walk over the cards by where they are on the screen; [ and ] move the focused one. */
import type { Subtask } from "@runcast/client";
import type { RefObject } from "react";
import { useShortcuts } from "../shell/shortcuts";
import { type Column, neighbour } from "./moves";

export function useBoardKeys(
  subtasks: ReadonlyMap<string, Subtask>,
  canMove: boolean,
  keyed: RefObject<string | null>,
  onMove: (subtask: Subtask, column: Column) => void,
  onStep: (subtask: Subtask, by: 1 | -1) => void,
): void {
  /** The card that has the focus. The pointer may rest anywhere, so it names none. */
  const current = (): Subtask | undefined => {
    const card = document.activeElement?.closest<HTMLElement>("[data-subtask]");
    return subtasks.get(card?.dataset.subtask ?? "");
  };
  const move = (direction: 1 | -1) => (): void => {
    const subtask = current();
    const column = subtask && canMove ? neighbour(subtask, direction) : null;
    if (!subtask || !column) return;
    keyed.current = subtask.id;
    onMove(subtask, column);
  };
  const step = (by: 1 | -1) => (): void => {
    const subtask = current();
    if (!subtask || !canMove) return;
    keyed.current = subtask.id;
    onStep(subtask, by);
  };
  useShortcuts([
    { keys: "J", text: "Move down", run: step(1) },
    { keys: "K", text: "Move up", run: step(-1) },
    { keys: "j", text: "Down", run: () => walk(0, 1) },
    { keys: "k", text: "Up", run: () => walk(0, -1) },
    { keys: "l", text: "Right", run: () => walk(1, 0) },
    { keys: "h", text: "Left", run: () => walk(-1, 0) },
    { keys: "[", text: "Move left", run: move(-1) },
    { keys: "]", text: "Move right", run: move(1) },
  ]);
}

/** Goes to the nearest card that is drawn in that direction; where none is, the board scrolls to where one may be. */
function walk(dx: number, dy: number): void {
  const cards = [...document.querySelectorAll<HTMLElement>("[data-subtask]")].filter((card) => card.childElementCount > 0);
  const from = cards.find((card) => card.contains(document.activeElement));
  if (!from) {
    cards[0]?.querySelector("button")?.focus();
    return;
  }
  const here = from.getBoundingClientRect();
  const scored = cards
    .filter((card) => card !== from)
    .map((card) => {
      const box = card.getBoundingClientRect();
      const ahead = dx !== 0 ? (box.left - here.left) * dx : (box.top - here.top) * dy;
      const aside = dx !== 0 ? Math.abs(box.top - here.top) : Math.abs(box.left - here.left) * 4;
      return { card, ahead, score: ahead + aside };
    })
    .filter(({ ahead }) => ahead > 4)
    .sort((a, b) => a.score - b.score);
  const next = scored[0]?.card.querySelector("button");
  if (next) next.focus();
  else from.closest("[data-testid=board]")?.scrollBy(0, dy * window.innerHeight);
}
