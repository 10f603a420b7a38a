"""`DELETE /runs/{run}`, `DELETE /artifacts/{artifact}` and `POST /runs/{run}/logs/redact`."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Query
from starlette.responses import Response

from runcast_api.accounts import audit
from runcast_api.artifacts import artifacts, erased_objects
from runcast_api.dependencies import Api, ApiState, Caller
from runcast_api.http.request_body import JsonRoute
from runcast_api.http.responses import answer, no_content
from runcast_api.runs import deletion
from runcast_api.runs.deletion import Redacted, Redaction, RunDeleted
from runcast_server import outages
from runcast_server.auth import access, rights
from runcast_server.auth.principal import Principal
from runcast_server.db import acquire
from runcast_server.eventlog import erasure
from runcast_server.eventlog.log import Transaction

router = APIRouter(tags=["deletion"], route_class=JsonRoute)

log = structlog.get_logger()

DryRun = Annotated[bool, Query(description="Only says what would go.")]


@router.delete("/runs/{run}", response_model=RunDeleted)
async def delete_run(
    run: str,
    api: ApiState,
    caller: Caller,
    project: str | None = None,
    dry_run: DryRun = False,
) -> Response:
    """Deletes the run with its log, artifacts, questions and share links. Its id can't be used again. The
    agent's own files stay, and aren't read in again."""
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project, rights.ERASE)
        told = await deletion.explain(connection, run_id)
    if dry_run:
        return answer(told, head=found.head)
    await note(api, caller, "run_deleted", found.id, run_id, lines=told["lines"])
    await forget(api, found.id)

    async def change(transaction: Transaction) -> dict[str, Any]:
        return await deletion.delete_run(transaction, found.id, run_id)

    told, head = await api.resources.eventlog.commit_with_head(found.id, change)
    api.runs.forget()
    await empty(api, run_id)
    await erased_objects.remove(api.database.log, api.store, found.id)
    await forget(api, found.id)
    return answer(told, head=head)


@router.delete("/artifacts/{artifact}", status_code=204)
async def delete_artifact(artifact: UUID, api: ApiState, caller: Caller) -> Response:
    """Deletes one version of a step's output, with its content."""
    async with api.database.acting(caller) as connection:
        row = await artifacts.find(connection, artifact)
        absent = f"no artifact '{artifact}'"
        found = await access.inside(connection, caller, row["project_id"], absent, rights.ERASE)
    await note(api, caller, "artifact_deleted", found.id, artifact, step_name=row["step_name"])

    async def change(transaction: Transaction) -> None:
        await deletion.delete_artifact(transaction, found.id, artifact)

    _, head = await api.resources.eventlog.commit_with_head(found.id, change)
    await erased_objects.remove(api.database.log, api.store, found.id)
    return no_content(head)


@router.post("/runs/{run}/logs/redact", response_model=Redacted)
async def redact_lines(
    run: str, body: Redaction, api: ApiState, caller: Caller, project: str | None = None
) -> Response:
    """Overwrites log lines permanently: in the database, in Redis, in the hubs' memory, and in stored
    responses. Their numbers and times stay. The agent's own files aren't changed."""
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project, rights.ERASE)
    reach = {"from_line": body.from_line, "to_line": body.to_line}
    await note(api, caller, "lines_redacted", found.id, run_id, **reach)
    await forget(api, found.id)

    async def change(transaction: Transaction) -> dict[str, Any]:
        return await deletion.redact(transaction, found.id, run_id, body)

    told, head = await api.resources.eventlog.commit_with_head(found.id, change)
    await forget(api, found.id)
    return answer(told, head=head)


async def note(
    api: Api, caller: Principal, action: str, project_id: UUID, subject: UUID | None, **details: Any
) -> None:
    """Who did it. It is noted before it is done: nothing goes without a trace."""
    async with api.database.changing(caller) as connection:
        await audit.note(
            connection, caller, action, project_id=project_id, subject=subject, **details
        )


async def empty(api: Api, run_id: UUID) -> None:
    """Empties the run's events; what is left when the database goes away, the sweeper does."""
    has_more = True
    while has_more:
        async with acquire(api.database.log) as connection:
            has_more = await erasure.go_on(connection, run_id)


async def forget(api: Api, project_id: UUID) -> None:
    """Takes the project's recent events out of Redis, before the change, so that no hub fills itself from
    there when it hears of it, and after it. Without Redis they expire within the hour."""
    try:
        await api.resources.bus.forget(project_id)
    except outages.REDIS as error:
        log.warning(
            "erasure.redis_not_emptied", project=str(project_id), error=outages.named(error)
        )
