import type { Task } from "@runcast/client";
import { ArrowDown, ArrowUp, MoreHorizontal, Play, Plus, RotateCcw, ScrollText, SquarePen, Trash2 } from "lucide-react";
import { Button } from "../design/Button";
import { useState } from "react";
import { Confirm } from "../design/Confirm";
import { Menu, MenuItem, MenuLine } from "../design/Menu";
import { StatusBadge } from "../design/Status";
import { Ago } from "../design/Time";
import { useToast } from "../design/Toasts";
import { can } from "../projects/roles";
import { useProject } from "../shell/ProjectScope";
import { client } from "../session/session";
import { cx } from "../design/classes";
import { AddSubtask, EditTask } from "./EditDialog";
import { useBoard } from "./context";
import { isDone } from "./moves";

export function TaskHead({ task }: { task: Task }) {
  const { activeRuns, canMove, onViewLogs, onStep } = useBoard();
  const say = useToast();
  const mayDelete = can(useProject().role, "erase");
  const [opened, setOpened] = useState<"add" | "edit" | null>(null);
  const planner =
    task.status === "PLANNING"
      ? activeRuns.find((run) => run.task_id === task.id && run.agent_type === "PLANNER")
      : undefined;
  const done = task.subtasks.filter(({ status }) => isDone(status)).length;
  const move = (step: "activate" | "retry-planning"): void => {
    client.moveTask(task.id, step).catch((error: unknown) => say((error as Error).message, "bad"));
  };
  return (
    <header
      {...(canMove && { "data-drag": "task", "data-drag-id": task.id })}
      data-keep={opened === null ? undefined : ""}
      className={cx(
        "sticky left-3 flex max-w-[calc(100vw-4rem)] flex-wrap items-center gap-x-3 gap-y-1 px-1 md:max-w-none",
        canMove && "select-none",
      )}
    >
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
          <Confirm
            title={`Delete ${task.title}?`}
            text="This deletes the task and its subtasks. Their runs stay. You can't undo it."
            action="Delete"
            onConfirm={() => client.deleteTask(task.id)}
          >
            {(askDelete) => (
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
            <MenuItem icon={<Plus />} onSelect={() => setOpened("add")}>
              Add a subtask…
            </MenuItem>
            <MenuItem icon={<SquarePen />} onSelect={() => setOpened("edit")}>
              Edit…
            </MenuItem>
            <MenuItem icon={<ArrowUp />} onSelect={() => onStep(task, -1)}>
              Move up
            </MenuItem>
            <MenuItem icon={<ArrowDown />} onSelect={() => onStep(task, 1)}>
              Move down
            </MenuItem>
            {mayDelete && <MenuLine />}
            {mayDelete && (
              <MenuItem icon={<Trash2 />} danger onSelect={askDelete}>
                Delete…
              </MenuItem>
            )}
          </Menu>
            )}
          </Confirm>
        )}
        {opened === "add" && <AddSubtask task={task} onClose={() => setOpened(null)} />}
        {opened === "edit" && <EditTask task={task} onClose={() => setOpened(null)} />}
      </span>
      {task.description && <p className="basis-full text-sm text-muted">{task.description}</p>}
    </header>
  );
}
