"""A project's board, held for one change.

Changes of one board go one after another: completing a subtask moves the counts of its dependents and of
its task, and with one lock instead of many there is no order of locks to get wrong, and nothing that is
unblocked twice. The lock is the transaction's own (`pg_advisory_xact_lock`), so it ends with it, also
where the process was killed. Everything that changes a status is told and recorded here.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from runcast_api.board import transitions
from runcast_api.board.transitions import Transition
from runcast_server.db import Connection
from runcast_server.eventlog import frames
from runcast_server.eventlog.log import Transaction

RUNCAST = "runcast"
"""The actor of what happens by itself."""
_LOCK_CLASS = 0x626F6172  # "boar"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Board:
    """One project's board in one transaction, changed by one actor."""

    transaction: Transaction
    project_id: UUID
    actor: str
    transitions: list[Transition] = field(default_factory=list)

    @property
    def connection(self) -> Connection:
        return self.transaction.connection

    def emit(self, type: str, data: Json) -> None:
        self.transaction.emit(self.project_id, frames.event(type, data))

    def task_moved(self, task: Json, old_status: str | None, reason: str | None = None) -> None:
        """Tells and records that a task has another status; `old_status` is None for a new one."""
        told = {"task_id": task["id"], "old_status": old_status, "new_status": task["status"]}
        self.emit("task:status_changed", told)
        self.transitions.append(
            Transition(UUID(task["id"]), None, old_status, task["status"], reason=reason)
        )

    def subtask_moved(
        self,
        subtask: Json,
        old_status: str | None,
        reason: str | None = None,
        *,
        actor: str | None = None,
    ) -> None:
        """Tells and records that a subtask has another status; `old_status` is None for a new one.
        `actor` is who did it, where the change isn't all one actor's.

        Its `input` stays out of the event: it may be large, and it doesn't change by moving.
        """
        shown = {name: value for name, value in subtask.items() if name != "input"}
        told = {"subtask_id": subtask["id"], "task_id": subtask["task_id"]}
        self.emit("subtask:status_changed", told | {"subtask": shown, "old_status": old_status})
        self.transitions.append(
            Transition(
                UUID(subtask["task_id"]),
                UUID(subtask["id"]),
                old_status,
                subtask["status"],
                worker_id=subtask["worker_id"],
                run_id=subtask["run_id"],
                reason=reason,
                actor=actor,
            )
        )


@contextlib.asynccontextmanager
async def changing(transaction: Transaction, project_id: UUID, actor: str) -> AsyncIterator[Board]:
    """The board, held by this transaction until its end; records the transitions of a change that
    succeeds."""
    await transaction.connection.execute(
        "SELECT pg_advisory_xact_lock($1, hashtext($2))", _LOCK_CLASS, str(project_id)
    )
    board = Board(transaction, project_id, actor)
    yield board
    await transitions.record(transaction.connection, project_id, actor, board.transitions)
