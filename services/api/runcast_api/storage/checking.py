"""Looks through stored segments for those that can't be read: cut, damaged, of an unknown codec.

A reader shows such a segment as one entry that names it and goes on. This finds them all beforehand.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from runcast_api.http import pagination
from runcast_server.auth.principal import Principal
from runcast_server.db import Database
from runcast_server.eventlog import segments, stored
from runcast_server.eventlog.segments import Damaged

BATCH_ROWS = 200
MOST_DAMAGED = 200
"""Damaged segments that one page names at most."""

_ROWS = f"""
SELECT project_id, first_line + count - 1 AS last_line, {stored.COLUMNS} FROM segments
WHERE (project_id, last_seq) > ($1, $2) ORDER BY project_id, last_seq LIMIT {BATCH_ROWS}
"""
_BEGINNING = (UUID(int=0), 0)


class DamagedSegment(BaseModel):
    """A segment that can't be read: which events of which run, which lines, and why."""

    project_id: UUID
    run_id: UUID | None
    first_id: int
    last_id: int
    first_line: int | None
    last_line: int | None
    reason: str


class CheckPage(BaseModel):
    """How many segments were looked at, and which of them are damaged; `next_cursor` goes on."""

    checked: int
    damaged: list[DamagedSegment]
    next_cursor: str | None


async def page(
    database: Database, actor: Principal, cursor: str | None, seconds: float
) -> dict[str, Any]:
    """Looks at segments for about this many seconds. Raises `Invalid` for a cursor of another query."""
    end = time.monotonic() + seconds
    place = _place(cursor)
    checked, damaged = 0, list[dict[str, Any]]()
    while True:
        async with database.acting(actor) as connection:
            rows = await connection.fetch(_ROWS, *place)
        damaged += await asyncio.to_thread(_damaged, rows)
        checked += len(rows)
        if len(rows) < BATCH_ROWS:
            return {"checked": checked, "damaged": damaged, "next_cursor": None}
        place = (rows[-1]["project_id"], rows[-1]["last_seq"])
        if time.monotonic() >= end or len(damaged) >= MOST_DAMAGED:
            after = pagination.encode([str(place[0]), place[1]], "segments")
            return {"checked": checked, "damaged": damaged, "next_cursor": after}


def _place(cursor: str | None) -> tuple[UUID, int]:
    if cursor is None:
        return _BEGINNING
    match pagination.decode(cursor, "segments"):
        case [str(project_id), int(last_seq)]:
            return UUID(project_id), last_seq
    raise pagination.refusal()


def _damaged(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {
            "project_id": str(row["project_id"]),
            "run_id": row["run_id"] and str(row["run_id"]),
            "first_id": row["first_seq"],
            "last_id": row["last_seq"],
            "first_line": row["first_line"],
            "last_line": row["last_line"],
            "reason": reason,
        }
        for row in rows
        if (reason := _fault(row)) is not None
    ]


def _fault(row: Any) -> str | None:
    """Why a segment can't be read; None for one that can."""
    try:
        segments.check(stored.of_row(row))
        numbers = stored.numbers_of_lines(row)
    except Damaged as error:
        return str(error)
    if len(numbers) != row["count"] or numbers[-1] != row["last_seq"]:
        return f"its numbers don't add up to {row['count']} events up to {row['last_seq']}"
    return None
