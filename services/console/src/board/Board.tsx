import type { ActiveRun, Subtask, Task } from "@runcast/client";
import { useMemo, useState } from "react";
import { cx } from "../design/classes";
import { count } from "../design/format";
import { useShortcuts } from "../shell/shortcuts";
import { SubtaskCard } from "./SubtaskCard";
import { TaskHead } from "./TaskHead";
import { positionBefore, positionBy } from "./order";
import { COLUMNS, type Column, columnOf, moveInto, neighbour, siblingsOf } from "./moves";
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

const GRID = "grid grid-cols-[repeat(6,minmax(9.25rem,1fr))] gap-3";

/** Each task a lane, its subtasks in columns by status. */
export function Board({ tasks, activeRuns, canMove, onViewLogs, onOpen, onMove, onPlace }: BoardProps) {
  const subtasks = useMemo(
    () => new Map(tasks.flatMap((task) => task.subtasks.map((subtask) => [subtask.id, subtask]))),
    [tasks],
  );
  const [dragged, setDragged] = useState<Subtask | null>(null);
  const [lane, setLane] = useState<Task | null>(null);
  const [over, setOver] = useState<string | null>(null);
  const [focused, setFocused] = useState<string | null>(null);
  const related = useMemo(() => relatedTo(focused, subtasks), [focused, subtasks]);
  useBoardKeys(subtasks, canMove, onMove, (subtask, by) =>
    onPlace(subtask, positionBy(siblingsOf(tasks, subtask), subtask.id, by)),
  );
  const drop = (onto: Subtask | null, column: Column): void => {
    if (dragged && columnOf(dragged.status) !== column) onMove(dragged, column);
    else if (dragged) onPlace(dragged, positionBefore(siblingsOf(tasks, dragged), dragged.id, onto?.id ?? null));
    setOver(null);
    setDragged(null);
  };

  return (
    <div className="min-h-0 flex-1 overflow-auto px-4 pb-8 sm:px-6" data-testid="board">
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
        {tasks.map((task) => (
          <section
            key={task.id}
            aria-label={task.title}
            onDragOver={(event) => {
              if (!lane || lane.id === task.id) return;
              event.preventDefault();
              setOver(task.id);
            }}
            onDragLeave={() => lane && setOver(null)}
            onDrop={(event) => {
              if (!lane) return;
              event.preventDefault();
              onPlace(lane, positionBefore(tasks, lane.id, task.id));
              setOver(null);
              setLane(null);
            }}
            className={cx(
              "mb-5 rounded-xl border bg-sunken p-3",
              over === task.id && "border-accent shadow-[0_-3px_0_-1px_var(--color-accent)]",
            )}
          >
            <TaskHead
              task={task}
              activeRuns={activeRuns}
              canMove={canMove}
              onViewLogs={onViewLogs}
              onDrag={setLane}
              onStep={(by) => onPlace(task, positionBy(tasks, task.id, by))}
            />
            {task.subtasks.length > 0 && (
              <div className={cx("mt-3", GRID)}>
                {COLUMNS.map((column) => {
                  const cell = `${task.id} ${column.id}`;
                  return (
                    <ul
                      key={column.id}
                      aria-label={`${column.title}: ${task.title}`}
                      data-column={column.id}
                      onDragOver={(event) => {
                        if (!dragged || !takes(dragged, task, column)) return;
                        event.preventDefault();
                        setOver(cell);
                      }}
                      onDragLeave={() => setOver(null)}
                      onDrop={(event) => {
                        if (!dragged) return;
                        event.preventDefault();
                        drop(null, column);
                      }}
                      className={cx(
                        "flex min-h-16 flex-col gap-2 rounded-lg p-1 transition-colors",
                        over === cell && "bg-accent-soft",
                        dragged && !takes(dragged, task, column) && "opacity-40",
                      )}
                    >
                      {task.subtasks
                        .filter(({ status }) => column.statuses.includes(status))
                        .map((subtask) => (
                          <SubtaskCard
                            key={subtask.id}
                            subtask={subtask}
                            subtasks={subtasks}
                            activeRuns={activeRuns}
                            isRelated={related.has(subtask.id)}
                            isDraggable={canMove}
                            onViewLogs={onViewLogs}
                            onOpen={onOpen}
                            onDrag={setDragged}
                            accepts={dragged?.task_id === task.id}
                            isTarget={over === subtask.id}
                            onDragOver={() => setOver(subtask.id)}
                            onDropHere={() => drop(subtask, column)}
                            onFocus={setFocused}
                          />
                        ))}
                    </ul>
                  );
                })}
              </div>
            )}
          </section>
        ))}
      </div>
    </div>
  );
}

/** Whether a subtask may be dropped there: into its own column, or one that a move leads to. */
const takes = (dragged: Subtask, task: Task, column: Column): boolean =>
  dragged.task_id === task.id && (columnOf(dragged.status) === column || moveInto(dragged, column) !== null);

/** What the subtask waits for, and what waits for it. */
function relatedTo(id: string | null, subtasks: ReadonlyMap<string, Subtask>): ReadonlySet<string> {
  const related = new Set<string>();
  if (id === null) return related;
  for (const needed of subtasks.get(id)?.depends_on ?? []) related.add(needed);
  for (const other of subtasks.values()) if (other.depends_on.includes(id)) related.add(other.id);
  return related;
}

/** h j k l walk over the cards by where they are on the screen; [ and ] move the focused one. */
function useBoardKeys(
  subtasks: ReadonlyMap<string, Subtask>,
  canMove: boolean,
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
    if (subtask && column) onMove(subtask, column);
  };
  const step = (by: 1 | -1) => (): void => {
    const subtask = current();
    if (subtask && canMove) onStep(subtask, by);
  };
  useShortcuts([
    { keys: "J", text: "Place lower", run: step(1) },
    { keys: "K", text: "Place higher", run: step(-1) },
    { keys: "j", text: "Down", run: () => walk(0, 1) },
    { keys: "k", text: "Up", run: () => walk(0, -1) },
    { keys: "l", text: "Right", run: () => walk(1, 0) },
    { keys: "h", text: "Left", run: () => walk(-1, 0) },
    { keys: "[", text: "Move left", run: move(-1) },
    { keys: "]", text: "Move right", run: move(1) },
  ]);
}

function walk(dx: number, dy: number): void {
  const cards = [...document.querySelectorAll<HTMLElement>("[data-subtask]")];
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
  scored[0]?.card.querySelector("button")?.focus();
}
