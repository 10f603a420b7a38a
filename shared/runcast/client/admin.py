"""Workers, runtime events, and what administrators see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from runcast.client.calls import Call, Json, path

if TYPE_CHECKING:
    from runcast.client import answers


def put_worker_status(
    worker_id: str, agent_type: str, status: str, **fields: Any
) -> Call[answers.WorkerStatus]:
    """`status`: RUNNING, IDLE, DEGRADED, STOPPED. Takes circuit_open, circuit_reason,
    current_task_id, metadata."""
    body = {"agent_type": agent_type, "status": status, **fields}
    return Call("PUT", path("/workers/{}/status", worker_id), json=body)


def add_runtime_events(events: Sequence[Json]) -> Call[answers.Accepted]:
    return Call("POST", "/runtime/events", json=list(events))


def runtime_status() -> Call[answers.RuntimeStatus]:
    """Workers, queue counts, degraded flags, the last event's time."""
    return Call("GET", "/admin/runtime/status")


def runtime_events(
    *,
    layer: str | None = None,
    reason_code: str | None = None,
    entity_id: str | None = None,
    task_id: str | None = None,
    worker_id: str | None = None,
    since: str | None = None,
    until: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[answers.RuntimeEventPage]:
    params = {
        "layer": layer,
        "reason_code": reason_code,
        "entity_id": entity_id,
        "task_id": task_id,
        "worker_id": worker_id,
        "from": since,
        "to": until,
        "limit": limit,
        "cursor": cursor,
    }
    return Call("GET", "/admin/runtime/events", params)


def runtime_tasks(
    *,
    status: str | None = None,
    stuck: bool | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[answers.RuntimeTaskPage]:
    """Subtasks of all projects: lease, reason, why they are stuck, their latest runtime event."""
    params = {"status": status, "stuck": stuck, "limit": limit, "cursor": cursor}
    return Call("GET", "/admin/runtime/tasks", params)


def audit(*, limit: int | None = None, cursor: str | None = None) -> Call[answers.AuditPage]:
    return Call("GET", "/admin/audit", {"limit": limit, "cursor": cursor})


def ingest_rejects(
    *, limit: int | None = None, cursor: str | None = None
) -> Call[answers.RejectPage]:
    """Messages that could not be accepted, with the reason."""
    return Call("GET", "/admin/ingest/rejects", {"limit": limit, "cursor": cursor})


def check_segments(
    *, seconds: float | None = None, cursor: str | None = None
) -> Call[answers.CheckPage]:
    """Looks for stored segments that can't be read: `{checked, damaged: [...], next_cursor}`."""
    return Call("GET", "/admin/segments/check", {"seconds": seconds, "cursor": cursor})


def admin_connections(
    *, limit: int | None = None, cursor: str | None = None
) -> Call[answers.ConnectionPage]:
    return Call("GET", "/admin/connections", {"limit": limit, "cursor": cursor})


def server() -> Call[Json]:
    """The server's name, version and links."""
    return Call("GET", "/", headers={"Accept": "application/json"})


def health() -> Call[answers.Health]:
    return Call("GET", "/health")


def ready() -> Call[answers.Readiness]:
    return Call("GET", "/ready")
