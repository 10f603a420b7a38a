"""Which transitions are legal, and the history of those that were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from uuid import UUID

from pydantic import BaseModel

from runcast_api.http import pagination, totals
from runcast_api.http.totals import ESTIMATED
from runcast_server.db import Connection
from runcast_server.errors import Conflict
from runcast_server.runs import in_milliseconds

TaskStatus = Literal["PLANNING", "PLANNING_FAILED", "ACTIVE", "DONE"]
SubtaskStatus = Literal[
    "BLOCKED", "PENDING", "IN_PROGRESS", "IN_REVIEW", "COMPLETED", "MERGED", "FAILED", "SKIPPED"
]
TaskMove = Literal["activate", "planning-failed", "retry-planning", "reopen"]
SubtaskMove = Literal["start", "complete", "fail", "review", "merge", "skip", "retry"]

DONE = ("COMPLETED", "MERGED", "SKIPPED")
"""Statuses of a subtask for which no one waits any more."""


class Rule(NamedTuple):
    """From which statuses a move leads to which."""

    sources: tuple[str, ...]
    target: str


TASK_RULES: dict[TaskMove, Rule] = {
    "activate": Rule(("PLANNING",), "ACTIVE"),
    "planning-failed": Rule(("PLANNING",), "PLANNING_FAILED"),
    "retry-planning": Rule(("PLANNING_FAILED",), "PLANNING"),
    "reopen": Rule(("DONE",), "ACTIVE"),
}
SUBTASK_RULES: dict[SubtaskMove, Rule] = {
    "start": Rule(("PENDING",), "IN_PROGRESS"),
    "review": Rule(("IN_PROGRESS",), "IN_REVIEW"),
    "complete": Rule(("IN_PROGRESS", "IN_REVIEW"), "COMPLETED"),
    "merge": Rule(("COMPLETED",), "MERGED"),
    "fail": Rule(("IN_PROGRESS", "IN_REVIEW"), "FAILED"),
    "skip": Rule(("BLOCKED", "PENDING", "IN_PROGRESS", "IN_REVIEW", "FAILED"), "SKIPPED"),
    "retry": Rule(("FAILED",), "PENDING"),
}


def require(what: str, status: str, move: str, rule: Rule) -> None:
    """Raises `Conflict`, naming the states, where the move isn't legal from this status."""
    if status not in rule.sources:
        needed = " or ".join(rule.sources)
        raise Conflict(
            f"the {what} is {status}; {move} leads from {needed} to {rule.target}",
            extra={"status_is": status, "status_needed": list(rule.sources)},
        )


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of a status. Without `subtask_id` it is the task's own."""

    task_id: UUID
    subtask_id: UUID | None
    old_status: str | None
    new_status: str
    worker_id: str | None = None
    run_id: str | None = None
    reason: str | None = None
    actor: str | None = None
    """Who, where it isn't the actor of the whole change."""


class TransitionShown(BaseModel):
    id: int
    task_id: UUID
    subtask_id: UUID | None
    old_status: str | None
    new_status: str
    actor: str
    worker_id: str | None
    run_id: UUID | None
    reason: str | None
    at: str


class TransitionPage(BaseModel):
    transitions: list[TransitionShown]
    total: int
    total_estimated: bool = ESTIMATED
    next_cursor: str | None


_RECORD = """
INSERT INTO task_transitions
    (project_id, actor, task_id, subtask_id, old_status, new_status, worker_id, run_id, reason)
SELECT $1, * FROM unnest($2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[],
                         $8::uuid[], $9::text[])
"""
_ALL = "SELECT id FROM task_transitions WHERE task_id = $1"
_PAGE = """
SELECT id, task_id, subtask_id, old_status, new_status, actor, worker_id, run_id, reason, at
FROM task_transitions WHERE task_id = $1 AND ($2::bigint IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3
"""


async def record(
    connection: Connection, project_id: UUID, actor: str, made: Sequence[Transition]
) -> None:
    """Adds to the history."""
    if made:
        columns = (
            [each.actor or actor for each in made],
            [each.task_id for each in made],
            [each.subtask_id for each in made],
            [each.old_status for each in made],
            [each.new_status for each in made],
            [each.worker_id for each in made],
            [each.run_id and UUID(each.run_id) for each in made],
            [each.reason for each in made],
        )
        await connection.execute(_RECORD, project_id, *columns)


async def page(
    connection: Connection, task_id: UUID, limit: int, cursor: str | None
) -> dict[str, Any]:
    """The history of a task and its subtasks, newest first. Raises `Invalid` for a foreign cursor."""
    query = ("transitions", task_id)
    before = cursor and pagination.members(cursor, query, pagination.whole)[0]
    total = await totals.of(connection, _ALL, task_id)
    rows = await connection.fetch(_PAGE, task_id, before, limit + 1)
    shown = [_as_json(row) for row in rows[:limit]]
    has_more = len(rows) > limit
    return {
        "transitions": shown,
        **total,
        "next_cursor": pagination.encode([shown[-1]["id"]], *query) if has_more else None,
    }


def _as_json(row: Any) -> dict[str, Any]:
    shown = dict(row)
    for name in ("task_id", "subtask_id", "run_id"):
        shown[name] = shown[name] and str(shown[name])
    return shown | {"at": in_milliseconds(row["at"])}
