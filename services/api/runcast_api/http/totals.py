"""How many a list has in all: exactly up to 10,000, and what Postgres estimates beyond.

Counting half a million rows takes a second of every request for a number that no one reads to its last
digit. An estimate is marked as one.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from runcast_server.db import Connection

EXACT = 10_000
ESTIMATED = Field(default=False, description="Whether `total`, beyond 10,000, is a guess.")
"""The member `total_estimated` of a page."""


async def of(connection: Connection, rows: str, *arguments: Any) -> dict[str, Any]:
    """`total` of the rows of a SELECT, and `total_estimated` where it is an estimate."""
    counted = f"SELECT count(*) FROM ({rows} LIMIT {EXACT + 1:d}) some_rows"
    total: int = await connection.fetchval(counted, *arguments)
    if total <= EXACT:
        return {"total": total}
    return await estimated(connection, total, rows, *arguments)


async def estimated(
    connection: Connection, least: int, rows: str, *arguments: Any
) -> dict[str, Any]:
    """`total` of the rows of a SELECT of which there are `least` or more, as an estimate."""
    [[plan]] = await connection.fetch(f"EXPLAIN (FORMAT JSON) {rows}", *arguments)
    guess = int(plan[0]["Plan"]["Plan Rows"])
    return {"total": max(guess, least), "total_estimated": True}
