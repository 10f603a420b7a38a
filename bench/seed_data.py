"""Filling a project's history by the million: straight into the table, as if it had come over some days."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

CHUNK_LINES = 250_000

_LINES = """
INSERT INTO events (project_id, seq, at, type, run_id, line_number, data)
SELECT $1, $3 + n, $4::timestamptz + (n - $5) * $6::interval, 'agent:log', $2, n, format(
    '{"run_id":"%s","line_number":%s,"line":"%s the agent reads one file after another and says what it '
    'finds in each","ts":"2026-11-20T14:00:00.000Z","source":"logs.txt","source_line":%s}',
    $2::uuid, n, lpad(n::text, 9, '0'), n)::json
FROM generate_series($5::bigint, $7::bigint) n
"""
_HEADS = """
WITH moved AS (UPDATE runs SET last_line_number = $3, created_at = least(created_at, $4) WHERE id = $2)
UPDATE project_counters SET last_seq = last_seq + $5, last_at = $6 WHERE project_id = $1
"""


@dataclass(frozen=True)
class Filled:
    """A run whose log was made long."""

    project_id: UUID
    run_id: UUID
    lines: int


async def partition(connection: asyncpg.Connection, day: datetime) -> None:
    """The partition of a day that lies back; its name and bounds are as `make_partitions` makes them."""
    first = day.replace(hour=0, minute=0, second=0, microsecond=0)
    name = f"events_{first:%Y%m%d}"
    if await connection.fetchval("SELECT to_regclass($1)", name) is None:
        await connection.execute(
            f"CREATE TABLE {name} PARTITION OF events FOR VALUES FROM ('{first}') "
            f"TO ('{first + timedelta(days=1)}')"
        )


async def lengthen(url: str, filled: Filled, lines: int, days: float = 0.0) -> Filled:
    """Adds so many lines to the run's log, the newest stored now, the others over the days before it.

    What was there before stays; of a run that is lengthened step by step only the last step's times count,
    so give days once, to the longest.
    """
    connection = await asyncpg.connect(url, command_timeout=600, timeout=60)
    try:
        now = datetime.now(UTC)
        for day in range(int(days) + 2):
            await partition(connection, now - timedelta(days=day))
        step = timedelta(days=days) / max(1, lines)
        base = await connection.fetchval(
            "SELECT last_seq FROM project_counters WHERE project_id = $1", filled.project_id
        )
        for first in range(filled.lines + 1, filled.lines + lines + 1, CHUNK_LINES):
            last = min(first + CHUNK_LINES, filled.lines + lines + 1) - 1
            at = now - timedelta(days=days) + (first - filled.lines - 1) * step
            await connection.execute(
                _LINES,
                filled.project_id,
                filled.run_id,
                base - filled.lines,
                at,
                first,
                step,
                last,
            )
        await connection.execute(
            _HEADS,
            filled.project_id,
            filled.run_id,
            filled.lines + lines,
            now - timedelta(days=days),
            lines,
            now,
        )
        await connection.execute("ANALYZE events")
    finally:
        await connection.close()
    return Filled(filled.project_id, filled.run_id, filled.lines + lines)
