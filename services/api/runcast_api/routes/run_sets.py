"""Several runs in one request: `/projects/{project}/runs/bulk` and `/runs/compare`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import anyio.to_thread
from fastapi import APIRouter, Query
from starlette.responses import Response

from runcast_api.accounts import audit
from runcast_api.artifacts import erased_objects
from runcast_api.dependencies import Api, ApiState, Caller, OnceOnly
from runcast_api.http.fields import NoNul
from runcast_api.http.idempotency import Once
from runcast_api.http.many import Separated
from runcast_api.http.request_body import BulkRoute
from runcast_api.http.responses import Answer, answer
from runcast_api.routes import deletion as deletions
from runcast_api.routes import runs as routes_of_runs
from runcast_api.routes.runs import OfProject
from runcast_api.runs import bulk, comparison
from runcast_api.runs.bulk import Bench, Bulk, BulkDelete, BulkDone, Item
from runcast_api.runs.comparison import Comparison
from runcast_server.auth import access, rights
from runcast_server.errors import Invalid, Problem, Unavailable
from runcast_server.eventlog.log import Transaction

router = APIRouter(tags=["runs"], route_class=BulkRoute)

BODY_MODELS = bulk.ITEM_MODELS
"""Models that only the body's description names."""


@router.post("/projects/{project}/runs/bulk", response_model=BulkDone)
async def change_runs(
    project: str, body: Bulk, api: ApiState, caller: Caller, once: OnceOnly
) -> Response:
    """Creates, changes, cancels and deletes up to 1,000 runs. Returns 200 with a result for each item; an
    item that is refused doesn't affect the others."""
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project, rights.REPORT)
    bench = Bench(found, caller)
    items = bulk.read(body.items)
    results: list[dict[str, Any]] = []
    head: int | None = None
    for start in range(0, len(items), bulk.TOGETHER):
        part = once.of_body(once.body_hash, start)
        try:
            given, head = await _do(api, bench, part, items[start : start + bulk.TOGETHER])
        except Unavailable as away:
            if not results:
                raise
            results += [bulk.refused(away)] * (len(items) - start)
            break
        results += given
    refused = sum("problem" in result for result in results)
    told = {"results": results, "done": len(results) - refused, "refused": refused}
    return answer(told, head=head)


async def _do(
    api: Api, bench: Bench, once: Once, items: Sequence[Item | Problem]
) -> tuple[list[dict[str, Any]], int]:
    """What some items are answered, in one transaction, and the head behind them."""
    erases = bench.may_erase and any(isinstance(item, BulkDelete) for item in items)
    if erases:
        await deletions.forget(api, bench.project.id)

    async def change(transaction: Transaction) -> Answer:
        results = await bench.do(transaction, items)
        if gone := _gone(results):
            connection, where = transaction.connection, bench.project.id
            await audit.note(connection, bench.caller, "runs_deleted", project_id=where, runs=gone)
        return Answer(results)

    given, is_repeat, head = await once.run(api.resources.eventlog, bench.project.id, change)
    results: list[dict[str, Any]] = given.content
    if not is_repeat and _gone(results):
        await _clear(api, bench, results)
    return results, head


def _gone(results: Sequence[dict[str, Any]]) -> list[str]:
    """The ids of the runs that were deleted."""
    return [result["deleted"]["run_id"] for result in results if "deleted" in result]


async def _clear(api: Api, bench: Bench, results: Sequence[dict[str, Any]]) -> None:
    """Takes what was deleted out of everything that holds copies."""
    api.runs.forget()
    for run_id in _gone(results):
        await deletions.empty(api, UUID(run_id))
    await erased_objects.remove(api.database.log, api.store, bench.project.id)
    await deletions.forget(api, bench.project.id)


@router.get("/runs/compare", response_model=Comparison)
async def compare_runs(
    api: ApiState,
    caller: Caller,
    ids: Annotated[
        list[Annotated[str, NoNul]] | None,
        Separated,
        Query(description="From 2 to 20 runs, repeated or separated by commas."),
    ] = None,
    project: OfProject = None,
) -> Response:
    """Returns 2 to 20 runs side by side, with the members that differ: `input.temperature`, `metrics.loss`,
    `usage.cost_usd`, `duration_s` and so on. An object of more than 2,000 members counts as one value.
    Without `ids` but with `project`, returns the project's run whose key is `compare`."""
    if ids is None and project is not None:
        return await routes_of_runs.show_run("compare", api, caller, project)
    named = list(dict.fromkeys(ids or ()))
    if not 2 <= len(named) <= comparison.MOST:
        raise Invalid.of("query.ids", f"name from 2 to {comparison.MOST} runs")
    async with api.database.acting(caller) as connection:
        found = [await access.run_id(connection, caller, each, project) for each in named]
        rows = await comparison.read(connection, [run_id for run_id, _ in found])
    told = await anyio.to_thread.run_sync(comparison.compare, rows)
    is_one = len({where.id for _, where in found}) == 1
    return answer(told, head=found[0][1].head if is_one else None)
