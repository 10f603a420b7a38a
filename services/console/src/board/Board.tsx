import type { ActiveRun, Subtask, Task } from "@runcast/client";
import { useEffect, useMemo, useRef, useState } from "react";
import { cx } from "../design/classes";
import { count } from "../design/format";
import { GRID, Lane, takes } from "./Lane";
import { type BoardContents, BoardContext, KeyedContext } from "./context";
import { type DragListener, type Dragged, Dragging, type Place } from "./drag";
import { useBoardKeys } from "./keys";
import { COLUMNS, type Column, columnOf, siblingsOf } from "./moves";
import { NearScreen } from "./near";
import { positionBefore, positionBy } from "./order";
import type { ViewLogs } from "./types";

export interface BoardProps {
  tasks: readonly Task[];
  activeRuns: readonly ActiveRun[];
  canMove: boolean;
  onViewLogs: ViewLogs;
  onOpen: (subtask: Subtask) => void;
  onMove: (subtask: Subtask, column: Column) => void;
  /** Puts a subtask, or a task, at another place among its siblings. */
  onPlace: (what: Subtask | Task, position: number | null) => void;
}

/** Each task a lane, its subtasks in columns by status. */
export function Board({ tasks, activeRuns, canMove, onViewLogs, onOpen, onMove, onPlace }: BoardProps) {
  const host = useRef<HTMLDivElement>(null);
  const subtasks = useMemo(
    () => new Map(tasks.flatMap((task) => task.subtasks.map((subtask) => [subtask.id, subtask]))),
    [tasks],
  );
  const [focused, setFocused] = useState<string | null>(null);
  const related = useMemo(() => relatedTo(focused, subtasks), [focused, subtasks]);
  const keyed = useRef<string | null>(null);
  useBoardKeys(subtasks, canMove, keyed, onMove, (subtask, by) =>
    onPlace(subtask, positionBy(siblingsOf(tasks, subtask), subtask.id, by)),
  );
  const drop = (dragged: Dragged, { task: taskId, column: columnId, before }: Place): void => {
    if (dragged.kind === "task") {
      const lane = tasks.find(({ id }) => id === dragged.id);
      if (lane) onPlace(lane, positionBefore(tasks, lane.id, taskId));
      return;
    }
    // By id: while it was dragged someone else may have moved or deleted it.
    const subtask = subtasks.get(dragged.id);
    const column = COLUMNS.find(({ id }) => id === columnId);
    if (!subtask || !column || subtask.task_id !== taskId) return;
    if (columnOf(subtask.status) === column) {
      onPlace(subtask, positionBefore(siblingsOf(tasks, subtask), subtask.id, before));
    } else onMove(subtask, column);
  };
  const [dragged, over] = useDragging(host, canMove, drop, (what, place) => targetOf(what, place, tasks, subtasks));
  const contents: BoardContents = {
    tasks,
    subtasks,
    activeRuns,
    canMove,
    related,
    over,
    onViewLogs,
    onOpen,
    onFocus: setFocused,
    onChosen: (id) => {
      if (keyed.current !== id) keyed.current = null;
    },
    onStep: (task, by) => onPlace(task, positionBy(tasks, task.id, by)),
  };

  return (
    <div ref={host} className="min-h-0 flex-1 overflow-auto px-4 pb-8 sm:px-6" data-testid="board" data-place="board">
      <div className="min-w-[61rem]">
        <div className={cx("sticky top-0 z-10 bg-ground px-[calc(0.75rem+1px)] py-2", GRID)}>
          {COLUMNS.map((column) => (
            <p key={column.id} className="px-2 text-xs font-medium text-muted">
              {column.title}{" "}
              <span className="nums text-faint">
                {count([...subtasks.values()].filter(({ status }) => column.statuses.includes(status)).length)}
              </span>
            </p>
          ))}
        </div>
        <KeyedContext.Provider value={keyed}>
        <BoardContext.Provider value={contents}>
          <NearScreen host={host}>
            {tasks.map((task) => (
              <Lane key={task.id} task={task} dragged={subtasks.get(dragged?.id ?? "") ?? null} />
            ))}
          </NearScreen>
        </BoardContext.Provider>
        </KeyedContext.Provider>
      </div>
    </div>
  );
}

/** What the subtask waits for, and what waits for it. */
function relatedTo(id: string | null, subtasks: ReadonlyMap<string, Subtask>): ReadonlySet<string> {
  const related = new Set<string>();
  if (id === null) return related;
  for (const needed of subtasks.get(id)?.depends_on ?? []) related.add(needed);
  for (const other of subtasks.values()) if (other.depends_on.includes(id)) related.add(other.id);
  return related;
}

/** What is marked as the target of a drop: a lane, a card that it would be put before, or a column. */
function targetOf(
  { kind, id }: Dragged,
  place: Place | null,
  tasks: readonly Task[],
  subtasks: ReadonlyMap<string, Subtask>,
): string | null {
  if (!place) return null;
  if (kind === "task") return place.task === id ? null : place.task;
  const subtask = subtasks.get(id);
  const task = tasks.find((each) => each.id === place.task);
  const column = COLUMNS.find((each) => each.id === place.column);
  if (!subtask || !task || !column || !takes(subtask, task, column)) return null;
  const isOwn = columnOf(subtask.status) === column;
  return isOwn && place.before !== null && place.before !== id ? place.before : `${task.id} ${column.id}`;
}

/** What is dragged, and the target that a drop would go to. */
function useDragging(
  host: React.RefObject<HTMLElement | null>,
  canMove: boolean,
  drop: DragListener["onDrop"],
  target: (dragged: Dragged, place: Place | null) => string | null,
): [Dragged | null, string | null] {
  const [drag, setDrag] = useState<{ dragged: Dragged; over: string | null } | null>(null);
  const latest = useRef({ drop, target });
  useEffect(() => {
    latest.current = { drop, target };
  });
  useEffect(() => {
    if (!canMove || !host.current) return undefined;
    const dragging = new Dragging(host.current, {
      onOver: (dragged, place) => setDrag({ dragged, over: latest.current.target(dragged, place) }),
      onDrop: (dragged, place) => latest.current.drop(dragged, place),
      onEnd: () => setDrag(null),
    });
    return () => dragging.destroy();
  }, [host, canMove]);
  return [drag?.dragged ?? null, drag?.over ?? null];
}
