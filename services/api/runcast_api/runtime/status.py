"""The operator's glance: which worker is sick, which breaker is open, which subtask is stuck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from runcast.contract import TERMINAL_STATUSES_SQL
from runcast_api.board.transitions import SubtaskStatus
from runcast_api.http import pagination
from runcast_api.http.pagination import Place
from runcast_api.runtime import events, queue, workers
from runcast_api.runtime.events import RuntimeEvent
from runcast_api.runtime.queue import Count
from runcast_api.runtime.workers import WorkerStatus
from runcast_server.db import Connection
from runcast_server.runs import in_milliseconds

Flag = Literal["breaker_open", "worker_stale", "task_stuck"]

SHOWN_WORKERS = 500
FORGOTTEN_DAYS = 7
"""Workers that stopped, or weren't heard of, for so long are not shown any more."""
STALE_HEARTBEATS = 3
LATE_LEASE_SECONDS = 15
WAITING_SECONDS = 900
"""A subtask that could be claimed and isn't for so long is stuck."""

_WORKERS = f"""
SELECT {workers.COLUMNS}, route.provider, route.model, route.operation, route.occurred_at AS routed_at,
    w.status <> 'STOPPED' AND w.last_heartbeat + make_interval(secs => CASE
        WHEN jsonb_typeof(w.metadata -> 'expect_next_in_s') = 'number'
        THEN least(greatest((w.metadata ->> 'expect_next_in_s')::float8, 1), 604800)
        ELSE $1 END) < now() AS is_stale
FROM worker_status w LEFT JOIN LATERAL (
    SELECT e.metadata ->> 'provider' AS provider, e.metadata ->> 'model' AS model, e.operation,
           e.occurred_at
    FROM runtime_events e WHERE e.worker_id = w.worker_id AND e.operation IN ('CALL', 'FALLBACK')
    ORDER BY e.occurred_at DESC LIMIT 1) route ON true
WHERE w.last_heartbeat > now() - make_interval(days => {FORGOTTEN_DAYS})
ORDER BY w.last_heartbeat DESC LIMIT {SHOWN_WORKERS}
"""
_LAST_EVENT = "SELECT occurred_at FROM runtime_events ORDER BY occurred_at DESC, id DESC LIMIT 1"

_STUCK_CASE = f"""
CASE WHEN t.lease_expires_at < now() - interval '{LATE_LEASE_SECONDS} seconds'
     THEN 'its lease has ended'
     WHEN t.status = 'IN_PROGRESS' AND r.liveness <> 'ok' AND r.status NOT IN
         ({TERMINAL_STATUSES_SQL}) THEN 'its run is ' || r.liveness
     WHEN t.queued_at < now() - interval '{WAITING_SECONDS} seconds' THEN 'no one claims it' END
"""
# Three small partial indexes instead of a look at every subtask there ever was.
_MAYBE_STUCK = f"""
SELECT id FROM tasks WHERE lease_expires_at < now() - interval '{LATE_LEASE_SECONDS} seconds'
UNION SELECT t.id FROM tasks t JOIN runs r ON r.id = t.run_id
      WHERE t.status = 'IN_PROGRESS' AND r.liveness <> 'ok'
UNION SELECT id FROM tasks WHERE queued_at < now() - interval '{WAITING_SECONDS} seconds'
"""
_SHOWN = f"""
t.id::text AS id, t.parent_id::text AS task_id, t.project_id::text AS project_id, p.slug AS project,
t.title, t.status, t.attempt, t.max_attempts, t.error, t.skip_reason, t.worker_id, t.claimed_at,
t.lease_expires_at, t.run_id::text AS run_id, r.liveness, t.updated_at, {_STUCK_CASE} AS stuck
"""
_JOINED = """
FROM tasks t JOIN projects p ON p.id = t.project_id AND p.deleted_at IS NULL
LEFT JOIN runs r ON r.id = t.run_id WHERE t.parent_id IS NOT NULL
"""
_STUCK = f"SELECT {_SHOWN} {_JOINED} AND t.id IN ({_MAYBE_STUCK}) AND {_STUCK_CASE} IS NOT NULL"
_LATEST_EVENTS = f"""
SELECT {", ".join(f"e.{name}" for name in events.COLUMNS.split(", "))}
FROM unnest($1::uuid[]) AS wanted (id), LATERAL (
    SELECT * FROM runtime_events e WHERE e.task_id = wanted.id
    ORDER BY e.occurred_at DESC, e.id DESC LIMIT 1) e
"""


class Route(BaseModel):
    """Which provider and model a worker last called, or fell back to."""

    provider: str | None
    model: str | None
    operation: str
    occurred_at: str


class WorkerShown(WorkerStatus):
    is_stale: bool
    active_route: Route | None


class Degradation(BaseModel):
    """Why a flag is up."""

    flag: Flag
    worker_id: str | None = None
    subtask_id: UUID | None = None
    reason: str


class RuntimeStatus(BaseModel):
    workers: list[WorkerShown]
    queue: dict[str, Count]
    degraded: list[Flag]
    degraded_by: list[Degradation]
    last_event_at: str | None


class RuntimeTask(BaseModel):
    """A subtask as an operator sees it. `stuck` says why nothing moves."""

    id: UUID
    task_id: UUID
    project_id: UUID
    project: str
    title: str
    status: SubtaskStatus
    attempt: int
    max_attempts: int
    error: str | None
    skip_reason: str | None
    worker_id: str | None
    claimed_at: str | None
    lease_expires_at: str | None
    run_id: UUID | None
    liveness: str | None
    updated_at: str
    stuck: str | None
    latest_event: RuntimeEvent | None


class RuntimeTaskPage(BaseModel):
    tasks: list[RuntimeTask]
    total: int
    next_cursor: str | None


async def glance(connection: Connection, heartbeat_seconds: float) -> dict[str, Any]:
    """The whole status. `heartbeat_seconds`: how often a worker that promises nothing should be heard."""
    rows = await connection.fetch(_WORKERS, heartbeat_seconds * STALE_HEARTBEATS)
    shown = [_worker(row) for row in rows]
    stuck = await connection.fetch(f"{_STUCK} ORDER BY t.updated_at LIMIT 20")
    degraded_by = [*_sick(shown), *(_stuck(row) for row in stuck)]
    return {
        "workers": shown,
        "queue": await queue.counts(connection),
        "degraded": list(dict.fromkeys(each["flag"] for each in degraded_by)),
        "degraded_by": degraded_by,
        "last_event_at": in_milliseconds(await connection.fetchval(_LAST_EVENT)),
    }


def _worker(row: Any) -> dict[str, Any]:
    members = dict(row)
    route = {name: members.pop(name) for name in ("provider", "model", "operation")}
    route["occurred_at"] = in_milliseconds(members.pop("routed_at"))
    shown = workers.as_json(members)
    return shown | {"active_route": route if route["operation"] else None}


def _sick(shown: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for worker in shown:
        about = {"worker_id": worker["worker_id"]}
        if worker["circuit_open"] and worker["status"] != "STOPPED":
            reason = worker["circuit_reason"] or "no reason given"
            found.append({"flag": "breaker_open", **about, "reason": reason})
        if worker["is_stale"]:
            reason = f"last heard of at {worker['last_heartbeat']}"
            found.append({"flag": "worker_stale", **about, "reason": reason})
    return found


def _stuck(row: Any) -> dict[str, Any]:
    about = {"subtask_id": row["id"], "worker_id": row["worker_id"]}
    return {"flag": "task_stuck", **about, "reason": f"{row['title']!r}: {row['stuck']}"}


@dataclass(frozen=True, slots=True)
class TasksWanted:
    status: SubtaskStatus | None = None
    stuck: bool | None = None


async def tasks(
    connection: Connection, wanted: TasksWanted, limit: int, cursor: str | None
) -> dict[str, Any]:
    """Subtasks of all projects, those that changed last first. Raises `Invalid` for a foreign cursor."""
    names = ("runtime-tasks", wanted)
    place = pagination.read(cursor, *names)
    statement, values = _tasks_query(wanted, place)
    rows = await connection.fetch(f"{statement} LIMIT ${len(values) + 1}", *values, limit + 1)
    total = await _total(connection, wanted)
    shown = [dict(row) for row in rows[:limit]]
    last = Place(shown[-1]["updated_at"], UUID(shown[-1]["id"])) if len(rows) > limit else None
    latest = await _latest_events(connection, [UUID(each["id"]) for each in shown])
    return {
        "tasks": [_task(each) | {"latest_event": latest.get(each["id"])} for each in shown],
        "total": total,
        "next_cursor": last and pagination.after(last, *names),
    }


def _tasks_query(wanted: TasksWanted, place: Place | None) -> tuple[str, list[Any]]:
    statement = _STUCK if wanted.stuck else f"SELECT {_SHOWN} {_JOINED}"
    values: list[Any] = []
    if wanted.stuck is False:
        statement += f" AND {_STUCK_CASE} IS NULL"
    if wanted.status is not None:
        values.append(wanted.status)
        statement += f" AND t.status = ${len(values)}"
    if place is not None:
        values += [place.at, place.id]
        statement += f" AND (t.updated_at, t.id) < (${len(values) - 1}, ${len(values)})"
    return f"{statement} ORDER BY t.updated_at DESC, t.id DESC", values


async def _total(connection: Connection, wanted: TasksWanted) -> int:
    """How many there are: from the kept counts, and for the stuck ones, which are few, by counting."""
    stuck = 0
    if wanted.stuck is not None:
        stuck = await connection.fetchval(
            f"SELECT count(*) FROM ({_STUCK}) s WHERE $1::text IS NULL OR s.status = $1",
            wanted.status,
        )
    if wanted.stuck:
        return stuck
    number: int = await connection.fetchval(
        """SELECT coalesce(sum(q.number), 0)::bigint FROM queue_counts q
           JOIN projects p ON p.id = q.project_id AND p.deleted_at IS NULL
           WHERE $1::text IS NULL OR q.status = $1""",
        wanted.status,
    )
    return number - stuck


async def _latest_events(
    connection: Connection, subtask_ids: Sequence[UUID]
) -> dict[str, dict[str, Any]]:
    rows = await connection.fetch(_LATEST_EVENTS, subtask_ids)
    return {str(row["task_id"]): events.as_json(row) for row in rows}


def _task(row: dict[str, Any]) -> dict[str, Any]:
    for name in ("claimed_at", "lease_expires_at", "updated_at"):
        moment: datetime | None = row[name]
        row[name] = in_milliseconds(moment)
    return row
