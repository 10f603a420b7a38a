"""State brought forward by events: what any client may do, written down once more, for tests.

A project's state is what its GETs show of runs, artifacts and tasks, as far as events describe it. Not
described are a subtask's `lease_expires_at` and `input`, a task's times and `error`.
"""

from __future__ import annotations

from typing import Any

TERMINAL = ("completed", "failed", "cancelled")
ARTIFACT = ("step_name", "version", "media_type", "size")
TASK = ("status", "title", "description", "kind", "position")
UNTOLD_OF_SUBTASKS = ("lease_expires_at", "input", "updated_at")

Json = dict[str, Any]


class State:
    """Runs by id; the latest artifact of each run's steps; tasks and subtasks by id."""

    def __init__(self) -> None:
        self.runs: dict[str, Json] = {}
        self.artifacts: dict[tuple[str, str], Json] = {}
        self.tasks: dict[str, Json] = {}
        self.subtasks: dict[str, Json] = {}

    # ------------------------------------------------------------------ as it is shown

    def show_run(self, run: Json) -> None:
        """Takes in a run object, perhaps with its artifacts."""
        run = dict(run)
        run.pop("usage_total", None)  # What descendants used, which no event of this run tells.
        for artifact in run.pop("artifacts", ()):
            self.show_artifact(artifact)
        self.runs[run["id"]] = run

    def show_artifact(self, artifact: Json) -> None:
        shown = {name: artifact[name] for name in ARTIFACT}
        self.artifacts[artifact["run_id"], artifact["step_name"]] = shown

    def show_task(self, task: Json) -> None:
        """Takes in a task with its subtasks."""
        self.tasks[task["id"]] = {name: task[name] for name in TASK}
        for subtask in task["subtasks"]:
            self._subtask(subtask)

    def _subtask(self, subtask: Json) -> None:
        told = {k: v for k, v in subtask.items() if k not in UNTOLD_OF_SUBTASKS}
        self.subtasks[subtask["id"]] = told

    # ------------------------------------------------------------------ as it is told

    def apply(self, type: str, data: Json) -> None:
        """One event, in its order."""
        if type == "run:created":
            self.show_run(data["run"])
        elif type == "artifact:created":
            self.show_artifact(data)
        elif type.startswith("task:"):
            self._apply_to_task(type, data)
        elif type.startswith("subtask:"):
            self._apply_to_subtask(type, data)
        elif run := self.runs.get(data.get("run_id", "")):
            self._apply_to_run(run, type, data)

    def _apply_to_run(self, run: Json, type: str, data: Json) -> None:
        match type:
            case "run:status_changed":
                _change_status(run, data["new_status"], data["at"])
            case "run:step_changed":
                run["current_step"] = data["new_step"]
                run["step_timestamps"] = {data["new_step"]: data["at"]} | run["step_timestamps"]
            case "run:updated":
                run |= data["changed"]
            case "run:liveness_changed":
                run["liveness"] = data["new_liveness"]
            case "run:progress":
                members = ("ts", "stage", "message", "percent", "step", "total_steps")
                run["progress"] = {name: data[name] for name in members}
            case "agent:started" | "agent:completed" | "agent:failed":
                run |= data["run"]
            case "agent:log":
                run["last_line_number"] = data["line_number"]
        if type.startswith("run:") and "at" in data:
            run["updated_at"] = data["at"]

    def _apply_to_task(self, type: str, data: Json) -> None:
        match type:
            case "task:status_changed":
                self.tasks.setdefault(data["task_id"], {})["status"] = data["new_status"]
            case "task:updated":
                changed = {k: v for k, v in data["changed"].items() if k in TASK}
                self.tasks.setdefault(data["task_id"], {}).update(changed)
            case "task:deleted":
                self.tasks.pop(data["task_id"], None)
                for subtask_id in data["subtask_ids"]:
                    self.subtasks.pop(subtask_id, None)

    def _apply_to_subtask(self, type: str, data: Json) -> None:
        known = self.subtasks.get(data["subtask_id"], {})
        match type:
            case "subtask:status_changed":
                self._subtask(data["subtask"])
            case "subtask:unblocked":
                known["status"] = "PENDING"
            case "subtask:updated":
                known |= {k: v for k, v in data["changed"].items() if k not in UNTOLD_OF_SUBTASKS}
            case "subtask:deleted":
                self.subtasks.pop(data["subtask_id"], None)


def _change_status(run: Json, status: str, at: str) -> None:
    run["status"] = status
    if status in TERMINAL:
        run["finished_at"] = at
    if status == "running":
        run["started_at"] = run["started_at"] or at
