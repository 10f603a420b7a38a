"""`/runs/{run}/tail`: files that the tailer follows because somebody asked."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from runcast_api.dependencies import ApiState, Caller, OnceOnly
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import Answer, answer, no_content
from runcast_api.logs import tails
from runcast_api.logs.tails import Tail, TailList, TailNew
from runcast_server.auth import access
from runcast_server.auth.principal import Role
from runcast_server.eventlog.log import Transaction

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
    """Repeating it changes nothing. The file need not be there yet."""
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project, Role.EDITOR)
    path = tails.confined(body.path, api.resources.settings.tailer.roots)

    async def change(transaction: Transaction) -> Answer:
        source = body.source or path.name
        return Answer(await tails.start(transaction, found.id, run_id, path, source))

    return await once.commit(api.resources.eventlog, found.id, change)


@router.get("/runs/{run}/tail", response_model=TailList)
async def list_tails(
    run: str, api: ApiState, caller: Caller, project: str | None = None
) -> Response:
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project)
        return answer(await tails.of_run(connection, run_id), head=found.head)


@router.delete("/runs/{run}/tail", status_code=204)
async def stop_tail(
    run: str,
    api: ApiState,
    caller: Caller,
    project: str | None = None,
    source: Annotated[str | None, Query(description="Without it, all.")] = None,
) -> Response:
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project, Role.EDITOR)

    async def change(transaction: Transaction) -> None:
        await tails.stop(transaction, found.id, run_id, source)

    _, head = await api.resources.eventlog.commit_with_head(found.id, change)
    return no_content(head)
