"""Lets stored events be older than they are."""

from datetime import datetime
from uuid import UUID

from runcast_server.db import Connection

_MONTHS = """
INSERT INTO segment_months (project_id, month, first_seq)
SELECT project_id, date_trunc('month', at AT TIME ZONE 'UTC')::date, min(first_seq)
FROM segments WHERE project_id = $1 GROUP BY 1, 2
ON CONFLICT (project_id, month) DO UPDATE SET first_seq = excluded.first_seq
"""
_FORGET_MONTHS = """
DELETE FROM segment_months m WHERE project_id = $1 AND NOT EXISTS (
    SELECT FROM segments s
    WHERE s.project_id = $1 AND date_trunc('month', s.at AT TIME ZONE 'UTC')::date = m.month)
"""
_RUNS = """
UPDATE runs r SET created_at = least(created_at, $2::timestamptz),
    first_month = least(first_month, date_trunc('month', $2::timestamptz AT TIME ZONE 'UTC')::date)
WHERE project_id = $1
"""


async def make_older(owner: Connection, project_id: UUID, upto: int, at: datetime) -> None:
    """Lets a project's events up to a number, at which a segment ends, be committed at this moment."""
    await owner.execute("SELECT make_partition('segments', $1)", at)
    await owner.execute(
        "UPDATE segments SET at = $3 WHERE project_id = $1 AND last_seq <= $2", project_id, upto, at
    )
    await owner.execute(_MONTHS, project_id)
    await owner.execute(_FORGET_MONTHS, project_id)
    await owner.execute(_RUNS, project_id, at)
