"""`/agents/{agent}/hooks`, `/runs/{run}/say`, `/auth/me/away`: agents and people, while an agent runs."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from runcast_api.agents import messages, receive
from runcast_api.agents.messages import Message, Say
from runcast_api.dependencies import ApiState, Caller, OnceOnly
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import Answer, answer
from runcast_api.routes.runs import OfProject
from runcast_api.runs import runs
from runcast_server.auth import access, rights
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection
from runcast_server.errors import Forbidden, Invalid, NotFound
from runcast_server.eventlog.log import Transaction
from runcast_server.runs import in_milliseconds

router = APIRouter(tags=["agents"], route_class=JsonRoute)


class Away(BaseModel):
    """Whether you are away from the terminal: then agents that would block it wait for an answer from
    elsewhere."""

    model_config = ConfigDict(extra="forbid")

    away: bool


class AwayShown(Away):
    since: str | None


@router.post("/agents/{agent}/hooks", response_model=dict[str, Any])
async def receive_hook(
    agent: str,
    body: dict[str, Any],
    api: ApiState,
    caller: Caller,
    hold: Annotated[
        bool, Query(description="The hook waits for the answer to a question.")
    ] = False,
    sync: Annotated[bool, Query(description="The agent reads what the hook prints.")] = False,
    project: Annotated[
        str | None, Query(description="Where the key belongs to no project; else its own.")
    ] = None,
    within: Annotated[
        UUID | None,
        Query(description="The run in which the agent was started (RUNCAST_RUN_ID of `exec`)."),
    ] = None,
    event: Annotated[
        str | None,
        Query(max_length=100, description="The hook's event, where its input doesn't name it."),
    ] = None,
    watched: Annotated[bool, Header(alias="X-Runcast-Watched", include_in_schema=False)] = False,
) -> Response:
    """Takes the input of an agent's hook as it is. Returns what the hook prints, or a `question_id` to wait
    for."""
    if agent not in receive.AGENTS:
        raise NotFound(f"no agent {agent[:100]!r}")
    reference = project or (str(caller.project_id) if caller.project_id else None)
    if reference is None:
        raise Invalid.of("query.project", "this key belongs to no project; name one")
    project_id = await api.workplaces.project(caller, reference)

    async def change(transaction: Transaction) -> dict[str, Any]:
        return await receive.receive(
            transaction,
            project_id,
            agent,
            body,
            caller,
            holds=hold,
            is_sync=sync,
            within=within,
            event=event,
            is_watched=watched,
        )

    return answer(await api.resources.eventlog.commit(project_id, change))


@router.post("/runs/{run}/say", status_code=201, response_model=Message)
async def say(
    run: str,
    body: Say,
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    project: OfProject = None,
) -> Response:
    """Sends a message to a running session. It is queued until the agent's next hook takes it."""
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project, rights.SAY)

    async def change(transaction: Transaction) -> Answer:
        return Answer(await messages.say(transaction, run_id, body, caller), 201)

    return await once.commit(api.resources.eventlog, found.id, change)


class MessagesTaken(BaseModel):
    """What people said, in order, each with who said it."""

    messages: list[str]


@router.post("/runs/{run}/messages/take", response_model=MessagesTaken)
async def take_messages(
    run: str, api: ApiState, caller: Caller, project: OfProject = None
) -> Response:
    """Takes the messages that people sent to the run and that it hasn't received yet. For programs that
    report for themselves; hooks take messages along by themselves."""
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project, rights.REPORT)
        if not await messages.is_any_waiting(connection, run_id):
            return answer({"messages": []})

    async def change(transaction: Transaction) -> dict[str, Any]:
        locked = await runs.lock(transaction, run_id)
        return {"messages": await messages.deliver(transaction, locked, "report")}

    return answer(await api.resources.eventlog.commit(found.id, change))


@router.get("/auth/me/away", response_model=AwayShown)
async def show_away(api: ApiState, caller: Caller) -> Response:
    """Returns whether you are away from your terminal."""
    _not_by_project_key(caller)
    async with api.database.acting(caller) as connection:
        return answer(await _away(connection, caller))


@router.put("/auth/me/away", response_model=AwayShown)
async def set_away(body: Away, api: ApiState, caller: Caller) -> Response:
    """Sets whether you are away. While you are, agents that ask before they show their own prompt wait."""
    _not_by_project_key(caller)
    async with api.database.changing(caller) as connection:
        if body.away:
            await connection.execute(
                "INSERT INTO away (principal, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                caller.name,
                caller.user_id,
            )
        else:
            await connection.execute("DELETE FROM away WHERE principal = $1", caller.name)
        return answer(await _away(connection, caller))


async def _away(connection: Connection, caller: Principal) -> dict[str, Any]:
    since = await connection.fetchval("SELECT since FROM away WHERE principal = $1", caller.name)
    return {"away": since is not None, "since": in_milliseconds(since)}


def _not_by_project_key(caller: Principal) -> None:
    if caller.share_id is not None or (caller.key_id is not None and not caller.is_admin):
        raise Forbidden("this is a setting of a person, or of an administrator's key")
