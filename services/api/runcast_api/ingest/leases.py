"""Who applies which ingest stream: a row for each stream, held by a process until a time, which it moves on.

The time is Postgres's alone. A lease that would last longer than leases do was given before that clock went
back, and counts as ended. Leases only keep processes from working against each other: what may be stored,
cursors say.

No session holds anything, so a pooler in front of Postgres may give each statement another one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from runcast_server.db import Pool, acquire

LEASE_SECONDS = 5.0

_LASTS = (
    "until BETWEEN statement_timestamp() AND statement_timestamp() + 2 * make_interval(secs => $2)"
)
_RENEW = f"""
WITH ended AS (
    DELETE FROM ingest_processes WHERE process <> $1 AND NOT ({_LASTS})
), lives AS (
    INSERT INTO ingest_processes VALUES ($1, clock_timestamp() + make_interval(secs => $2))
    ON CONFLICT (process) DO UPDATE SET until = excluded.until
), renewed AS (
    UPDATE ingest_leases SET until = clock_timestamp() + make_interval(secs => $2)
    WHERE process = $1 AND stream = ANY($3) RETURNING stream
)
SELECT set_config('synchronous_commit', 'off', true),
    ARRAY(SELECT stream FROM renewed) AS renewed,
    ARRAY(SELECT stream FROM ingest_leases WHERE {_LASTS} ORDER BY stream) AS held,
    ARRAY(SELECT process FROM ingest_leases WHERE {_LASTS} ORDER BY stream) AS holders,
    ARRAY(SELECT process FROM ingest_processes WHERE {_LASTS}) AS processes
"""
"""One statement, as each process says it once a second. Lost in a crash of Postgres, it would only have to be
said again, so no one waits until it is on disk."""
_TAKE = """
UPDATE ingest_leases SET process = $1, until = clock_timestamp() + make_interval(secs => $2)
WHERE stream IN (
    SELECT stream FROM ingest_leases
    WHERE stream = ANY($3) AND (
        process IS NULL OR process = $1
        OR until < clock_timestamp() OR until > clock_timestamp() + 2 * make_interval(secs => $2)
    )
    ORDER BY stream FOR UPDATE SKIP LOCKED
)
RETURNING stream
"""
_GIVE_BACK = """
UPDATE ingest_leases SET process = NULL, until = '-infinity' WHERE process = $1 AND stream = ANY($2)
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """Who holds which stream now, and which processes live."""

    holders: dict[str, UUID]
    processes: frozenset[UUID]


class Leases:
    """This process's leases. Every call raises database errors as they come."""

    def __init__(self, pool: Pool, process: UUID) -> None:
        self._pool = pool
        self.process = process

    async def renew(self, streams: Collection[str]) -> Standing:
        """Says that this process lives and goes on with these streams, and answers how all stands. A lease
        that another process took meanwhile is not taken back."""
        async with acquire(self._pool) as connection:
            row = await connection.fetchrow(_RENEW, self.process, LEASE_SECONDS, sorted(streams))
        assert row is not None
        # What is held is as it was before the renewal, which may have come late.
        return Standing(
            dict(zip(row["held"], row["holders"], strict=True))
            | dict.fromkeys(row["renewed"], self.process),
            frozenset(row["processes"]) | {self.process},
        )

    async def take(self, streams: Collection[str]) -> set[str]:
        """Takes those of the streams that no process holds; answers which."""
        if not streams:
            return set()
        async with acquire(self._pool) as connection:
            rows = await connection.fetch(_TAKE, self.process, LEASE_SECONDS, sorted(streams))
        return {row["stream"] for row in rows}

    async def give_back(self, streams: Collection[str]) -> None:
        """Lets another process take these streams at once."""
        if streams:
            async with acquire(self._pool) as connection:
                await connection.execute(_GIVE_BACK, self.process, sorted(streams))

    async def end(self) -> None:
        """This process takes part no longer."""
        async with acquire(self._pool) as connection:
            await connection.execute(
                "DELETE FROM ingest_processes WHERE process = $1", self.process
            )
