import type { ActiveRun, Subtask } from "@runcast/client";
import { GitPullRequest, Lock, ScrollText } from "lucide-react";
import { Button } from "../design/Button";
import { StatusBadge, wordOf } from "../design/Status";
import { cx } from "../design/classes";
import { columnOf, isDone } from "./moves";
import type { ViewLogs } from "./types";

export interface SubtaskCardProps {
  subtask: Subtask;
  subtasks: ReadonlyMap<string, Subtask>;
  activeRuns: readonly ActiveRun[];
  /** What the focused card waits for, or what waits for it. */
  isRelated: boolean;
  isDraggable: boolean;
  onViewLogs: ViewLogs;
  onOpen: (subtask: Subtask) => void;
  onDrag: (subtask: Subtask | null) => void;
  onFocus: (id: string | null) => void;
  /** Whether what is dragged may be put before this card, and whether it would be, dropped now. */
  accepts: boolean;
  isTarget: boolean;
  onDragOver: () => void;
  onDropHere: () => void;
}

export function workerOf(subtask: Subtask, activeRuns: readonly ActiveRun[]): ActiveRun | undefined {
  if (subtask.status !== "IN_PROGRESS") return undefined;
  return activeRuns.find(
    (run) => run.task_id === subtask.id && (run.agent_type === "WORKER" || run.agent_type === null),
  );
}

export function SubtaskCard({
  subtask,
  subtasks,
  activeRuns,
  isRelated,
  isDraggable,
  onViewLogs,
  onOpen,
  onDrag,
  onFocus,
  accepts,
  isTarget,
  onDragOver,
  onDropHere,
}: SubtaskCardProps) {
  const run = workerOf(subtask, activeRuns);
  const waitsFor = subtask.depends_on
    .map((id) => subtasks.get(id))
    .filter((needed) => needed !== undefined);
  return (
    <li
      data-subtask={subtask.id}
      data-status={subtask.status}
      draggable={isDraggable}
      onDragStart={(event) => {
        event.dataTransfer.effectAllowed = "move";
        event.dataTransfer.setData("text/plain", subtask.id);
        onDrag(subtask);
      }}
      onDragEnd={() => onDrag(null)}
      onDragOver={(event) => {
        if (!accepts) return;
        event.preventDefault();
        event.stopPropagation();
        onDragOver();
      }}
      onDrop={(event) => {
        if (!accepts) return;
        event.preventDefault();
        event.stopPropagation();
        onDropHere();
      }}
      onFocus={() => onFocus(subtask.id)}
      onBlur={() => onFocus(null)}
      onPointerEnter={() => onFocus(subtask.id)}
      onPointerLeave={() => onFocus(null)}
      className={cx(
        "relative flex flex-col gap-1.5 rounded-lg border bg-surface p-2.5 shadow-card transition-shadow",
        isRelated && "ring-2 ring-accent",
        isTarget && "shadow-[0_-3px_0_-1px_var(--color-accent)]",
      )}
    >
      <button
        type="button"
        onClick={() => onOpen(subtask)}
        className="text-left text-sm font-medium [overflow-wrap:anywhere] after:absolute after:inset-0 after:rounded-lg focus-visible:outline-none focus-visible:after:outline-2 focus-visible:after:outline-accent"
      >
        {subtask.title}
      </button>
      {waitsFor.length > 0 && (
        <ul aria-label="Blocked by" className="flex flex-wrap gap-1">
          {waitsFor.map((needed) => (
            <li
              key={needed.id}
              title={`${needed.title}: ${wordOf(needed.status)}`}
              className={cx(
                "flex max-w-full items-center gap-1 rounded-sm bg-sunken px-1.5 text-2xs text-muted",
                isDone(needed.status) && "line-through",
              )}
            >
              {!isDone(needed.status) && <Lock aria-hidden className="size-2.5 shrink-0" />}
              <span className="truncate">{needed.title}</span>
            </li>
          ))}
        </ul>
      )}
      <div className="flex flex-wrap items-center gap-1.5">
        {/* The column says the status, where it stands for one alone. */}
        {columnOf(subtask.status).statuses.length > 1 && <StatusBadge status={subtask.status} />}
        {subtask.attempt > 1 && (
          <span className="text-2xs text-muted">
            attempt {subtask.attempt} of {subtask.max_attempts}
          </span>
        )}
        {subtask.worker_id && <span className="truncate text-2xs text-muted">{subtask.worker_id}</span>}
        {subtask.pr_url && <GitPullRequest aria-label="has a pull request" className="size-3 text-muted" />}
        {run && (
          <Button
            size="sm"
            icon={<ScrollText />}
            className="relative z-1 ml-auto"
            onClick={() => onViewLogs(run, subtask.title)}
          >
            View logs
          </Button>
        )}
      </div>
    </li>
  );
}
