import type { ActiveRun, Task } from "@runcast/client";
import { ArrowDown, ArrowUp, MoreHorizontal, Play, RotateCcw, ScrollText } from "lucide-react";
import { Button } from "../design/Button";
import { Menu, MenuItem } from "../design/Menu";
import { StatusBadge } from "../design/Status";
import { Ago } from "../design/Time";
import { useToast } from "../design/Toasts";
import { client } from "../session/session";
import type { ViewLogs } from "./types";

const DONE = new Set(["COMPLETED", "MERGED", "SKIPPED"]);

export function TaskHead({
  task,
  activeRuns,
  canMove,
  onViewLogs,
  onDrag,
  onStep,
}: {
  task: Task;
  activeRuns: readonly ActiveRun[];
  canMove: boolean;
  onViewLogs: ViewLogs;
  onDrag: (task: Task | null) => void;
  /** Among the tasks, one up (-1) or down (1). */
  onStep: (by: 1 | -1) => void;
}) {
  const say = useToast();
  const planner =
    task.status === "PLANNING"
      ? activeRuns.find((run) => run.task_id === task.id && run.agent_type === "PLANNER")
      : undefined;
  const done = task.subtasks.filter(({ status }) => DONE.has(status)).length;
  const move = (step: "activate" | "retry-planning"): void => {
    client.moveTask(task.id, step).catch((error: unknown) => say((error as Error).message, "bad"));
  };
  return (
    <header
      draggable={canMove}
      onDragStart={(event) => {
        event.dataTransfer.effectAllowed = "move";
        event.dataTransfer.setData("text/plain", task.id);
        onDrag(task);
      }}
      onDragEnd={() => onDrag(null)}
      className="sticky left-3 flex max-w-[calc(100vw-4rem)] flex-wrap items-center gap-x-3 gap-y-1 px-1 md:max-w-none">
      <h2 className="min-w-0 truncate text-base font-semibold">{task.title}</h2>
      <StatusBadge status={task.status} />
      {task.subtasks.length > 0 && (
        <span className="nums text-xs text-muted">
          {done} of {task.subtasks.length} done
        </span>
      )}
      <span className="text-xs text-muted">
        <Ago at={task.created_at} />
      </span>
      <span className="ml-auto flex gap-2">
        {planner && (
          <Button size="sm" icon={<ScrollText />} onClick={() => onViewLogs(planner, task.title)}>
            View logs
          </Button>
        )}
        {canMove && task.status === "PLANNING" && (
          <Button size="sm" icon={<Play />} onClick={() => move("activate")}>
            Activate
          </Button>
        )}
        {canMove && task.status === "PLANNING_FAILED" && (
          <Button size="sm" icon={<RotateCcw />} onClick={() => move("retry-planning")}>
            Retry planning
          </Button>
        )}
        {canMove && (
          <Menu
            trigger={
              <button
                type="button"
                aria-label={`More about ${task.title}`}
                className="inline-flex size-7 items-center justify-center rounded-md text-muted hover:bg-hover hover:text-fg [&_svg]:size-4"
              >
                <MoreHorizontal />
              </button>
            }
          >
            <MenuItem icon={<ArrowUp />} onSelect={() => onStep(-1)}>
              Move up
            </MenuItem>
            <MenuItem icon={<ArrowDown />} onSelect={() => onStep(1)}>
              Move down
            </MenuItem>
          </Menu>
        )}
      </span>
      {task.description && <p className="basis-full text-sm text-muted">{task.description}</p>}
    </header>
  );
}
