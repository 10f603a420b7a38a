"""`/runs` and `/projects/{project}/runs`: what a run is, and what its worker reports."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel
from starlette.responses import Response

from runcast_api.artifacts import artifacts
from runcast_api.artifacts.artifacts import Artifact
from runcast_api.board import access as board_access
from runcast_api.dependencies import ApiState, Caller, OnceOnly
from runcast_api.http.idempotency import render
from runcast_api.http.pagination import CursorText, Limit
from runcast_api.http.precondition import IfMatch
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import Answer, answer
from runcast_api.http.totals import ESTIMATED
from runcast_api.routes.run_filters import Fields, RunFilters
from runcast_api.runs import demo, listing, progress, runs
from runcast_api.runs.listing import RunPage, Wanted
from runcast_api.runs.ordering import Order
from runcast_api.runs.progress import ProgressNew, ProgressShown, RunStatusReport
from runcast_api.runs.schemas import Heartbeat, Reported, RetryNew, Run, RunNew, RunPatch
from runcast_api.usage import totals
from runcast_api.usage.totals import UsageTotal
from runcast_server.auth import access, rights
from runcast_server.db import Connection
from runcast_server.eventlog.log import Transaction

router = APIRouter(tags=["runs"], route_class=JsonRoute)

OfProject = Annotated[
    str | None,
    Query(description="The run's project, where the run is named by its key, alias or number."),
]


class RunWithArtifacts(Run):
    """`usage_total`: what the run and all its descendants have used."""

    artifacts: list[Artifact]
    usage_total: UsageTotal | None


class DemoStarted(BaseModel):
    run_id: UUID
    events: int


class ActiveRuns(BaseModel):
    runs: list[Run]
    total: int
    total_estimated: bool = ESTIMATED
    next_cursor: str | None


@router.post("/projects/{project}/runs", status_code=201, response_model=Run)
async def create_run(
    project: str,
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    body: RunNew | None = None,
    runcast_directory: Annotated[
        bool, Header(description="Files of a run directory may change the run, too.")
    ] = False,
) -> Response:
    """Creates a run. With the `id` of an existing run of the project it returns that one (200)."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project, rights.REPORT)

    new = body or RunNew()

    async def change(transaction: Transaction) -> Answer:
        connection = transaction.connection
        await board_access.require_work(connection, found.id, new.agent_type, new.task_id)
        run, is_new = await runs.create(
            transaction,
            found.id,
            new,
            created_by=caller.user_id,
            has_directory=runcast_directory,
        )
        return Answer(run, 201 if is_new else 200)

    return await once.commit(api.resources.eventlog, found.id, change)


@router.get("/projects/{project}/runs", response_model=RunPage)
async def list_runs_of_project(
    project: str,
    api: ApiState,
    caller: Caller,
    filters: RunFilters,
    fields: Fields = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response:
    """Lists the project's runs, newest first unless `sort` says otherwise."""
    names = listing.fields_of(fields)
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project)
        wanted = await filters.wanted(connection, found.id)
        page = await listing.page(connection, caller, wanted, limit, cursor)
    return answer(listing.only(page, names), head=found.head)


@router.get("/projects/{project}/active-runs", response_model=ActiveRuns)
async def list_active_runs(
    project: str,
    api: ApiState,
    caller: Caller,
    limit: Limit = 1000,
    cursor: CursorText = None,
) -> Response:
    """Lists runs that are running, or awaiting feedback after having started; newest first."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project)
        page = await listing.active(connection, found.id, limit, cursor)
    return answer(page, head=found.head)


@router.get("/runs", response_model=RunPage)
async def list_runs(
    api: ApiState,
    caller: Caller,
    filters: RunFilters,
    fields: Fields = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response:
    """Lists the runs of all projects that you may see."""
    names = listing.fields_of(fields)
    async with api.database.acting(caller) as connection:
        wanted = await filters.wanted(connection, None)
        page = await listing.page(connection, caller, wanted, limit, cursor)
    return answer(listing.only(page, names))


@router.get("/runs/{run}", response_model=RunWithArtifacts)
async def show_run(run: str, api: ApiState, caller: Caller, project: OfProject = None) -> Response:
    """Returns the run, with the latest version of each artifact and the usage of its descendants."""
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project)
        shown = await _whole(connection, run_id)
    return answer(shown, head=found.head)


async def _whole(connection: Connection, run_id: UUID) -> dict[str, Any]:
    """A run as `GET /runs/{run}` shows it."""
    shown = await runs.show(connection, run_id)
    shown["artifacts"] = await artifacts.of_run(connection, run_id)
    shown["usage_total"] = await totals.of_run(connection, run_id)
    return shown


@router.get("/runs/{run}/children", response_model=RunPage)
async def list_children(
    run: str,
    api: ApiState,
    caller: Caller,
    project: OfProject = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response:
    """Lists the runs that this run started, oldest first."""
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project)
        wanted = Wanted(found.id, parent=run_id, order=Order("created_at"))
        page = await listing.page(connection, caller, wanted, limit, cursor)
    return answer(page, head=found.head)


@router.patch("/runs/{run}", response_model=Run)
async def change_run(
    run: str,
    body: RunPatch,
    api: ApiState,
    caller: Caller,
    if_match: IfMatch,
    project: OfProject = None,
) -> Response:
    """Changes a run: its status, step, result, labels and other members. Members that are absent stay."""
    run_id, project_id = await api.runs.reportable(caller, run, project)

    async def change(transaction: Transaction) -> dict[str, Any]:
        if if_match.header is not None:
            await runs.lock(transaction, run_id)
            await if_match.require(lambda: _whole(transaction.connection, run_id))
        return await runs.patch(transaction, run_id, body)

    shown, head = await api.resources.eventlog.commit_with_head(project_id, change)
    return answer(shown, head=head)


@router.post("/runs/{run}/cancel", response_model=Run)
async def cancel_run(
    run: str, api: ApiState, caller: Caller, once: OnceOnly, project: OfProject = None
) -> Response:
    """Cancels a run. Its worker learns it from the response to its next report, and from the stream."""
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project, rights.CANCEL)

    async def change(transaction: Transaction) -> Answer:
        return Answer(await runs.cancel(transaction, run_id, caller))

    return await once.commit(api.resources.eventlog, found.id, change)


@router.post("/runs/{run}/retry", status_code=201, response_model=Run)
async def retry_run(
    run: str,
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    body: RetryNew | None = None,
    project: OfProject = None,
) -> Response:
    """Creates a new run like this one, with the next attempt number. The body names what is different."""
    changed = body or RetryNew()
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project, rights.RETRY)

    async def change(transaction: Transaction) -> Answer:
        return Answer(await runs.retry(transaction, run_id, caller.user_id, changed), 201)

    return await once.commit(api.resources.eventlog, found.id, change)


@router.post("/runs/{run}/heartbeat", response_model=Reported)
async def beat(
    run: str,
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    body: Heartbeat | None = None,
    project: OfProject = None,
) -> Response:
    """Says that the run is alive, and extends the lease of its subtask. Returns whether the run was
    cancelled."""
    run_id, project_id = await api.runs.reportable(caller, run, project)

    async def change(transaction: Transaction) -> Answer:
        return Answer(await runs.heartbeat(transaction, run_id, body or Heartbeat()))

    return await once.commit(api.resources.eventlog, project_id, change)


@router.post("/runs/{run}/progress", status_code=201, response_model=ProgressShown)
async def report_progress(
    run: str,
    body: ProgressNew,
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    project: OfProject = None,
) -> Response:
    """Reports progress: how far the run is, in words and in numbers."""
    run_id, project_id = await api.runs.reportable(caller, run, project)

    async def change(transaction: Transaction) -> Answer:
        return Answer(await progress.report(transaction, run_id, body), 201)

    return await once.commit(api.resources.eventlog, project_id, change)


@router.post("/runs/{run}/demo", status_code=202, response_model=DemoStarted)
async def play_demo(
    run: str,
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    interval_s: Annotated[float, Query(ge=0, le=60)] = demo.INTERVAL_SECONDS,
    project: OfProject = None,
) -> Response:
    """Plays a demo in the run: 12 log events, `interval_s` apart, progress, three artifacts, and a question
    to you."""
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project, rights.DEMO)

    async def change(transaction: Transaction) -> Answer:
        await runs.lock(transaction, run_id)
        return Answer({"run_id": str(run_id), "events": demo.EVENTS}, 202)

    given, is_repeat, head = await once.run(api.resources.eventlog, found.id, change)
    if not is_repeat:
        api.demos.start(
            demo.Stage(api.resources.eventlog, api.waiters, found.id, run_id, caller, interval_s)
        )
    return render(given, is_repeat, head)


@router.get("/runs/{run}/status", response_model=RunStatusReport)
async def show_status(
    run: str,
    api: ApiState,
    caller: Caller,
    last: Annotated[int, Query(ge=0, le=1000)] = 20,
    project: OfProject = None,
) -> Response:
    """Returns the run's status with its latest progress reports."""
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project)
        return answer(await progress.status(connection, run_id, last), head=found.head)
