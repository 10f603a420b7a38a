"""`/runs/{run}/metrics`: numbers that a run measures, and their series."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query
from pydantic import Field
from starlette.responses import Response

from runcast_api.dependencies import ApiState, Caller, OnceOnly
from runcast_api.http.fields import NoNul
from runcast_api.http.many import Separated
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import Answer, answer
from runcast_api.routes.runs import OfProject
from runcast_api.runs import metrics
from runcast_api.runs.metrics import Measured, Metrics, SeriesList
from runcast_server.auth import access
from runcast_server.eventlog.log import Transaction

router = APIRouter(tags=["runs"], route_class=JsonRoute)

Names = Annotated[
    list[Annotated[str, NoNul]] | None,
    Separated,
    Query(
        description="Metrics, repeated or separated by commas: at most 20; the first 20 by name without it."
    ),
]
Points = Annotated[int, Query(ge=1, le=2000, description="Points of each series at most.")]


@router.post("/runs/{run}/metrics", status_code=201, response_model=Metrics)
async def add_metrics(
    run: str,
    body: Annotated[
        Measured | Annotated[list[Measured], Field(min_length=1, max_length=metrics.AT_ONCE)],
        Body(),
    ],
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    project: OfProject = None,
) -> Response:
    """Stores values that were measured together, or an array of up to 1,000 such objects. Returns the last
    value of each metric."""
    run_id, project_id = await api.runs.reportable(caller, run, project)
    api.quotas.check(project_id)
    measured = body if isinstance(body, list) else [body]

    async def change(transaction: Transaction) -> Answer:
        return Answer(await metrics.add(transaction, run_id, measured), 201)

    return await once.commit(api.resources.eventlog, project_id, change)


@router.get("/runs/{run}/metrics", response_model=SeriesList)
async def list_metrics(
    run: str,
    api: ApiState,
    caller: Caller,
    name: Names = None,
    points: Points = 500,
    project: OfProject = None,
) -> Response:
    """Returns the series of up to 20 of the run's metrics, each as at most `points` points. A point has the
    last, smallest and largest of the values that it stands for. `more` names the other metrics."""
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project)
        shown = await metrics.series(connection, run_id, name, points)
    return answer(shown, head=found.head)
