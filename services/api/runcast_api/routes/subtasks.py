"""`/subtasks`: the queue that workers claim from, and the moves of what they claimed."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from runcast_api.board import access, claims, deletion, leases, state_machine, subtasks
from runcast_api.board.board import Json, changing
from runcast_api.board.claims import Claim, Claimed, ClaimWanted, Given
from runcast_api.board.deletion import Deleted
from runcast_api.board.leases import LeaseWanted
from runcast_api.board.schemas import Subtask, SubtaskPatch
from runcast_api.board.state_machine import SubtaskMoved
from runcast_api.board.transitions import SubtaskMove
from runcast_api.dependencies import Api, ApiState, Caller, OnceOnly
from runcast_api.http import idempotency, lasting, problems, request_body
from runcast_api.http.idempotency import HEADER, render
from runcast_api.http.precondition import IfMatch
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import Answer, answer, no_content
from runcast_api.routes.tasks import DryRun
from runcast_server.auth import rights
from runcast_server.auth.principal import Principal
from runcast_server.eventlog.log import Transaction

router = APIRouter(tags=["subtasks"], route_class=JsonRoute)

claim_router = APIRouter(tags=["subtasks"])
"""Asked by every worker again and again: a plain handler, without FastAPI's look at its parameters."""

_CLAIM_ANSWERS: dict[int | str, dict[str, str]] = {204: {"description": "Nothing is pending."}}


_CLAIM_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ClaimWanted"}}},
    },
    "parameters": [
        {"name": "project", "in": "path", "required": True, "schema": {"type": "string"}},
        {"name": HEADER, "in": "header", "required": False, "schema": {"type": "string"}},
    ],
}


@claim_router.post(
    "/projects/{project}/subtasks/claim",
    response_model=Claimed,
    responses=_CLAIM_ANSWERS,
    openapi_extra=_CLAIM_BODY,
)
async def claim_in_project(request: Request) -> Response:
    """Claims the next pending subtask of the project's active tasks: by priority, then by waiting time.
    Starts a run for it. 204: nothing is pending."""
    api: Api = request.app.state.api
    caller = await api.caller(request)
    project_id = await api.workplaces.project(caller, request.path_params["project"])

    async def look() -> None:
        await api.workplaces.project(await api.still(request), request.path_params["project"])

    lasting.keep_looking(request, look)
    body = await request_body.read(request)
    wanted = _claim_wanted(body)
    once = idempotency.of_request(request, caller, body)
    given = await claims.claim(api.resources.eventlog, Claim(project_id, wanted, once))
    return _render(given)


def _claim_wanted(body: bytes) -> ClaimWanted:
    try:
        return ClaimWanted.model_validate(request_body.parse(body) if body else None)
    except ValidationError as error:
        raise problems.invalid(error.errors(), "body") from None


@router.post("/subtasks/claim", response_model=Claimed, responses=_CLAIM_ANSWERS)
async def claim_anywhere(
    body: ClaimWanted, api: ApiState, caller: Caller, once: OnceOnly
) -> Response:
    """Claims the next pending subtask of any project in which you may work. Projects take turns. 204:
    nothing is pending."""
    async with api.database.acting(caller) as connection:
        queues = await api.turns.look(connection, caller)
    eventlog = api.resources.eventlog
    return _render(await claims.claim_fairly(eventlog, api.turns, queues, body, once))


def _render(given: Given | None) -> Response:
    if given is None or given.answer is claims.NOTHING:
        return no_content()
    return render(given.answer, given.is_repeat, given.head)


@router.get("/subtasks/{subtask}", response_model=Subtask)
async def show_subtask(subtask: str, api: ApiState, caller: Caller) -> Response:
    """Returns the subtask."""
    async with api.database.acting(caller) as connection:
        subtask_id, found = await access.subtask(connection, caller, subtask)
        return answer(await subtasks.show(connection, subtask_id), head=found.head)


@router.patch("/subtasks/{subtask}", response_model=Subtask)
async def change_subtask(
    subtask: str, body: SubtaskPatch, api: ApiState, caller: Caller, if_match: IfMatch
) -> Response:
    """Changes a subtask. Members that are absent stay; what it depends on changes only until work has
    begun."""
    async with api.database.acting(caller) as connection:
        subtask_id, found = await access.subtask(connection, caller, subtask, rights.PLAN)

    async def change(transaction: Transaction) -> Json:
        async with changing(transaction, found.id, caller.name) as board:
            await if_match.require(lambda: subtasks.show(board.connection, subtask_id))
            return await subtasks.patch(board, subtask_id, body)

    shown, head = await api.resources.eventlog.commit_with_head(found.id, change)
    return answer(shown, head=head)


@router.delete("/subtasks/{subtask}", response_model=Deleted)
async def delete_subtask(
    subtask: str, api: ApiState, caller: Caller, dry_run: DryRun = False
) -> Response:
    """Deletes the subtask. Returns everything that was deleted; with `dry_run`, what would be."""
    async with api.database.acting(caller) as connection:
        subtask_id, found = await access.subtask(connection, caller, subtask, rights.ERASE)
        if dry_run:
            return answer(await deletion.explain_subtask(connection, subtask_id), head=found.head)

    async def change(transaction: Transaction) -> Json:
        async with changing(transaction, found.id, caller.name) as board:
            return await deletion.delete_subtask(board, subtask_id)

    told, head = await api.resources.eventlog.commit_with_head(found.id, change)
    return answer(told, head=head)


@router.post("/subtasks/{subtask}/lease", response_model=Subtask)
async def extend_lease(
    subtask: str, body: LeaseWanted, api: ApiState, caller: Caller, once: OnceOnly
) -> Response:
    """Extends the lease of a claimed subtask, counted from now."""
    async with api.database.acting(caller) as connection:
        subtask_id, found = await access.subtask(connection, caller, subtask, rights.PLAN)

    async def change(transaction: Transaction) -> Answer:
        return Answer(await leases.extend(transaction, subtask_id, body))

    return await once.commit(api.resources.eventlog, found.id, change)


@router.post("/subtasks/{subtask}/{move}", response_model=Subtask)
async def move_subtask(
    subtask: str,
    move: SubtaskMove,
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    body: SubtaskMoved | None = None,
) -> Response:
    """Makes a transition of the subtask. While it is leased, only its holder (with its `worker_id`) or a
    person may do so."""
    async with api.database.acting(caller) as connection:
        subtask_id, found = await access.subtask(connection, caller, subtask, rights.PLAN)

    async def change(transaction: Transaction) -> Answer:
        async with changing(transaction, found.id, caller.name) as board:
            given = body or SubtaskMoved()
            return Answer(
                await state_machine.move(
                    board, subtask_id, move, given, is_person=_is_person(caller)
                )
            )

    return await once.commit(api.resources.eventlog, found.id, change)


def _is_person(caller: Principal) -> bool:
    """A person who is signed in, or the administrator's key, which people use on their own machine."""
    return caller.key_id is None or caller.is_admin
