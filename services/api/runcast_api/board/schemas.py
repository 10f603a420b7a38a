"""The subtask object, as the API and the event stream show it, and what it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from runcast._support import times
from runcast_api.board.board import Json
from runcast_api.board.transitions import DONE, SubtaskStatus
from runcast_api.http.fields import Key, LongText, Name, Patch

COLUMNS = (
    "t.id::text AS id, t.parent_id::text AS task_id, t.project_id::text AS project_id, "
    "t.run_id::text AS run_id, t.depends_on, t.key, t.title, t.description, "
    "t.status, t.priority, t.attempt, t.max_attempts, t.position, t.worker_id, t.lease_expires_at, "
    "t.error, t.skip_reason, t.pr_url, t.input, t.created_at, t.updated_at"
)
"""What `as_json` needs of a row of `tasks t`."""

IS_DONE = f"status IN {DONE}"
"""SQL: no one waits for this subtask any more."""


Position = Annotated[float, Field(ge=-1e12, le=1e12)]
"""Between two neighbours there is room for some fifty more, and after all of them for many."""


class SubtaskNew(BaseModel):
    """What a subtask is made of. `depends_on` lists ids, or keys given in the same request."""

    model_config = ConfigDict(extra="forbid")

    title: Name
    id: UUID | None = None
    key: Key | None = None
    description: LongText | None = None
    input: Any = None
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] = 0
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 3
    depends_on: Annotated[list[Name], Field(max_length=1000)] = []


class SubtaskPatch(Patch):
    """Changes to a subtask; what is absent stays."""

    NEVER_NULL = frozenset({"title", "position", "priority", "max_attempts", "depends_on"})

    title: Name | None = None
    description: LongText | None = None
    position: Position | None = None
    input: Any = None
    priority: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] | None = None
    max_attempts: Annotated[int, Field(ge=1, le=1000)] | None = None
    depends_on: Annotated[list[UUID], Field(max_length=1000)] | None = None


class Subtask(BaseModel):
    """A piece of work that one worker does at a time."""

    id: UUID
    task_id: UUID
    project_id: UUID
    key: str | None
    title: str
    description: str | None
    status: SubtaskStatus
    depends_on: list[UUID]
    priority: int
    attempt: int
    max_attempts: int
    position: float
    worker_id: str | None
    lease_expires_at: str | None
    run_id: UUID | None
    error: str | None
    skip_reason: str | None
    pr_url: str | None
    input: Any
    created_at: str
    updated_at: str


def as_json(row: Mapping[str, Any]) -> Json:
    """The subtask object of a row with exactly `COLUMNS`."""
    shown = dict(row)
    shown["created_at"] = times.to_milliseconds(shown["created_at"])
    shown["updated_at"] = times.to_milliseconds(shown["updated_at"])
    if shown["lease_expires_at"] is not None:
        shown["lease_expires_at"] = times.to_milliseconds(shown["lease_expires_at"])
    return shown
