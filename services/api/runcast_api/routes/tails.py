"""`/runs/{run}/tail`: files that the tailer follows because someone asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Query
from starlette.responses import Response

from runcast import contract
from runcast_api.dependencies import ApiState, Caller, OnceOnly
from runcast_api.http.pagination import CursorText, Limit
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import Answer, answer, no_content
from runcast_api.logs import owned, tails
from runcast_api.logs.tails import Tail, TailList, TailNew
from runcast_server.auth import access, rights
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection
from runcast_server.errors import Invalid
from runcast_server.eventlog.log import Transaction
from runcast_server.run_ownership import RunDirectories

router = APIRouter(tags=["tails"], route_class=JsonRoute)


@router.post("/runs/{run}/tail", response_model=Tail)
async def start_tail(
    run: str,
    body: TailNew,
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    project: str | None = None,
) -> Response:
    """Follows a file of the run's own directory, named by its path in it. Administrators may name any file
    beneath `TAIL_ROOTS`, relative to the first of them. The file need not exist yet; repeating the request
    changes nothing."""
    settings = api.resources.settings.tailer
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project, rights.TAIL)
        shown = await _shown(connection, settings.runs_dir, run_id, caller)
        identity = await owned.identity(connection, run_id)
    if caller.is_admin:
        path = await to_thread.run_sync(tails.confined, body.path, settings.roots)
    else:
        path = await to_thread.run_sync(tails.own_file, body.path, shown.directory)
        directories = RunDirectories(settings.runs_dir, settings.roots, settings.tail_project)
        await to_thread.run_sync(owned.refuse_others, shown.directory, directories, identity)
    source = body.source or path.name
    if fault := contract.source_fault(source):
        raise Invalid.of("body.source", fault)

    async def change(transaction: Transaction) -> Answer:
        told = await tails.start(transaction, found.id, run_id, path, source, shown, body.zone)
        return Answer(told)

    return await once.commit(api.resources.eventlog, found.id, change)


@router.get("/runs/{run}/tail", response_model=TailList)
async def list_tails(
    run: str,
    api: ApiState,
    caller: Caller,
    project: str | None = None,
    limit: Limit = 1000,
    cursor: CursorText = None,
) -> Response:
    """Lists the files that are followed for the run, by source."""
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project)
        shown = await _shown(connection, api.resources.settings.tailer.runs_dir, run_id, caller)
        return answer(await tails.of_run(connection, run_id, shown, limit, cursor), head=found.head)


@router.delete("/runs/{run}/tail", status_code=204)
async def stop_tail(
    run: str,
    api: ApiState,
    caller: Caller,
    project: str | None = None,
    source: Annotated[str | None, Query(description="Without it, all.")] = None,
) -> Response:
    """Stops following a file, or all files of the run."""
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project, rights.TAIL)

    async def change(transaction: Transaction) -> None:
        await tails.stop(transaction, found.id, run_id, source)

    _, head = await api.resources.eventlog.commit_with_head(found.id, change)
    return no_content(head)


async def _shown(
    connection: Connection, runs_dir: Path, run_id: UUID, caller: Principal
) -> tails.Shown:
    name = await connection.fetchval(
        "SELECT coalesce(key, id::text) FROM runs WHERE id = $1", run_id
    )
    return tails.Shown(runs_dir / name, caller.is_admin)
