"""Sign-in, members, keys and what administrators see (`docs/protocol.md`, people and runtime)."""

from collections.abc import Sequence
from typing import Any

from runcast.client.calls import Call, Json, given, path


def login(email: str, password: str) -> Call[Json]:
    return Call("POST", "/auth/login", json={"email": email, "password": password})


def logout() -> Call[None]:
    return Call("POST", "/auth/logout")


def refresh_session() -> Call[Json]:
    return Call("POST", "/auth/refresh")


def me() -> Call[Json]:
    """Who the token stands for."""
    return Call("GET", "/auth/me")


def list_sessions() -> Call[Json]:
    return Call("GET", "/auth/sessions")


def end_sessions() -> Call[None]:
    return Call("DELETE", "/auth/sessions")


def invite(email: str, *, project: str | None = None, role: str | None = None) -> Call[Json]:
    return Call("POST", "/invitations", json=given(email=email, project=project, role=role))


def accept_invitation(token: str, name: str, password: str) -> Call[Json]:
    body = {"name": name, "password": password}
    return Call("POST", path("/invitations/{}/accept", token), json=body)


def list_members(project: str) -> Call[Json]:
    return Call("GET", path("/projects/{}/members", project))


def set_member(project: str, user: str, role: str) -> Call[Json]:
    """`role`: owner, editor, reporter, viewer."""
    return Call("PUT", path("/projects/{}/members/{}", project, user), json={"role": role})


def remove_member(project: str, user: str) -> Call[None]:
    return Call("DELETE", path("/projects/{}/members/{}", project, user))


def create_key(
    project: str,
    name: str,
    role: str,
    *,
    scopes: Sequence[str] | None = None,
    expires_at: str | None = None,
) -> Call[Json]:
    """The answer holds the token, once."""
    body = {"name": name, "role": role, **given(scopes=scopes, expires_at=expires_at)}
    return Call("POST", path("/projects/{}/keys", project), json=body)


def list_keys(project: str) -> Call[Json]:
    return Call("GET", path("/projects/{}/keys", project))


def delete_key(key: str) -> Call[None]:
    return Call("DELETE", path("/keys/{}", key))


def rotate_key(key: str, *, overlap_s: float | None = None) -> Call[Json]:
    return Call("POST", path("/keys/{}/rotate", key), json=given(overlap_s=overlap_s))


def create_share_link(
    project: str, *, run_id: str | None = None, expires_at: str | None = None
) -> Call[Json]:
    body = given(run_id=run_id, expires_at=expires_at)
    return Call("POST", path("/projects/{}/share-links", project), json=body)


def list_share_links(project: str) -> Call[Json]:
    return Call("GET", path("/projects/{}/share-links", project))


def delete_share_link(link: str) -> Call[None]:
    return Call("DELETE", path("/share-links/{}", link))


def create_stream_ticket(project: str) -> Call[Json]:
    """`{ticket, expires_at}`, for an `EventSource`: once, within 30 s."""
    return Call("POST", path("/projects/{}/stream-tickets", project))


def list_connections() -> Call[Json]:
    """Open streams: one's own, an administrator's: all."""
    return Call("GET", "/connections")


def change_connection(
    connection_id: str, subscribe_logs: Sequence[str] | str, *, backfill_lines: int | None = None
) -> Call[Json]:
    """Changes the log filter of a live stream; answers `{subscribe_logs, effective_after}`."""
    logs = subscribe_logs if isinstance(subscribe_logs, str) else list(subscribe_logs)
    body = {"subscribe_logs": logs, **given(backfill_lines=backfill_lines)}
    return Call("PATCH", path("/connections/{}", connection_id), json=body)


def end_connection(connection_id: str) -> Call[None]:
    return Call("DELETE", path("/connections/{}", connection_id))


def put_worker_status(worker_id: str, agent_type: str, status: str, **fields: Any) -> Call[Json]:
    """`status`: RUNNING, IDLE, DEGRADED, STOPPED. Takes circuit_open, circuit_reason,
    current_task_id, metadata."""
    body = {"agent_type": agent_type, "status": status, **fields}
    return Call("PUT", path("/workers/{}/status", worker_id), json=body)


def add_runtime_events(events: Sequence[Json]) -> Call[Json]:
    return Call("POST", "/runtime/events", json=list(events))


def runtime_status() -> Call[Json]:
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
) -> Call[Json]:
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


def runtime_tasks(*, status: str | None = None, stuck: bool | None = None) -> Call[Json]:
    return Call("GET", "/admin/runtime/tasks", {"status": status, "stuck": stuck})


def list_users(*, limit: int | None = None, cursor: str | None = None) -> Call[Json]:
    return Call("GET", "/admin/users", {"limit": limit, "cursor": cursor})


def audit(*, limit: int | None = None, cursor: str | None = None) -> Call[Json]:
    return Call("GET", "/admin/audit", {"limit": limit, "cursor": cursor})


def ingest_rejects(*, limit: int | None = None, cursor: str | None = None) -> Call[Json]:
    """Messages that could not be accepted, with the reason."""
    return Call("GET", "/admin/ingest/rejects", {"limit": limit, "cursor": cursor})


def admin_connections() -> Call[Json]:
    return Call("GET", "/admin/connections")


def server() -> Call[Json]:
    """The server's name, version and links."""
    return Call("GET", "/", headers={"Accept": "application/json"})


def health() -> Call[Any]:
    return Call("GET", "/health")


def ready() -> Call[Any]:
    return Call("GET", "/ready")
