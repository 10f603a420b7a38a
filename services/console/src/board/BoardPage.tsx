import type { Subtask, Task } from "@runcast/client";
import { useActiveRuns, useTasks } from "@runcast/react";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Plus, SquareKanban } from "lucide-react";
import { useMemo, useState } from "react";
import { Button } from "../design/Button";
import { ConfirmDialog } from "../design/Confirm";
import { Failure } from "../design/Failure";
import { Select } from "../design/Field";
import { PageHeader, useTitle } from "../design/Page";
import { Empty, Rows } from "../design/Surface";
import { wordOf } from "../design/Status";
import { useToast } from "../design/Toasts";
import { count } from "../design/format";
import { LiveLogPanel } from "../log/LiveLogPanel";
import { client } from "../session/session";
import { usePageCommands } from "../shell/commands";
import { useProject } from "../shell/ProjectScope";
import { Board } from "./Board";
import { can } from "../projects/roles";
import { NewTask } from "./NewTask";
import { SubtaskDetail } from "./SubtaskDetail";
import { type Column, moveInto, siblingsOf, skipWords } from "./moves";
import { positionBy } from "./order";
import type { ViewLogs } from "./types";

interface OpenLog {
  runId: string;
  title: string;
  agentType: string | null;
}

const SHOWN = { all: "All tasks", open: "Open tasks", done: "Done" } as const;

export function BoardPage() {
  const project = useProject();
  useTitle(`${project.name} board`);
  const say = useToast();
  const tasks = useTasks();
  const activeRuns = useActiveRuns();
  const [creating, setCreating] = useState(false);
  const [shown, setShown] = useState<keyof typeof SHOWN>("all");
  const [log, setLog] = useState<OpenLog | null>(null);
  const [skipping, setSkipping] = useState<Subtask | null>(null);
  const navigate = useNavigate();
  const search: { subtask?: string } = useSearch({ strict: false });
  const setDetail = (id: string | null): void =>
    void navigate({ to: ".", search: id === null ? {} : { subtask: id }, replace: true });

  const viewLogs: ViewLogs = (run, title) =>
    setLog({ runId: run.id, title, agentType: run.agent_type });
  const move = async (subtask: Subtask, column: Column): Promise<void> => {
    const step = moveInto(subtask, column);
    if (!step) {
      say(`A ${wordOf(subtask.status).toLowerCase()} subtask can’t move to ${column.title}`, "bad");
      return;
    }
    if (step === "skip") {
      setSkipping(subtask);
      return;
    }
    try {
      await client.moveSubtask(subtask.id, step);
    } catch (error) {
      say((error as Error).message, "bad");
    }
  };
  const place = (what: Subtask | Task, position: number | null): void => {
    if (position === null) return;
    const put = (to: number): Promise<unknown> =>
      "task_id" in what ? client.updateSubtask(what.id, { position: to }) : client.updateTask(what.id, { position: to });
    const fail = (error: unknown): void => say((error as Error).message, "bad");
    put(position).then(
      () => say("Moved", "ok", { text: "Undo", run: () => void put(what.position).catch(fail) }),
      fail,
    );
  };
  const placeBy = (subtask: Subtask, by: 1 | -1): void =>
    place(subtask, positionBy(siblingsOf(tasks.data ?? [], subtask), subtask.id, by));
  const visible = useMemo(
    () => (tasks.data ?? []).filter((task) => isShown(task, shown)),
    [tasks.data, shown],
  );
  const open = tasks.data?.flatMap((task) => task.subtasks).find(({ id }) => id === search.subtask) ?? null;
  const canWrite = can(project.role, "plan");
  usePageCommands([canWrite && { text: "New task", run: () => setCreating(true) }]);
  const create = canWrite && (
    <Button look="primary" icon={<Plus />} onClick={() => setCreating(true)}>
      New task
    </Button>
  );

  return (
    <div className="flex h-full flex-col">
      <PageHeader
        title="Board"
        below={
          <p className="text-sm text-muted">
            {tasks.data ? `${project.name} · ${count(tasks.data.length)} ${tasks.data.length === 1 ? "task" : "tasks"}` : project.name}
          </p>
        }
        actions={
          <>
            <Select
              aria-label="Which tasks"
              className="w-auto!"
              value={shown}
              onChange={(event) => setShown(event.target.value as keyof typeof SHOWN)}
            >
              {Object.entries(SHOWN).map(([value, text]) => (
                <option key={value} value={value}>
                  {text}
                </option>
              ))}
            </Select>
            {create}
          </>
        }
      />
      {tasks.error && !tasks.data && (
        <Failure error={tasks.error} onRetry={() => void tasks.refetch()} />
      )}
      {tasks.isPending && <Rows count={4} className="h-24" />}
      {tasks.data && visible.length === 0 && (
        <Empty icon={<SquareKanban />} title={tasks.data.length === 0 ? "No tasks yet" : "No matching tasks"} action={create}>
          A task is split into subtasks; agents claim them, and they move across the board by themselves.
        </Empty>
      )}
      {visible.length > 0 && (
        <Board
          tasks={visible}
          activeRuns={activeRuns.data ?? []}
          canMove={canWrite}
          onViewLogs={viewLogs}
          onOpen={(subtask) => setDetail(subtask.id)}
          onMove={(subtask, column) => void move(subtask, column)}
          onPlace={place}
        />
      )}
      {skipping && (
        <ConfirmDialog
          {...skipWords(skipping)}
          open
          onClose={() => setSkipping(null)}
          onConfirm={() => client.moveSubtask(skipping.id, "skip")}
        />
      )}
      <NewTask open={creating} onClose={() => setCreating(false)} />
      <SubtaskDetail
        subtask={open}
        tasks={tasks.data ?? []}
        activeRuns={activeRuns.data ?? []}
        canMove={canWrite}
        onPlace={placeBy}
        onViewLogs={(run, title) => {
          setDetail(null);
          viewLogs(run, title);
        }}
        onClose={() => setDetail(null)}
      />
      <LiveLogPanel
        open={log !== null}
        runId={log?.runId ?? null}
        title={log?.title ?? ""}
        agentType={log?.agentType ?? null}
        onClose={() => setLog(null)}
      />
    </div>
  );
}

function isShown(task: Task, shown: keyof typeof SHOWN): boolean {
  return shown === "all" || (shown === "done") === (task.status === "DONE");
}
