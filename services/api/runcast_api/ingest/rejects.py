"""Messages of the ingest stream that could not be accepted, as administrators read them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from runcast_api.accounts.listing import moment, text
from runcast_api.http import pagination
from runcast_server.db import Connection

_LIST = """
SELECT id, at, stream_id, project_id, reason, message FROM ingest_rejects
WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2
"""


class Reject(BaseModel):
    """A message as it came, and why it was not accepted."""

    id: int
    at: str
    stream_id: str
    project_id: str | None
    reason: str
    message: str


class RejectPage(BaseModel):
    rejects: list[Reject]
    total: int
    next_cursor: str | None


async def page(connection: Connection, limit: int, cursor: str | None) -> dict[str, Any]:
    """Rejects, the newest first; row-level security shows them to administrators only."""
    before = None
    if cursor is not None:
        [before] = pagination.decode(cursor, "rejects")
        if not isinstance(before, int):
            raise pagination.refusal()
    rows = await connection.fetch(_LIST, before, limit + 1)
    more = rows[limit - 1]["id"] if len(rows) > limit else None
    return {
        "rejects": [
            {
                "id": row["id"],
                "at": moment(row["at"]),
                "stream_id": row["stream_id"],
                "project_id": text(row["project_id"]),
                "reason": row["reason"],
                "message": row["message"],
            }
            for row in rows[:limit]
        ],
        "total": await connection.fetchval("SELECT count(*) FROM ingest_rejects"),
        "next_cursor": None if more is None else pagination.encode([more], "rejects"),
    }
