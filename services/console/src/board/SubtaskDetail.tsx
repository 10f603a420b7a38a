import { useQuery } from "@tanstack/react-query";
import type { ActiveRun, Subtask, SubtaskMove, Task } from "@runcast/client";
import { useAgentRuns } from "@runcast/react";
import { ArrowDown, ArrowUp, GitPullRequest, ScrollText, SquarePen, Trash2, X } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Button, IconButton } from "../design/Button";
import { Confirm } from "../design/Confirm";
import { Sheet } from "../design/Dialog";
import { Outward } from "../design/Outward";
import { StatusBadge, wordOf } from "../design/Status";
import { Ago } from "../design/Time";
import { actorText } from "../admin/actor";
import { useToast } from "../design/Toasts";
import { RunLink, useRunSlug } from "../runs/RunLink";
import { nameOf } from "../runs/names";
import { can } from "../projects/roles";
import { useProject } from "../shell/ProjectScope";
import { client } from "../session/session";
import { EditSubtask } from "./EditDialog";
import { workerOf } from "./SubtaskCard";
import { MOVES, MOVE_WORDS, skipWords } from "./moves";
import type { ViewLogs } from "./types";
import type { Schema } from "../session/schemas";


interface SubtaskDetailProps {
  subtask: Subtask | null;
  tasks: readonly Task[];
  activeRuns: readonly ActiveRun[];
  canMove: boolean;
  onViewLogs: ViewLogs;
  /** One place up (-1) or down (1) in its column. */
  onPlace: (subtask: Subtask, by: 1 | -1) => void;
  onClose: () => void;
}

export function SubtaskDetail({ subtask, onClose, ...rest }: SubtaskDetailProps) {
  return (
    <Sheet open={subtask !== null} onClose={onClose} title={subtask?.title ?? "Subtask"}>
      {subtask && <Content key={subtask.id} subtask={subtask} onClose={onClose} {...rest} />}
    </Sheet>
  );
}

function Content({
  subtask,
  tasks,
  activeRuns,
  canMove,
  onViewLogs,
  onPlace,
  onClose,
}: SubtaskDetailProps & { subtask: Subtask }) {
  const mayDelete = can(useProject().role, "erase");
  const [isEditing, setEditing] = useState(false);
  const task = tasks.find(({ id }) => id === subtask.task_id);
  const run = workerOf(subtask, activeRuns);
  const siblings = tasks.flatMap((each) => each.subtasks);
  return (
    <>
      <header className="flex items-start gap-3 border-b px-5 py-4">
        <div className="min-w-0 flex-1">
          <p className="truncate text-xs text-muted">{task?.title ?? ""}</p>
          <h2 className="text-lg font-semibold break-words">{subtask.title}</h2>
        </div>
        {canMove && (
          <>
            <IconButton label="Edit" icon={<SquarePen />} onClick={() => setEditing(true)} />
            {mayDelete && <Confirm
              title={`Delete ${subtask.title}?`}
              text="This deletes the subtask. Its runs stay. You can't undo it."
              action="Delete"
              onConfirm={async () => {
                await client.deleteSubtask(subtask.id);
                onClose();
              }}
            >
              {(ask) => <IconButton label="Delete" icon={<Trash2 />} onClick={ask} />}
            </Confirm>}
          </>
        )}
        <IconButton label="Close" shortcut="Esc" icon={<X />} onClick={onClose} />
        {isEditing && (
          <EditSubtask
            subtask={subtask}
            others={task?.subtasks.filter(({ id }) => id !== subtask.id) ?? []}
            onClose={() => setEditing(false)}
          />
        )}
      </header>
      <div className="flex min-h-0 flex-1 flex-col gap-6 overflow-y-auto px-5 py-4">
        <div className="flex flex-wrap items-center gap-2">
          <StatusBadge status={subtask.status} />
          <span className="text-xs text-muted">
            attempt {subtask.attempt} of {subtask.max_attempts}
            {subtask.worker_id && ` · claimed by ${subtask.worker_id}`}
          </span>
          {run && (
            <Button
              size="sm"
              look="primary"
              icon={<ScrollText />}
              className="ml-auto"
              onClick={() => onViewLogs(run, subtask.title)}
            >
              View live logs
            </Button>
          )}
        </div>
        {subtask.error && <p className="rounded-md bg-bad-soft px-3 py-2 text-sm text-bad">{subtask.error}</p>}
        {subtask.skip_reason && <p className="text-sm text-muted">Skipped: {subtask.skip_reason}</p>}
        {canMove && <Moves subtask={subtask} onPlace={onPlace} />}
        {subtask.description && <p className="text-base whitespace-pre-wrap">{subtask.description}</p>}
        {subtask.pr_url && (
          <Part title="Pull request">
            <Outward
              href={subtask.pr_url}
              className="inline-flex items-center gap-1.5 text-sm text-accent hover:underline [&_svg]:size-4"
            >
              <GitPullRequest aria-hidden /> {subtask.pr_url}
            </Outward>
          </Part>
        )}
        {subtask.depends_on.length > 0 && (
          <Part title="Blocked by">
            <ul className="flex flex-col gap-1.5">
              {subtask.depends_on.map((id) => {
                const needed = siblings.find((other) => other.id === id);
                return (
                  needed && (
                    <li key={id} className="flex items-center gap-2 text-sm">
                      <StatusBadge status={needed.status} /> {needed.title}
                    </li>
                  )
                );
              })}
            </ul>
          </Part>
        )}
        <Runs subtask={subtask} />
        <History subtask={subtask} />
      </div>
    </>
  );
}

function Moves({ subtask, onPlace }: Pick<SubtaskDetailProps, "onPlace"> & { subtask: Subtask }) {
  const say = useToast();
  const [busy, setBusy] = useState<SubtaskMove | null>(null);
  const moves = Object.keys(MOVES[subtask.status]) as SubtaskMove[];
  const move = async (step: SubtaskMove): Promise<void> => {
    setBusy(step);
    try {
      await client.moveSubtask(subtask.id, step);
    } catch (error) {
      say((error as Error).message, "bad");
    } finally {
      setBusy(null);
    }
  };
  return (
    <div className="flex flex-wrap gap-2">
      {moves.map((step) =>
        step === "skip" ? (
          <Confirm key={step} {...skipWords(subtask)} onConfirm={() => client.moveSubtask(subtask.id, "skip")}>
            {(ask) => (
              <Button size="sm" onClick={ask}>
                {MOVE_WORDS.skip}
              </Button>
            )}
          </Confirm>
        ) : (
        <Button
          key={step}
          size="sm"
          look={step === "fail" ? "danger" : "plain"}
          busy={busy === step}
          onClick={() => void move(step)}
        >
          {MOVE_WORDS[step]}
        </Button>
        ),
      )}
      <span className="ml-auto flex gap-1">
        <IconButton size="sm" label="Move up" icon={<ArrowUp />} onClick={() => onPlace(subtask, -1)} />
        <IconButton size="sm" label="Move down" icon={<ArrowDown />} onClick={() => onPlace(subtask, 1)} />
      </span>
    </div>
  );
}

function Runs({ subtask }: { subtask: Subtask }) {
  const runs = useAgentRuns(subtask.id);
  const slug = useRunSlug();
  const own = runs.data?.filter((run) => run.task_id === subtask.id) ?? [];
  if (own.length === 0) return null;
  return (
    <Part title="Runs">
      <ul className="flex flex-col gap-1.5">
        {own.map((run) => (
          <li key={run.id} className="flex items-center gap-2 text-sm">
            <StatusBadge status={run.status} />
            <RunLink run={run} slug={slug} className="min-w-0 truncate text-accent hover:underline">
              {nameOf(run)}
            </RunLink>
            <span className="ml-auto text-xs text-muted">
              <Ago at={run.created_at} />
            </span>
          </li>
        ))}
      </ul>
    </Part>
  );
}

function History({ subtask }: { subtask: Subtask }) {
  const history = useQuery({
    queryKey: ["transitions", subtask.task_id, subtask.id, subtask.status],
    queryFn: async () =>
      (
        await client.http.json<Schema<"TransitionPage">>(
          "GET",
          `/tasks/${subtask.task_id}/transitions`,
          { query: { limit: 1000 } },
        )
      ).data.transitions,
  });
  const own = history.data?.filter(({ subtask_id: id }) => id === subtask.id) ?? [];
  if (own.length === 0) return null;
  return (
    <Part title="History">
      <ol className="flex flex-col gap-2 border-l pl-4">
        {own.map((step) => (
          <li key={step.id} className="flex flex-wrap items-baseline gap-x-2 text-sm">
            <span className="font-medium">{wordOf(step.new_status as Subtask["status"])}</span>
            {step.old_status && <span className="text-xs text-muted">from {wordOf(step.old_status as Subtask["status"])}</span>}
            {step.reason && <span className="text-xs text-muted">· {step.reason}</span>}
            <span className="text-xs text-muted">· {step.worker_id ?? actorText(step.actor)}</span>
            <span className="ml-auto text-xs text-muted">
              <Ago at={step.at} />
            </span>
          </li>
        ))}
      </ol>
    </Part>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="flex flex-col gap-2">
      <h3 className="text-sm font-semibold">{title}</h3>
      {children}
    </section>
  );
}
