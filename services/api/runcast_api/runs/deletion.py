"""Deleting a run, an artifact, or what lines say: what goes, and from where.

A secret that leaked into a log lies in Postgres, in Redis, in the memory of hubs, in answers that are kept
for repeated requests, in messages that were refused, and in files of the store. It leaves all of them here.
It stays in the agent's own files, and in what people have read or saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field

from runcast_api.artifacts import erased_objects
from runcast_api.http.fields import NoNul
from runcast_api.http.idempotency import ERASED
from runcast_api.runs import runs
from runcast_server.db import Connection
from runcast_server.errors import Erased, Invalid, NotFound
from runcast_server.eventlog import erasure, frames
from runcast_server.eventlog.log import Transaction
from runcast_server.runs import in_milliseconds

_COUNTS = """
SELECT r.last_line_number AS lines,
    (SELECT count(*) FROM artifacts WHERE run_id = r.id) AS artifacts,
    (SELECT coalesce(sum(size), 0)::bigint FROM artifacts WHERE run_id = r.id) AS artifact_bytes
FROM runs r WHERE r.id = $1
"""
_ERASE_ANSWERS = """
UPDATE idempotency_keys SET
    status = CASE WHEN split_part(route, '?', 1) LIKE '%/runs/bulk' THEN status ELSE $2 END,
    body = CASE WHEN split_part(route, '?', 1) LIKE '%/runs/bulk' THEN (
        SELECT convert_to(json_agg(CASE
            WHEN item::text ~ $4 THEN json_build_object('status', $2::integer, 'problem', $3::text::json)
            ELSE item END ORDER BY place)::text, 'UTF8')
        FROM json_array_elements(convert_from(body, 'UTF8')::json) WITH ORDINALITY AS each (item, place)) END
WHERE principal <> 'ingest' AND body IS NOT NULL AND EXISTS (
    SELECT FROM unnest($1::text[]) AS gone (id) WHERE position(convert_to(gone.id, 'UTF8') in body) > 0)
"""
_FORGET_REJECTS = """
DELETE FROM ingest_rejects WHERE project_id = $1 AND EXISTS (
    SELECT FROM unnest($2::text[]) AS gone (id) WHERE position(gone.id in message) > 0)
"""


class Redaction(BaseModel):
    """Which lines, and what they say from now on."""

    model_config = ConfigDict(extra="forbid")

    from_line: Annotated[int, Field(ge=1, lt=2**62)]
    to_line: Annotated[int, Field(ge=1, lt=2**62)]
    replacement: Annotated[str, Field(max_length=200), NoNul] = "[redacted]"


class Redacted(BaseModel):
    """How many stored lines were overwritten."""

    lines: int


class RunDeleted(BaseModel):
    """What goes with a run, or would go."""

    run_id: UUID
    lines: int
    artifacts: int
    artifact_bytes: int
    deleted: bool


async def explain(connection: Connection, run_id: UUID) -> dict[str, Any]:
    """What goes with the run. Raises `NotFound`."""
    row = await connection.fetchrow(_COUNTS, run_id)
    if row is None:
        raise NotFound(f"no run '{run_id}'")
    names = ("lines", "artifacts", "artifact_bytes")
    told: dict[str, Any] = {name: row[name] for name in names}
    return told | {"run_id": str(run_id), "deleted": False}


async def redact(
    transaction: Transaction, project_id: UUID, run_id: UUID, wanted: Redaction
) -> dict[str, Any]:
    """Overwrites the lines, and tells everybody who holds copies. Raises `Invalid` for too many."""
    if wanted.to_line < wanted.from_line:
        raise Invalid.of("body.to_line", "lies before from_line")
    if wanted.to_line - wanted.from_line >= erasure.LINES_AT_ONCE:
        raise Invalid.of("body.to_line", f"at most {erasure.LINES_AT_ONCE:,} lines at once")
    await runs.lock(transaction, run_id)
    connection = transaction.connection
    reach = (wanted.from_line, wanted.to_line)
    number = await erasure.redact(connection, project_id, run_id, *reach, wanted.replacement)
    await forget_copies(connection, project_id, [run_id])
    told: dict[str, Any] = {"from_line": wanted.from_line, "to_line": wanted.to_line}
    told |= {"lines": number, "at": in_milliseconds(runs.moment())}
    transaction.emit(project_id, frames.event(erasure.REDACTED, told, run_id=run_id))
    return {"lines": number}


async def delete_run(transaction: Transaction, project_id: UUID, run_id: UUID) -> dict[str, Any]:
    """The run, its artifacts, sources, links and questions. What is left to do after the commit: its points
    and what its events say (`erasure.go_on`), and the contents of artifacts (`erased_objects.remove`)."""
    told = await remove(transaction, project_id, run_id)
    await forget_copies(transaction.connection, project_id, [run_id])
    return told


async def remove(transaction: Transaction, project_id: UUID, run_id: UUID) -> dict[str, Any]:
    """The same but for `forget_copies`, which many deletions share."""
    run = await runs.lock(transaction, run_id)
    connection = transaction.connection
    told = await explain(connection, run_id)
    rows = await connection.fetch("SELECT id, object_key FROM artifacts WHERE run_id = $1", run_id)
    await connection.execute("DELETE FROM artifacts WHERE run_id = $1", run_id)
    await erased_objects.note(connection, project_id, [row["object_key"] for row in rows])
    await _bury(connection, [run_id, *(row["id"] for row in rows)])
    await connection.execute("DELETE FROM log_sources WHERE run_id = $1", run_id)
    await connection.execute("UPDATE runs SET retry_of = NULL WHERE retry_of = $1", run_id)
    await connection.execute("UPDATE tasks SET run_id = NULL WHERE run_id = $1", run_id)
    await connection.execute("DELETE FROM runs WHERE id = $1", run_id)
    await erasure.begin(connection, project_id, run_id, run["last_line_number"])
    at = in_milliseconds(runs.moment())
    transaction.emit(
        project_id, frames.event(erasure.RUN_DELETED, {"run_id": str(run_id), "at": at})
    )
    return told | {"deleted": True}


async def delete_artifact(transaction: Transaction, project_id: UUID, artifact_id: UUID) -> None:
    """The artifact; its content goes after the commit (`erased_objects.remove`). Its version is never given
    again while a later one is there."""
    connection = transaction.connection
    row = await connection.fetchrow(
        """DELETE FROM artifacts WHERE id = $1 AND project_id = $2
           RETURNING run_id, step_name, version, object_key""",
        artifact_id,
        project_id,
    )
    if row is None:
        raise NotFound(f"no artifact '{artifact_id}'")
    await erased_objects.note(connection, project_id, [row["object_key"]])
    await _bury(connection, [artifact_id])
    await _erase_answers(connection, [str(artifact_id)])
    told = {
        "artifact_id": str(artifact_id),
        "step_name": row["step_name"],
        "version": row["version"],
        "at": in_milliseconds(runs.moment()),
    }
    event = frames.event("artifact:deleted", told, run_id=row["run_id"])
    transaction.emit(project_id, event)


async def _bury(connection: Connection, ids: list[UUID]) -> None:
    await connection.execute(
        "INSERT INTO tombstones SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING", ids
    )


async def forget_copies(connection: Connection, project_id: UUID, run_ids: Sequence[UUID]) -> None:
    """Answers that are kept for repeated requests, and messages of the runs that were refused."""
    ids = [str(run_id) for run_id in run_ids]
    await _erase_answers(connection, ids)
    await connection.execute(_FORGET_REJECTS, project_id, ids)


async def _erase_answers(connection: Connection, ids: Sequence[str]) -> None:
    """The keys stay, so that a repeated request does nothing twice; what they answered is gone. Of many
    changes in one request only those of these ids are."""
    problem = orjson.dumps(Erased(ERASED).body()).decode()
    await connection.execute(_ERASE_ANSWERS, list(ids), Erased.status, problem, "|".join(ids))
