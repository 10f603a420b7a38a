"""The bodies of the operations in `streams`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field


class Connection(BaseModel):
    """An open stream."""

    connection_id: str = Field(description="The stream's id, as in its `connected` event.")
    user: str = Field(description="Who opened it: `user:…`, `key:…` or `share:…`.")
    user_id: UUID | None = Field(description="Id of the person. Null: a key or a share link.")
    project_id: UUID | None = Field(
        description="Id of the project. Null: a stream of several projects."
    )
    project_ids: list[UUID] = Field(description="Ids of all projects whose events are sent.")
    run_id: UUID | None = Field(description="Id of the run. Null: a stream of the project.")
    subscribe_logs: list[str] | Literal["all"] | None = Field(
        description="Runs whose log lines are sent, or `all`. Null: none, or a stream of one run."
    )
    lag: int = Field(ge=0, description="Number of events that the stream is behind.")
    bytes: int = Field(ge=0, description="Bytes that were handed to the socket.")
    coding: Literal["gzip"] | None = Field(
        description="The content coding of the stream. Null: it is sent as it is."
    )
    opened_at: datetime = Field(description="When it was opened, by the clock of its hub.")
    age_s: float = Field(ge=0, description="Seconds since it was opened.")
    hub: str = Field(description="Id of the hub that holds it.")


class ConnectionPage(BaseModel):
    """All of them, or with `limit` a page."""

    connections: list[Connection] = Field(description="The open streams, newest first.")
    total: int
    next_cursor: str | None


class FilterChange(BaseModel):
    """The new log filter of an open stream."""

    subscribe_logs: list[str] | Literal["all"] = Field(
        description="Ids of the runs whose log lines are sent, at most 200, or `all`."
    )
    backfill_lines: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Send this many of the last lines of each newly subscribed run first.",
    )


class FilterChanged(BaseModel):
    """The filter in force."""

    subscribe_logs: list[str] | Literal["all"] = Field(
        description="Ids of the runs whose log lines are sent, or `all`."
    )
    effective_after: int | dict[str, int] = Field(
        description="Number of the event after which the new filter is in force; lines sent as "
        "backfill are those up to it. Of a stream of several projects: by project id.",
    )


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = Field(description="Always `ok`.")


class Readiness(BaseModel):
    """Whether the process can serve requests."""

    status: Literal["ready", "failing"] = Field(description="`failing` comes with status 503.")
    failing: dict[str, str] = Field(description="Parts that don't work, each with the reason.")
    degraded: dict[str, str] = Field(description="Parts that work slowly, each with the reason.")


MODELS: tuple[type[BaseModel], ...] = (
    ConnectionPage,
    FilterChange,
    FilterChanged,
    Health,
    Readiness,
)
