"""Progress: what a run says about how far it is."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field

from runcast._support import times
from runcast.contract import TERMINAL_STATUSES, Status
from runcast_api.http.fields import LongText, Name
from runcast_api.runs import history, runs
from runcast_api.runs.history import Wanted
from runcast_server.db import Connection
from runcast_server.errors import Conflict, Invalid
from runcast_server.eventlog import frames
from runcast_server.eventlog.log import Transaction
from runcast_server.runs import in_milliseconds

_TYPE = ["run:progress"]


class ProgressNew(BaseModel):
    """One report; a `stage` that is one of the run's steps becomes its current one."""

    model_config = ConfigDict(extra="ignore")

    stage: Name
    message: LongText = ""
    percent: Annotated[int, Field(ge=0, le=100)] | None = None
    step: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    total_steps: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    ts: str | None = None


class ProgressShown(BaseModel):
    ts: str
    stage: str
    message: str
    percent: int | None = None
    step: int | None = None
    total_steps: int | None = None


class RunStatusReport(BaseModel):
    """How a run stands, with its last progress events, oldest first."""

    run_id: UUID
    status: Status
    created_at: str
    updated_at: str
    events: list[ProgressShown]
    error: str | None = None


async def report(transaction: Transaction, run_id: UUID, new: ProgressNew) -> dict[str, Any]:
    """Stores and tells a report; answers it as it is kept. Raises `Conflict` after the run's end."""
    run = await runs.lock(transaction, run_id)
    if run["status"] in TERMINAL_STATUSES:
        raise Conflict(f"the run is {run['status']}")
    now = runs.moment()
    at = in_milliseconds(now)
    progress = {
        "ts": _time(new.ts) if new.ts else at,
        "stage": new.stage,
        "message": new.message,
        "percent": new.percent,
        "step": new.step,
        "total_steps": new.total_steps,
    }
    told = frames.event("run:progress", progress | {"at": at}, run_id=run_id)
    transaction.emit(UUID(run["project_id"]), told)
    step = {"current_step": new.stage} if new.stage in run["steps"] else {}
    await runs.change(transaction, run, {"progress": progress} | step, now)
    return progress


def _time(text: str) -> str:
    try:
        return times.to_milliseconds(times.parse(text))
    except (ValueError, OverflowError):
        raise Invalid.of("body.ts", "not an ISO-8601 time") from None


async def status(connection: Connection, run_id: UUID, last: int) -> dict[str, Any]:
    """How the run stands, with its last progress events, oldest first."""
    run = await runs.show(connection, run_id)
    events = await _last(connection, UUID(run["project_id"]), run_id, last) if last else []
    shown = {
        "run_id": run["id"],
        "status": run["status"],
        "created_at": run["created_at"],
        "updated_at": run["updated_at"],
        "events": events,
    }
    return shown if run["error"] is None else shown | {"error": run["error"]}


async def _last(
    connection: Connection, project_id: UUID, run_id: UUID, limit: int
) -> list[dict[str, Any]]:
    wanted = Wanted(project_id, before=history.LAST, types=_TYPE, run_id=run_id)
    found = await history.page(connection, wanted, limit)
    events = [orjson.loads(orjson.dumps(event["data"])) for event in found["events"]]
    for event in events:
        del event["run_id"]
        event.pop("at", None)
    return events
