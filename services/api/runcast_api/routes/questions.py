"""`/questions` and `/runs/{run}/questions`: asked by agents, answered by people."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from runcast_api.agents import replies
from runcast_api.agents.replies import Dialect
from runcast_api.dependencies import Api, ApiState, Caller, OnceOnly
from runcast_api.http.pagination import CursorText, Limit
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import Answer, answer
from runcast_api.questions import listing, questions
from runcast_api.questions.listing import Wanted
from runcast_api.questions.schemas import (
    AnswerNew,
    Kind,
    Question,
    QuestionClosing,
    QuestionNew,
    QuestionPage,
    QuestionShown,
    State,
)
from runcast_api.routes.runs import OfProject
from runcast_server.auth import access, rights
from runcast_server.auth.access import ProjectAccess, as_uuid
from runcast_server.auth.principal import Principal, Role
from runcast_server.errors import NotFound
from runcast_server.eventlog.log import Transaction

router = APIRouter(tags=["questions"], route_class=JsonRoute)

MAX_WAIT_SECONDS = 55
"""Below the minute after which proxies and clients give up."""


@router.post("/runs/{run}/questions", status_code=201, response_model=Question)
async def ask(
    run: str,
    body: QuestionNew,
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    project: OfProject = None,
) -> Response:
    """Asks people a question. With the `dedupe_key` of an earlier question, returns that one (200)."""
    run_id, project_id = await api.runs.reportable(caller, run, project)

    async def change(transaction: Transaction) -> Answer:
        question, is_new = await questions.ask(transaction, run_id, body, caller)
        return Answer(question, 201 if is_new else 200)

    return await once.commit(api.resources.eventlog, project_id, change)


@router.get("/questions", response_model=QuestionPage)
async def list_questions(
    api: ApiState,
    caller: Caller,
    state: State | None = None,
    project: Annotated[str | None, Query(description="Of this project alone.")] = None,
    run: Annotated[str | None, Query(description="Of this run alone.")] = None,
    kind: Kind | None = None,
    answerable: bool | None = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response:
    """Lists the questions that you may see, oldest first."""
    async with api.database.acting(caller) as connection:
        found: ProjectAccess | None = None
        run_id = None
        if run is not None:
            run_id, found = await access.run_id(connection, caller, run, project)
        elif project is not None:
            found = await access.project(connection, caller, project)
        wanted = Wanted(state, found.id if found else None, run_id, kind, answerable)
        page = await listing.page(connection, caller, wanted, limit, cursor)
    return answer(page, head=found.head if found else None)


@router.get("/questions/{question}", response_model=QuestionShown)
async def show_question(
    request: Request,
    question: str,
    api: ApiState,
    caller: Caller,
    wait_s: Annotated[
        float,
        Query(
            ge=0, le=MAX_WAIT_SECONDS, description="Wait so long for it to be closed, then show it."
        ),
    ] = 0,
    dialect: Annotated[
        Dialect | None,
        Query(alias="as", description="Add `agent_answer`: what the hook of this agent prints."),
    ] = None,
) -> Response:
    """Returns the question. With `wait_s`, waits until it is closed or the time is over."""
    shown, head = await _show(api, caller, question)
    if wait_s and shown["state"] == "open":
        question_id = UUID(shown["id"])
        async with api.waiters.waiting(question_id) as closed:
            # Looked at once more, now that a closing can't be missed.
            shown, head = await _show(api, caller, question)
            if shown["state"] == "open":
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await closed.wait()
                caller = await api.still(request)
                shown, head = await _show(api, caller, question)
    if dialect is not None:
        async with api.database.acting(caller) as connection:
            context = await listing.context(connection, UUID(shown["id"]))
        shown["agent_answer"] = replies.reply(shown, context, dialect)
    return answer(shown, head=head)


@router.post("/questions/{question}/answer", response_model=Question)
async def answer_question(
    question: str, body: AnswerNew, api: ApiState, caller: Caller, once: OnceOnly
) -> Response:
    """Answers the question. The first answer counts; later ones are refused (409)."""
    question_id, found = await _find(api, caller, question)
    questions.require_answerer(caller, found.role)

    async def change(transaction: Transaction) -> Answer:
        return Answer(await questions.answer(transaction, question_id, body, caller))

    return await once.commit(api.resources.eventlog, found.id, change)


@router.post("/questions/{question}/cancel", response_model=Question)
async def cancel_question(
    question: str,
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    body: QuestionClosing | None = None,
) -> Response:
    """Cancels a question, or reports that it was answered where the agent runs. Allowed for the one who
    asked it and for editors."""
    question_id, found = await _find(api, caller, question, rights.ASK)

    async def change(transaction: Transaction) -> Answer:
        closing = body or QuestionClosing()
        return Answer(await questions.close(transaction, question_id, closing, caller, found.role))

    return await once.commit(api.resources.eventlog, found.id, change)


async def _find(
    api: Api, caller: Principal, reference: str, needs: Role = rights.READ
) -> tuple[UUID, ProjectAccess]:
    async with api.database.acting(caller) as connection:
        shown = await listing.show(connection, _id(reference))
        absent = f"no question {reference!r}"
        found = await access.inside(connection, caller, UUID(shown["project_id"]), absent, needs)
    return UUID(shown["id"]), found


async def _show(api: Api, caller: Principal, reference: str) -> tuple[dict[str, Any], int]:
    async with api.database.acting(caller) as connection:
        shown = await listing.show(connection, _id(reference))
        absent = f"no question {reference!r}"
        found = await access.inside(connection, caller, UUID(shown["project_id"]), absent)
    return shown, found.head


def _id(reference: str) -> UUID:
    found = as_uuid(reference)
    if found is None:
        raise NotFound(f"no question {reference!r}")
    return found
