"""The run object, as the API, the event stream and `connected.active_runs` show it.

One row of `runs` becomes one JSON object here and nowhere else, so a run looks the same wherever it is
met. The contract's section 3 fixes the members and their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from runcast._support import times

COLUMNS = (
    "id, number, key, project_id, name, labels, parent_run_id, attention, usage, budget, metrics, aliases, "
    "phase, current_step, steps, status, agent_type, agent_name, task_id, attempt, retry_of, error, "
    "will_retry, result, pr_url, input, metadata, progress, liveness, last_line_number, step_timestamps, "
    "created_at, started_at, finished_at, updated_at"
)
"""What `as_json` needs of a row."""

MEMBERS = tuple(COLUMNS.split(", "))

PLANNER = "PLANNER"
"""The type of agents that work on tasks; all others work on subtasks."""

IS_ACTIVE = "(status = 'running' OR (status = 'awaiting_feedback' AND started_at IS NOT NULL))"
"""SQL: running, or waiting for a person in the middle of its work."""


def as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """The run object of a row with `COLUMNS`; times are ISO-8601 with milliseconds, in UTC."""
    run = {name: row[name] for name in MEMBERS}
    for name in ("id", "project_id", "parent_run_id", "task_id", "retry_of"):
        run[name] = None if run[name] is None else str(run[name])
    for name in ("created_at", "started_at", "finished_at", "updated_at"):
        run[name] = in_milliseconds(run[name])
    return run


def work_ids(run: Mapping[str, Any]) -> dict[str, str]:
    """What a run works on, as its events say it: a planner's on a task, every other's on a subtask."""
    if run["task_id"] is None:
        return {}
    name = "task_id" if run["agent_type"] == PLANNER else "subtask_id"
    return {name: str(run["task_id"])}


def in_milliseconds(moment: datetime | None) -> str | None:
    """A time as it is written on the wire, or None."""
    return None if moment is None else times.to_milliseconds(moment)
