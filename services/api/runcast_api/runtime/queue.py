"""How many subtasks wait, run and are done, and how that changed in the last hour."""

from __future__ import annotations

from pydantic import BaseModel

from runcast_server.db import Connection, Pool, acquire

GROUPS = {
    "PENDING": ("PENDING",),
    "BLOCKED": ("BLOCKED",),
    "RUNNING": ("IN_PROGRESS",),
    "IN_REVIEW": ("IN_REVIEW",),
    "DONE": ("COMPLETED", "MERGED"),
    "SKIPPED": ("SKIPPED",),
    "FAILED": ("FAILED",),
}
"""What is counted together, and as what."""

SAMPLE_SECONDS = 60.0
KEPT_SAMPLES = "2 days"

_COUNTS = """
SELECT q.status, sum(q.number)::bigint AS number FROM queue_counts q
JOIN projects p ON p.id = q.project_id AND p.deleted_at IS NULL GROUP BY q.status
"""
_AN_HOUR_AGO = """
SELECT status, number FROM queue_samples
WHERE at = (SELECT max(at) FROM queue_samples WHERE at <= now() - interval '1 hour')
"""
_SAMPLE = f"""
INSERT INTO queue_samples (at, status, number)
SELECT date_trunc('minute', now()), status, number FROM ({_COUNTS}) counts ON CONFLICT DO NOTHING
"""
_FORGET = f"DELETE FROM queue_samples WHERE at < now() - interval '{KEPT_SAMPLES}'"


class Count(BaseModel):
    """How many, and how many more than an hour ago."""

    count: int
    delta_1h: int


async def counts(connection: Connection) -> dict[str, dict[str, int]]:
    """Each group's count and trend. What was counted before there were samples counts as new."""
    now = {row["status"]: row["number"] for row in await connection.fetch(_COUNTS)}
    before = {row["status"]: row["number"] for row in await connection.fetch(_AN_HOUR_AGO)}
    shown: dict[str, dict[str, int]] = {}
    for group, statuses in GROUPS.items():
        count = sum(now.get(status, 0) for status in statuses)
        earlier = sum(before.get(status, 0) for status in statuses)
        shown[group] = {"count": count, "delta_1h": count - earlier}
    return shown


async def sample(pool: Pool) -> None:
    """Notes the counts of this minute; any number of processes may."""
    async with acquire(pool) as connection:
        await connection.execute(_SAMPLE)
        await connection.execute(_FORGET)
