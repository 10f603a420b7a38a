"""Filling a project's history by the million: straight into the table, as if it had come over some days."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from runcast_server.eventlog import segments

CHUNK_LINES = 250_000

_COLUMNS = (
    "project_id", "run_id", "first_seq", "last_seq", "at", "first_line", "last_line", "count", "size",
    "codec", "levels", "agents", "body",
)  # fmt: skip
_RECORD = (
    b'"line":"%09d the agent reads one file after another and says what it finds in each",'
    b'"ts":"2026-11-20T14:00:00.000Z","source":"logs.txt","source_line":%d}'
)
_MONTHS = """
WITH known AS (
    INSERT INTO segment_months (project_id, month, first_seq)
    SELECT project_id, date_trunc('month', at AT TIME ZONE 'UTC')::date, min(first_seq) FROM segments
    WHERE project_id = $1 GROUP BY 1, 2
    ON CONFLICT (project_id, month) DO UPDATE SET first_seq = excluded.first_seq
)
UPDATE runs r SET first_month = m.first, last_month = m.last FROM (
    SELECT date_trunc('month', min(at) AT TIME ZONE 'UTC')::date AS first,
           date_trunc('month', max(at) AT TIME ZONE 'UTC')::date AS last FROM segments WHERE run_id = $2
) m WHERE r.id = $2
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


async def lengthen(url: str, filled: Filled, lines: int, days: float = 0.0) -> Filled:
    """Adds this many lines to the run's log, the newest stored now, the others over the days before it.

    What was there before stays; of a run that is lengthened step by step only the last step's times count,
    so give days once, to the longest.
    """
    connection = await asyncpg.connect(url, command_timeout=600, timeout=60)
    try:
        now = datetime.now(UTC)
        for day in range(int(days) + 2):
            await connection.execute(
                "SELECT make_partition('segments', $1)", now - timedelta(days=day)
            )
        step = timedelta(days=days) / max(1, lines)
        base = await connection.fetchval(
            "SELECT last_seq FROM project_counters WHERE project_id = $1", filled.project_id
        )
        for first in range(filled.lines + 1, filled.lines + lines + 1, CHUNK_LINES):
            last = min(first + CHUNK_LINES, filled.lines + lines + 1) - 1
            at = now - timedelta(days=days) + (first - filled.lines - 1) * step
            rows = [
                (filled.project_id, filled.run_id, *_segment(part, base - filled.lines, at + wait))
                for start in range(first, last + 1, segments.MAX_RECORDS)
                for part in [range(start, min(start + segments.MAX_RECORDS, last + 1))]
                for wait in [(part[-1] - first) * step]
            ]
            await connection.copy_records_to_table("segments", records=rows, columns=_COLUMNS)
        await connection.execute(
            _HEADS,
            filled.project_id,
            filled.run_id,
            filled.lines + lines,
            now - timedelta(days=days),
            lines,
            now,
        )
        await connection.execute(_MONTHS, filled.project_id, filled.run_id)
        await connection.execute("ANALYZE segments")
    finally:
        await connection.close()
    return Filled(filled.project_id, filled.run_id, filled.lines + lines)


def _segment(numbers: range, offset: int, at: datetime) -> tuple[object, ...]:
    """The columns of a segment with these lines, as the product packs it."""
    first, last = numbers[0], numbers[-1]
    records = b"\n".join([_RECORD % (number, number) for number in numbers])
    codec, body = segments.pack(records)
    agents: list[str] = []
    of_lines = (first, last, len(numbers), len(records), codec, segments.NO_LEVEL, agents, body)
    return (offset + first, offset + last, at, *of_lines)
