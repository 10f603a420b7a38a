import type { ActiveRun, Subtask, Task } from "@runcast/client";
import { type RefObject, createContext, useContext } from "react";
import type { ViewLogs } from "./types";

/** What the cards and lanes of a board share. */
export interface BoardContents {
  tasks: readonly Task[];
  subtasks: ReadonlyMap<string, Subtask>;
  activeRuns: readonly ActiveRun[];
  canMove: boolean;
  /** What the card in focus waits for, and what waits for it. */
  related: ReadonlySet<string>;
  /** The card, the column of a lane ("task column") or the lane that a drop would go to, or null. */
  over: string | null;
  onViewLogs: ViewLogs;
  onOpen: (subtask: Subtask) => void;
  onFocus: (id: string | null) => void;
  /** A card took the focus. */
  onChosen: (id: string) => void;
  /** Puts a task one place up (-1) or down (1). */
  onStep: (task: Task, by: 1 | -1) => void;
}

/**
 * The card that was moved by a key: it has the focus wherever it comes to stand. Apart from the rest, because
 * it never changes: the places of a thousand cards know it without being drawn again.
 */
export const KeyedContext = createContext<RefObject<string | null>>({ current: null });

export const BoardContext = createContext<BoardContents | null>(null);

export function useBoard(): BoardContents {
  const board = useContext(BoardContext);
  if (!board) throw new Error("useBoard must be used within a Board");
  return board;
}
