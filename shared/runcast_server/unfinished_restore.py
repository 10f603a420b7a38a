"""A database into which `runcast restore` is loading, or was when it was interrupted.

A restore can't be one transaction: what pg_restore has loaded is then compared, brought to this version, and
given other epochs. So an empty schema is made before and dropped last, and no server works on a database that
has it: some of what was there may be missing, and clients wouldn't be told that numbers are given again.
"""

from __future__ import annotations

from typing import Any

ADVICE = (
    "a restore into this database was not finished: drop the database and restore again. Where you know that "
    "all of it is there, `runcast db after-restore` says so"
)
_BEGIN = "CREATE SCHEMA IF NOT EXISTS runcast_restoring"
_END = "DROP SCHEMA IF EXISTS runcast_restoring"
_IS_MARKED = "SELECT to_regnamespace('runcast_restoring') IS NOT NULL"


async def begin(connection: Any) -> None:
    """Marks the database. Raises `asyncpg` errors."""
    await connection.execute(_BEGIN)


async def end(connection: Any) -> None:
    """Takes the mark away, where there is one. Raises `asyncpg` errors."""
    await connection.execute(_END)


async def is_marked(connection: Any) -> bool:
    """Whether a restore into this connection's database has begun and not ended. Raises `asyncpg` errors."""
    found: bool = await connection.fetchval(_IS_MARKED)
    return found
