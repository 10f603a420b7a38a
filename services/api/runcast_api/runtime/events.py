"""Runtime events: what a worker's calls, fallbacks, retries and breakers did. Best effort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from runcast._support import times
from runcast._support.ids import uuid7
from runcast_api.http import pagination
from runcast_api.http.fields import Name
from runcast_api.http.moments import in_utc
from runcast_api.http.pagination import Place
from runcast_server.db import Connection
from runcast_server.errors import Invalid
from runcast_server.runs import in_milliseconds

Layer = Literal[
    "provider_runtime", "tool_runtime", "model_adapter", "execution", "dispatcher", "worker"
]
Operation = Literal[
    "CALL", "FALLBACK", "RETRY", "TOOL_CALL", "TOOL_LOOP", "TASK", "HEARTBEAT", "BREAKER"
]
ReasonCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,100}$")]

METADATA_BYTES = 16 * 1024
METADATA_DEPTH = 16
OLDEST = timedelta(days=30)
"""Events from before this are refused: retention would drop them anyway."""
NEWEST = timedelta(hours=1)
"""How far a reporter's clock may be ahead."""


def bounded(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata, if it is of a size and depth that can be kept. Raises `ValueError`."""
    level: list[Any] = [metadata]
    for _ in range(METADATA_DEPTH):
        level = [
            child
            for each in level
            if isinstance(each, (dict, list))
            for child in (each.values() if isinstance(each, dict) else each)
        ]
    if level:
        raise ValueError(f"nested more than {METADATA_DEPTH} deep")
    encoded = orjson.dumps(metadata)
    if len(encoded) > METADATA_BYTES:
        raise ValueError(f"larger than {METADATA_BYTES} bytes")
    if b"\\u0000" in encoded:
        raise ValueError("must not hold NUL characters")
    return metadata


def _timely(moment: datetime) -> datetime:
    moment = in_utc(moment)
    now = times.now()
    if not now - OLDEST < moment < now + NEWEST:
        raise ValueError(f"not within the last {OLDEST.days} days")
    return moment


Metadata = Annotated[dict[str, Any], AfterValidator(bounded)]


class RuntimeEventNew(BaseModel):
    """One event. With an `id` it may be sent again."""

    model_config = ConfigDict(extra="forbid")

    id: UUID = Field(default_factory=uuid7)
    layer: Layer
    operation: Operation
    reason_code: ReasonCode
    entity_id: Name = Field(description="What it is about: a model, a tool, a task, a worker.")
    task_id: UUID | None = None
    persona_id: UUID | None = None
    worker_id: Name | None = None
    metadata: Metadata = {}
    occurred_at: Annotated[datetime, AfterValidator(_timely)] = Field(default_factory=times.now)


class RuntimeEvent(BaseModel):
    id: UUID
    layer: Layer
    operation: Operation
    reason_code: str
    entity_id: str
    task_id: UUID | None
    persona_id: UUID | None
    worker_id: str | None
    metadata: dict[str, Any]
    occurred_at: str
    created_at: str


class RuntimeEventPage(BaseModel):
    events: list[RuntimeEvent]
    next_cursor: str | None


COLUMNS = (
    "id, layer, operation, reason_code, entity_id, task_id, persona_id, worker_id, metadata, "
    "occurred_at, created_at"
)

_INSERT = """
INSERT INTO runtime_events (id, layer, operation, reason_code, entity_id, task_id, persona_id, worker_id,
                            metadata, occurred_at, created_at)
SELECT id, layer, operation, reason_code, entity_id, task_id, persona_id, worker_id, metadata::jsonb,
       occurred_at, clock_timestamp()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::uuid[],
            $8::text[], $9::text[], $10::timestamptz[])
    AS n (id, layer, operation, reason_code, entity_id, task_id, persona_id, worker_id, metadata,
          occurred_at)
ON CONFLICT DO NOTHING
"""


async def insert(connection: Connection, events: Sequence[RuntimeEventNew]) -> None:
    """Stores events, each once by its id and time."""
    await connection.execute(
        _INSERT,
        [each.id for each in events],
        [each.layer for each in events],
        [each.operation for each in events],
        [each.reason_code for each in events],
        [each.entity_id for each in events],
        [each.task_id for each in events],
        [each.persona_id for each in events],
        [each.worker_id for each in events],
        [orjson.dumps(each.metadata).decode() for each in events],
        [each.occurred_at for each in events],
    )


def as_json(row: Any) -> dict[str, Any]:
    """The event object of a row with `COLUMNS`."""
    shown = dict(row)
    for name in ("id", "task_id", "persona_id"):
        shown[name] = shown[name] and str(shown[name])
    for name in ("occurred_at", "created_at"):
        shown[name] = in_milliseconds(shown[name])
    return shown


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events; what is None doesn't matter."""

    layer: Layer | None = None
    reason_code: str | None = None
    entity_id: str | None = None
    task_id: UUID | None = None
    worker_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


_CONDITIONS = {
    "layer": "layer = {}",
    "reason_code": "reason_code = {}",
    "entity_id": "entity_id = {}",
    "task_id": "task_id = {}",
    "worker_id": "worker_id = {}",
    "since": "occurred_at >= {}",
    "until": "occurred_at < {}",
}


def query(wanted: Wanted, place: Place | None, limit: int) -> tuple[str, list[Any]]:
    """The statement for a page and its values.

    It names only the filters that are asked for, so that each finds its own index whatever plan Postgres
    keeps for it; all indexes end in (occurred_at, id), which is the order and the cursor.
    """
    conditions: list[str] = []
    values: list[Any] = []
    for name, condition in _CONDITIONS.items():
        value = getattr(wanted, name)
        if value is not None:
            values.append(value)
            conditions.append(condition.format(f"${len(values)}"))
    if place is not None:
        values += [place.at, place.id]
        conditions.append(f"(occurred_at, id) < (${len(values) - 1}, ${len(values)})")
        conditions.append(f"occurred_at <= ${len(values) - 1}")
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    values.append(limit)
    order = f"ORDER BY occurred_at DESC, id DESC LIMIT ${len(values)}"
    return f"SELECT {COLUMNS} FROM runtime_events {where}{order}", values


async def page(
    connection: Connection, wanted: Wanted, limit: int, cursor: str | None
) -> dict[str, Any]:
    """A page, newest first. What arrives while someone pages comes before the first page: nothing on
    the way is shown twice or left out. Raises `Invalid` for a foreign cursor and for an empty span."""
    if wanted.since and wanted.until and wanted.since > wanted.until:
        raise Invalid.of("query.from", "is after `to`")
    names = ("runtime-events", wanted)
    place = pagination.read(cursor, *names)
    rows = await connection.fetch(*_unpacked(query(wanted, place, limit + 1)))
    shown = rows[:limit]
    last = shown[-1] if len(rows) > limit else None
    return {
        "events": [as_json(row) for row in shown],
        "next_cursor": last and pagination.after(Place(last["occurred_at"], last["id"]), *names),
    }


def _unpacked(statement: tuple[str, list[Any]]) -> tuple[Any, ...]:
    return statement[0], *statement[1]
