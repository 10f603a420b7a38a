"""Workers: what each last said of itself, and whether its circuit breaker is open."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from runcast.reasons import Reason
from runcast_api.http.fields import LongText, Name
from runcast_api.runtime.events import Metadata, RuntimeEventNew
from runcast_server.db import Connection
from runcast_server.runs import in_milliseconds

Status = Literal["RUNNING", "IDLE", "DEGRADED", "STOPPED"]

COLUMNS = (
    "w.worker_id, w.agent_type, w.status, w.circuit_open, w.circuit_reason, w.last_heartbeat, "
    "w.current_task_id, w.metadata, w.updated_at"
)

_PUT = f"""
WITH old AS (SELECT status, circuit_open FROM worker_status WHERE worker_id = $1),
w AS (
    INSERT INTO worker_status AS w (worker_id, agent_type, status, circuit_open, circuit_reason,
                                    current_task_id, metadata, last_heartbeat, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp(), clock_timestamp())
    ON CONFLICT (worker_id) DO UPDATE SET
        agent_type = excluded.agent_type, status = excluded.status, circuit_open = excluded.circuit_open,
        circuit_reason = excluded.circuit_reason, current_task_id = excluded.current_task_id,
        metadata = excluded.metadata, last_heartbeat = excluded.last_heartbeat,
        updated_at = CASE WHEN
            (w.agent_type, w.status, w.circuit_open, w.circuit_reason, w.current_task_id, w.metadata)
            IS DISTINCT FROM (excluded.agent_type, excluded.status, excluded.circuit_open,
                              excluded.circuit_reason, excluded.current_task_id, excluded.metadata)
            THEN excluded.updated_at ELSE w.updated_at END
    RETURNING *
)
SELECT {COLUMNS}, coalesce(old.circuit_open, false) AS was_open FROM w LEFT JOIN old ON true
"""


class WorkerStatusNew(BaseModel):
    """What a worker says of itself. `metadata.expect_next_in_s` promises when it will speak again."""

    model_config = ConfigDict(extra="forbid")

    agent_type: Name
    status: Status
    circuit_open: bool = False
    circuit_reason: LongText | None = None
    current_task_id: UUID | None = None
    metadata: Metadata = {}


class WorkerStatus(BaseModel):
    worker_id: str
    agent_type: str
    status: Status
    circuit_open: bool
    circuit_reason: str | None
    last_heartbeat: str
    current_task_id: UUID | None
    metadata: dict[str, Any]
    updated_at: str


async def put(
    connection: Connection, worker_id: str, new: WorkerStatusNew
) -> tuple[dict[str, Any], RuntimeEventNew | None]:
    """The status as it is stored, and the event of a breaker that opened or closed with it."""
    row = dict(
        await connection.fetchrow(
            _PUT,
            worker_id,
            new.agent_type,
            new.status,
            new.circuit_open,
            new.circuit_reason,
            new.current_task_id,
            new.metadata,
        )
    )
    was_open = row.pop("was_open")
    flip = None if was_open == new.circuit_open else _breaker_event(worker_id, new)
    return as_json(row), flip


def _breaker_event(worker_id: str, new: WorkerStatusNew) -> RuntimeEventNew:
    return RuntimeEventNew(
        layer="execution",
        operation="BREAKER",
        reason_code=Reason.BREAKER_OPENED if new.circuit_open else Reason.BREAKER_CLOSED,
        entity_id=worker_id,
        worker_id=worker_id,
        task_id=new.current_task_id,
        metadata={"circuit_reason": (new.circuit_reason or "")[:1000]},
    )


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    """The status object of a row with `COLUMNS`."""
    shown = dict(row)
    shown["current_task_id"] = shown["current_task_id"] and str(shown["current_task_id"])
    for name in ("last_heartbeat", "updated_at"):
        shown[name] = in_milliseconds(shown[name])
    return shown
