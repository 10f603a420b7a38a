import type { Subtask, Task } from "@runcast/client";
import { cx } from "../design/classes";
import { SubtaskCard } from "./SubtaskCard";
import { TaskHead } from "./TaskHead";
import { useBoard } from "./context";
import { COLUMNS, type Column, columnOf, moveInto } from "./moves";
import { useNear } from "./near";

export const GRID = "grid grid-cols-[repeat(6,minmax(9.25rem,1fr))] gap-3";
const HEAD_PX = 60;
const CARD_PX = 74;

interface LaneProps {
  task: Task;
  /** The subtask that is dragged, if one is. */
  dragged: Subtask | null;
}

/** One task: its head, and its subtasks in columns by status. Far from the screen, its title and room for the rest. */
export function Lane({ task, dragged }: LaneProps) {
  const { over } = useBoard();
  const { ref, isNear, height } = useNear<HTMLElement>();
  return (
    <section
      ref={ref}
      aria-label={task.title}
      data-task={task.id}
      style={isNear ? undefined : { height: height ?? heightOf(task) }}
      className={cx(
        "mb-5 rounded-xl border bg-sunken p-3",
        over === task.id && "border-accent shadow-[0_-3px_0_-1px_var(--color-accent)]",
      )}
    >
      {isNear ? (
        <>
          <TaskHead task={task} />
          {task.subtasks.length > 0 && (
            <div className={cx("mt-3", GRID)}>
              {COLUMNS.map((column) => (
                <Cell key={column.id} task={task} column={column} dragged={dragged} />
              ))}
            </div>
          )}
        </>
      ) : (
        <h2 className="truncate text-base font-semibold">{task.title}</h2>
      )}
    </section>
  );
}

function Cell({ task, column, dragged }: LaneProps & { column: Column }) {
  const { over } = useBoard();
  return (
    <ul
      aria-label={`${column.title}: ${task.title}`}
      data-column={column.id}
      className={cx(
        "flex min-h-16 flex-col gap-2 rounded-lg p-1 transition-colors",
        over === `${task.id} ${column.id}` && "bg-accent-soft",
        dragged && !takes(dragged, task, column) && "opacity-40",
      )}
    >
      {task.subtasks
        .filter(({ status }) => column.statuses.includes(status))
        .map((subtask) => (
          <SubtaskCard key={subtask.id} subtask={subtask} />
        ))}
    </ul>
  );
}

/** Whether a subtask may be dropped there: into its own column, or one that a move leads to. */
export const takes = (dragged: Subtask, task: Task, column: Column): boolean =>
  dragged.task_id === task.id && (columnOf(dragged.status) === column || moveInto(dragged, column) !== null);

/** How tall a lane will be, about: its fullest column decides. */
function heightOf({ subtasks }: Task): number {
  const counts = COLUMNS.map(({ statuses }) => subtasks.filter(({ status }) => statuses.includes(status)).length);
  return HEAD_PX + Math.max(...counts) * CARD_PX;
}
