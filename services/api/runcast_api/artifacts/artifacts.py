"""Artifacts: the outputs of a run's steps, each with its versions 1, 2, 3 …

The run's row is locked while a version is chosen, so two at the same time get two numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field

from runcast._support.ids import uuid7
from runcast_api.artifacts.store import Stored
from runcast_api.http import pagination, request_body
from runcast_api.http.fields import Name
from runcast_api.http.problems import BadRequest
from runcast_api.runs import runs
from runcast_server.db import Connection
from runcast_server.errors import Conflict, NotFound
from runcast_server.eventlog import frames
from runcast_server.eventlog.log import Transaction
from runcast_server.runs import in_milliseconds

JSON_MEDIA_TYPE = "application/json"

_COLUMNS = "a.id, a.run_id, a.step_name, a.version, a.media_type, a.size, a.sha256, a.filename, a.created_at"
_SHOWN = f"{_COLUMNS}, CASE WHEN a.media_type = '{JSON_MEDIA_TYPE}' THEN a.content END AS content"

_INSERT = """
INSERT INTO artifacts (id, project_id, run_id, step_name, version, media_type, size, sha256, filename,
                       content, object_key, created_by, created_at)
SELECT $1, $2, $3, $4, coalesce(max(version), 0) + 1, $5, $6, $7, $8, $9, $10, $11, $12
FROM artifacts WHERE run_id = $3 AND step_name = $4
RETURNING version
"""

EMBEDDED_BYTES = 4 * 1024 * 1024
"""Content that a list of artifacts carries at most, in its order; that of the others is null."""
_LISTED = f"""
SELECT {_COLUMNS}, CASE WHEN sum(a.embedded) OVER (ORDER BY a.step_name, a.version DESC) <= {EMBEDDED_BYTES}
                        THEN a.shown END AS content
FROM (
    SELECT {{distinct}} {_COLUMNS}, CASE WHEN a.media_type = '{JSON_MEDIA_TYPE}' THEN a.content END AS shown,
           CASE WHEN a.media_type = '{JSON_MEDIA_TYPE}' AND a.content IS NOT NULL THEN a.size ELSE 0 END
               AS embedded
    FROM artifacts a WHERE a.run_id = $1 AND ($2::text IS NULL OR a.step_name = $2)
        AND ($3::text IS NULL OR a.step_name > $3 OR (a.step_name = $3 AND a.version < $4))
    ORDER BY a.step_name, a.version DESC LIMIT $5
) a ORDER BY a.step_name, a.version DESC
"""
_LATEST = _LISTED.format(distinct="DISTINCT ON (a.step_name)")
_ALL = _LISTED.format(distinct="")
_TOTAL = """
SELECT count(*) FILTER (WHERE $3 OR is_latest) FROM (
    SELECT NOT EXISTS (SELECT FROM artifacts b WHERE b.run_id = a.run_id AND b.step_name = a.step_name
                       AND b.version > a.version) AS is_latest
    FROM artifacts a WHERE a.run_id = $1 AND ($2::text IS NULL OR a.step_name = $2)) versions
"""
SHOWN_WITH_RUN = 1000
"""Steps whose latest artifact is shown with its run."""


class ArtifactNew(BaseModel):
    """An artifact whose content is JSON."""

    model_config = ConfigDict(extra="forbid")

    step_name: Name
    content: Any
    id: UUID | None = None


class Artifact(BaseModel):
    """One version of a step's output; `content` is there where it is JSON and up to 1 MiB, in lists as far as
    4 MiB of content in all go. `GET /artifacts/{artifact}/content` always has it."""

    id: UUID
    run_id: UUID
    step_name: str
    version: Annotated[int, Field(ge=1)]
    media_type: str
    size: int
    sha256: str
    filename: str | None
    created_at: str
    content: Any = None


class ArtifactList(BaseModel):
    artifacts: list[Artifact]
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Upload:
    """Content that was taken in, and what was said about it."""

    step_name: str
    media_type: str
    stored: Stored
    filename: str | None = None
    id: UUID | None = None
    created_by: UUID | None = None


async def create(
    transaction: Transaction, run_id: UUID, upload: Upload
) -> tuple[dict[str, Any], bool]:
    """The artifact as the next version of its step, and whether it is new. One with this id in this run
    is answered as it is. Raises `Conflict` for an id that is taken elsewhere."""
    run = await runs.lock(transaction, run_id)
    connection = transaction.connection
    if upload.id is not None and (there := await _existing(connection, run_id, upload.id)):
        return there, False
    id, now, stored = upload.id or uuid7(), runs.moment(), upload.stored
    project_id = UUID(run["project_id"])
    version = await connection.fetchval(
        _INSERT,
        id,
        project_id,
        run_id,
        upload.step_name,
        upload.media_type,
        stored.size,
        stored.sha256,
        upload.filename,
        stored.content,
        stored.object_key,
        upload.created_by,
        now,
    )
    await connection.execute("UPDATE runs SET heard_at = clock_timestamp() WHERE id = $1", run_id)
    told = {
        "artifact_id": str(id),
        "step_name": upload.step_name,
        "version": version,
        "media_type": upload.media_type,
        "size": stored.size,
    }
    transaction.emit(project_id, frames.event("artifact:created", told, run_id=run_id))
    row = await connection.fetchrow(f"SELECT {_SHOWN} FROM artifacts a WHERE a.id = $1", id)
    return as_json(row), True


async def _existing(connection: Connection, run_id: UUID, id: UUID) -> dict[str, Any] | None:
    row = await connection.fetchrow(f"SELECT {_SHOWN} FROM artifacts a WHERE a.id = $1", id)
    if row is not None and row["run_id"] == run_id:
        return as_json(row)
    if row is not None or await connection.fetchval(
        "SELECT true FROM tombstones WHERE id = $1", id
    ):
        raise Conflict("this id is taken")
    return None


async def of_run(connection: Connection, run_id: UUID) -> list[dict[str, Any]]:
    """The latest artifact of each step."""
    rows = await connection.fetch(_LATEST, run_id, None, None, None, SHOWN_WITH_RUN)
    return [as_json(row) for row in rows]


async def page(
    connection: Connection,
    run_id: UUID,
    step_name: str | None,
    limit: int,
    cursor: str | None,
    *,
    all_versions: bool,
) -> dict[str, Any]:
    """A page of the latest artifacts of each step, or of all versions, newest first. Raises `Invalid` for a
    cursor of another query."""
    query = ("artifacts", run_id, step_name, all_versions)
    step, version = (None, None) if cursor is None else _place(cursor, query)
    if step is not None and not all_versions:
        version = 0  # What is older of a step that was shown isn't its latest.
    rows = await connection.fetch(
        _ALL if all_versions else _LATEST, run_id, step_name, step, version, limit + 1
    )
    total = await connection.fetchval(_TOTAL, run_id, step_name, all_versions)
    shown = [as_json(row) for row in rows[:limit]]
    last = shown[-1] if len(rows) > limit else None
    return {
        "artifacts": shown,
        "total": total,
        "next_cursor": last and pagination.encode([last["step_name"], last["version"]], *query),
    }


def _place(cursor: str, query: tuple[Any, ...]) -> tuple[str, int]:
    step, version = pagination.members(cursor, query, pagination.text, pagination.whole)
    return step, min(version, 2**31 - 1)


async def find(connection: Connection, reference: UUID) -> Any:
    """The row of an artifact, with where its content lies. Raises `NotFound`."""
    row = await connection.fetchrow(
        f"""SELECT {_COLUMNS}, a.project_id, a.content, a.object_key FROM artifacts a
            WHERE a.id = $1""",
        reference,
    )
    if row is None:
        raise NotFound(f"no artifact '{reference}'")
    return row


def as_json(row: Any) -> dict[str, Any]:
    """The artifact object of a row."""
    shown = {
        "id": str(row["id"]),
        "run_id": str(row["run_id"]),
        "step_name": row["step_name"],
        "version": row["version"],
        "media_type": row["media_type"],
        "size": row["size"],
        "sha256": row["sha256"],
        "filename": row["filename"],
        "created_at": in_milliseconds(row["created_at"]),
    }
    content = row["content"] if row["media_type"] == JSON_MEDIA_TYPE else None
    return shown | {"content": embedded(content)}


def embedded(content: bytes | None) -> orjson.Fragment | None:
    """Stored content as a part of an answer; None where it says that it is JSON and isn't (NaN, a byte order
    mark, nothing at all), or holds too much. It is kept and served as the bytes that it is."""
    if not content:
        return None
    try:
        request_body.parse(content)
    except BadRequest:
        return None
    return orjson.Fragment(content)
