import type { ActiveRun, Subtask } from "@runcast/client";
import { GitPullRequest, Lock, ScrollText } from "lucide-react";
import { memo, useContext, useEffect, useRef } from "react";
import { Button } from "../design/Button";
import { StatusBadge, wordOf } from "../design/Status";
import { cx } from "../design/classes";
import { KeyedContext, useBoard } from "./context";
import { columnOf, isDone } from "./moves";
import { useNear } from "./near";

export function workerOf(subtask: Subtask, activeRuns: readonly ActiveRun[]): ActiveRun | undefined {
  if (subtask.status !== "IN_PROGRESS") return undefined;
  return activeRuns.find(
    (run) => run.task_id === subtask.id && (run.agent_type === "WORKER" || run.agent_type === null),
  );
}

const CARD_PX = 66;

/** A subtask's place in its column, and while it is near the screen the card in it. */
export const SubtaskCard = memo(function SubtaskCard({ subtask }: { subtask: Subtask }) {
  const keyed = useContext(KeyedContext);
  const { ref, isNear, height } = useNear<HTMLLIElement>();
  const place = useRef<HTMLLIElement>(null);
  useEffect(() => {
    if (keyed.current === subtask.id && !isNear) place.current?.scrollIntoView({ block: "nearest" });
  }, [keyed, subtask.id, isNear]);
  return (
    <li
      ref={(element) => {
        place.current = element;
        return ref(element);
      }}
      data-subtask={subtask.id}
      data-status={subtask.status}
      data-drag="subtask"
      data-drag-id={subtask.id}
      style={isNear ? undefined : { height: height ?? CARD_PX }}
    >
      {isNear && <Card subtask={subtask} />}
    </li>
  );
});

function Card({ subtask }: { subtask: Subtask }) {
  const { subtasks, activeRuns, canMove, related, over, onViewLogs, onOpen, onFocus, onChosen } = useBoard();
  const keyed = useContext(KeyedContext);
  const title = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (keyed.current === subtask.id && document.activeElement === document.body) title.current?.focus();
  });
  const run = workerOf(subtask, activeRuns);
  const waitsFor = subtask.depends_on
    .map((id) => subtasks.get(id))
    .filter((needed) => needed !== undefined);
  return (
    <div
      onFocus={() => {
        onChosen(subtask.id);
        onFocus(subtask.id);
      }}
      onBlur={() => onFocus(null)}
      onPointerEnter={() => onFocus(subtask.id)}
      onPointerLeave={() => onFocus(null)}
      className={cx(
        "relative flex flex-col gap-1.5 rounded-lg border bg-surface p-2.5 shadow-card transition-shadow",
        canMove && "select-none",
        related.has(subtask.id) && "ring-2 ring-accent",
        over === subtask.id && "shadow-[0_-3px_0_-1px_var(--color-accent)]",
      )}
    >
      <button
        ref={title}
        type="button"
        data-grip
        onClick={() => onOpen(subtask)}
        className="text-left text-sm font-medium [overflow-wrap:anywhere] after:absolute after:inset-0 after:rounded-lg focus-visible:outline-none focus-visible:after:outline-2 focus-visible:after:outline-accent"
      >
        <span className="line-clamp-4">{subtask.title}</span>
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
    </div>
  );
}
