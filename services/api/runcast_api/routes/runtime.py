"""Reported by workers: `/workers`, `/runtime`; seen by administrators: `/admin/runtime`, `/admin/stream`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field
from sse_starlette import EventSourceResponse
from starlette.responses import Response

from runcast_api.board.transitions import SubtaskStatus
from runcast_api.dependencies import ApiState, Caller
from runcast_api.http.fields import NoNul
from runcast_api.http.moments import MOMENT, Moment
from runcast_api.http.pagination import CursorText, Limit
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import answer
from runcast_api.runtime import events, status, workers
from runcast_api.runtime.events import Layer, RuntimeEventNew, RuntimeEventPage, Wanted
from runcast_api.runtime.status import RuntimeStatus, RuntimeTaskPage, TasksWanted
from runcast_api.runtime.workers import WorkerStatus, WorkerStatusNew
from runcast_server.auth.principal import Principal
from runcast_server.db import acquire
from runcast_server.errors import Forbidden, Unauthenticated

WORKER_SCOPE = "worker"

router = APIRouter(tags=["runtime"], route_class=JsonRoute)

WorkerId = Annotated[str, Path(min_length=1, max_length=200), NoNul]
Text = Annotated[str | None, Query(max_length=200)]


class Accepted(BaseModel):
    """How many events were taken, and how many of them were stored by the time of this answer."""

    accepted: int
    stored: int


async def _reporter(caller: Caller) -> Principal:
    if not (caller.is_admin or WORKER_SCOPE in caller.scopes):
        raise Forbidden("this needs a key with the scope 'worker'")
    return caller


async def _administrator(caller: Caller) -> Principal:
    if not caller.is_admin:
        raise Forbidden("only administrators see this")
    return caller


Reporter = Annotated[Principal, Depends(_reporter)]
Administrator = Annotated[Principal, Depends(_administrator)]


@router.put("/workers/{worker_id:path}/status", response_model=WorkerStatus)
async def put_worker_status(
    worker_id: WorkerId, body: WorkerStatusNew, api: ApiState, _: Reporter
) -> Response:
    """Reports a worker's status. It counts as its heartbeat."""
    async with acquire(api.database.log) as connection:
        stored, flip = await workers.put(connection, worker_id, body)
    if flip is not None:
        api.sink.add(flip)
    return answer(stored)


@router.post("/runtime/events", status_code=202, response_model=Accepted)
async def add_runtime_events(
    body: RuntimeEventNew | Annotated[list[RuntimeEventNew], Field(max_length=1000)],
    api: ApiState,
    _: Reporter,
) -> Response:
    """Reports runtime events, best effort: events that can't be stored are dropped and counted."""
    new = body if isinstance(body, list) else [body]
    stored = await api.sink.store(new)
    return answer({"accepted": len(new), "stored": stored}, status=202)


@router.get("/admin/runtime/status", response_model=RuntimeStatus)
async def show_runtime_status(api: ApiState, caller: Administrator) -> Response:
    """Returns workers, queue counts, and what is wrong."""
    heartbeat_seconds = api.resources.settings.api.run_heartbeat_s
    async with api.database.acting(caller) as connection:
        return answer(await status.glance(connection, heartbeat_seconds))


@router.get("/admin/runtime/events", response_model=RuntimeEventPage)
async def list_runtime_events(
    api: ApiState,
    caller: Administrator,
    layer: Layer | None = None,
    reason_code: Text = None,
    entity_id: Text = None,
    task_id: UUID | None = None,
    worker_id: Text = None,
    since: Annotated[Moment | None, Query(alias="from", description=MOMENT)] = None,
    until: Annotated[Moment | None, Query(alias="to", description=MOMENT)] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response:
    """Lists runtime events, newest first."""
    wanted = Wanted(layer, reason_code, entity_id, task_id, worker_id, since, until)
    async with api.database.acting(caller) as connection:
        return answer(await events.page(connection, wanted, limit, cursor))


@router.get("/admin/runtime/tasks", response_model=RuntimeTaskPage)
async def list_runtime_tasks(
    api: ApiState,
    caller: Administrator,
    status_is: Annotated[SubtaskStatus | None, Query(alias="status")] = None,
    stuck: bool | None = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response:
    """Lists subtasks of all projects, those that changed last first."""
    async with api.database.acting(caller) as connection:
        page = await status.tasks(connection, TasksWanted(status_is, stuck), limit, cursor)
    return answer(page)


@router.get("/admin/stream", response_class=EventSourceResponse)
async def stream_runtime(api: ApiState, caller: Administrator, request: Request) -> Response:
    """Streams the runtime as Server-Sent Events: a snapshot, then `worker:status_changed`, `runtime:event`
    and `queue:counts` as they happen."""

    async def ending() -> str | None:
        try:
            still = await api.still(request)
        except Unauthenticated:
            return "token_expired" if caller.has_expired() else "revoked"
        return None if still.is_admin else "revoked"

    ping_seconds = api.resources.settings.hub.sse_heartbeat_interval_s
    return EventSourceResponse(api.feed.watch(ending), ping=ping_seconds, sep="\n")
