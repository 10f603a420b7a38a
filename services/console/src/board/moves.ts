/** Which step takes a subtask from where it is to another column, if any. */
import type { Subtask, SubtaskMove, SubtaskStatus, Task } from "@runcast/client";

export interface Column {
  id: string;
  title: string;
  statuses: readonly SubtaskStatus[];
}

export const COLUMNS: readonly Column[] = [
  { id: "blocked", title: "Blocked", statuses: ["BLOCKED"] },
  { id: "pending", title: "Pending", statuses: ["PENDING"] },
  { id: "progress", title: "In progress", statuses: ["IN_PROGRESS"] },
  { id: "review", title: "In review", statuses: ["IN_REVIEW"] },
  { id: "done", title: "Done", statuses: ["COMPLETED", "MERGED"] },
  { id: "stopped", title: "Failed or skipped", statuses: ["FAILED", "SKIPPED"] },
];

/** From a status, the moves that the server allows, each with the status it leads to. */
export const MOVES: Record<SubtaskStatus, Partial<Record<SubtaskMove, SubtaskStatus>>> = {
  BLOCKED: { skip: "SKIPPED" },
  PENDING: { start: "IN_PROGRESS", skip: "SKIPPED" },
  IN_PROGRESS: { review: "IN_REVIEW", complete: "COMPLETED", fail: "FAILED", skip: "SKIPPED" },
  IN_REVIEW: { complete: "COMPLETED", fail: "FAILED", skip: "SKIPPED" },
  COMPLETED: { merge: "MERGED" },
  MERGED: {},
  FAILED: { retry: "PENDING", skip: "SKIPPED" },
  SKIPPED: {},
};

export const MOVE_WORDS: Record<SubtaskMove, string> = {
  start: "Start",
  complete: "Complete",
  fail: "Mark as failed",
  review: "Send to review",
  merge: "Mark as merged",
  skip: "Skip",
  retry: "Retry",
};

/** How skipping is asked about, since nothing brings a skipped subtask back. */
export const skipWords = ({ title }: Subtask) => ({
  title: `Skip ${title}?`,
  text: "Subtasks that depend on it continue without it. You can't undo this.",
  action: "Skip",
});

const DONE: ReadonlySet<SubtaskStatus> = new Set(["COMPLETED", "MERGED", "SKIPPED"]);

/** Whether a subtask of this status blocks no other any more. */
export const isDone = (status: SubtaskStatus): boolean => DONE.has(status);

export const columnOf = (status: SubtaskStatus): Column =>
  COLUMNS.find(({ statuses }) => statuses.includes(status)) ?? (COLUMNS[0]!);

/** The subtasks that stand in a subtask's own column of its lane, in order. */
export const siblingsOf = (tasks: readonly Task[], { task_id: id, status }: Subtask): readonly Subtask[] =>
  tasks.find((task) => task.id === id)?.subtasks.filter((other) => columnOf(other.status) === columnOf(status)) ?? [];

/** The move that leads into a column, or null. */
export function moveInto(subtask: Subtask, column: Column): SubtaskMove | null {
  const moves = Object.entries(MOVES[subtask.status]) as [SubtaskMove, SubtaskStatus][];
  return moves.find(([, status]) => column.statuses.includes(status))?.[0] ?? null;
}

/** The nearest column to the left (-1) or right (1) that a move leads into, other than skipping. */
export function neighbour(subtask: Subtask, direction: 1 | -1): Column | null {
  let at = COLUMNS.indexOf(columnOf(subtask.status));
  for (at += direction; at >= 0 && at < COLUMNS.length; at += direction) {
    const column = COLUMNS[at];
    const step = column ? moveInto(subtask, column) : null;
    if (column && step !== null && step !== "skip") return column;
  }
  return null;
}
