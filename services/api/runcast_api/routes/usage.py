"""`/projects/{project}/usage` and `/runs/{run}/usage`: what was used, and what it cost."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from runcast_api.dependencies import ApiState, Caller, OnceOnly
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import Answer, answer
from runcast_api.routes.runs import OfProject
from runcast_api.runs.schemas import Run
from runcast_api.usage import requests, totals
from runcast_api.usage.requests import UsedRequests
from runcast_api.usage.totals import Group, UsageReport
from runcast_server.auth import access
from runcast_server.eventlog.log import Transaction

router = APIRouter(tags=["usage"], route_class=JsonRoute)


@router.get("/projects/{project}/usage", response_model=UsageReport)
async def show_usage(
    project: str,
    api: ApiState,
    caller: Caller,
    since: Annotated[date | None, Query(alias="from", description="The first day, in UTC.")] = None,
    before: Annotated[
        date | None, Query(alias="to", description="The day after the last one.")
    ] = None,
    group: Group = "day",
) -> Response:
    """Returns what the project's runs have used, by day, run, agent or model."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project)
        shown = await totals.report(connection, found.id, since, before, group)
    return answer(shown, head=found.head)


@router.post("/runs/{run}/usage", response_model=Run)
async def add_usage(
    run: str,
    body: UsedRequests,
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    project: OfProject = None,
) -> Response:
    """Adds single requests to a model, each once by its id. To report totals, use `usage` of PATCH."""
    run_id, project_id = await api.runs.reportable(caller, run, project)

    async def change(transaction: Transaction) -> Answer:
        return Answer(await requests.add(transaction, run_id, body))

    return await once.commit(api.resources.eventlog, project_id, change)
