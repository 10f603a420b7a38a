"""Messages that could not be accepted: kept with their reasons, for a while, and read by administrators.

They are kept in the transaction that moves past them. There are never more than `KEPT` of them and those of
one batch, however many are sent, and none is older than `KEPT_DAYS`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from runcast_api.accounts.listing import moment, text
from runcast_api.http import pagination
from runcast_api.ingest import metrics
from runcast_api.ingest.batch_items import Item
from runcast_server.db import Connection, Pool, acquire

KEPT = 20_000
KEPT_DAYS = 30
MESSAGE_BYTES = 8 * 1024
REASON_LENGTH = 1_000

_KEEP = f"""
WITH kept AS (
    INSERT INTO ingest_rejects (stream_id, project_id, reason, message)
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[]) RETURNING id
)
DELETE FROM ingest_rejects WHERE id <= (SELECT max(id) FROM kept) - {KEPT}
"""
_PRUNE = "DELETE FROM ingest_rejects WHERE at < now() - make_interval(days => $1)"
_AUTH = re.compile(rb'("auth"\s*:\s*")[^"]*')
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
        [before] = pagination.members(cursor, ("rejects",), pagination.whole)
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


async def keep(connection: Connection, refused: Sequence[tuple[str, Item]]) -> None:
    """Stores refused messages, each with the id of the entry that it came in."""
    if not refused:
        return
    await connection.execute(
        _KEEP,
        [id for id, _ in refused],
        [item.address.project_id if item.address else None for _, item in refused],
        [_storable(item.refusal or "")[:REASON_LENGTH] for _, item in refused],
        [_shown(item.raw) for _, item in refused],
    )
    metrics.REJECTS.inc(len(refused))


async def prune(pool: Pool) -> None:
    """Forgets the rejects that are too old."""
    async with acquire(pool) as connection:
        await connection.execute(_PRUNE, KEPT_DAYS)


def _shown(raw: bytes) -> str:
    """The message as text that Postgres can hold, cut if it is very long, and without its secret."""
    return _storable(_AUTH.sub(rb"\1...", raw[:MESSAGE_BYTES]).decode(errors="replace"))


def _storable(text: str) -> str:
    """The text with NUL shown, and with what UTF-8 can't hold replaced."""
    return text.replace("\0", "\u2400").encode(errors="replace").decode()
