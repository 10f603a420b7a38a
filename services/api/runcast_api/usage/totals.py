"""What was used, as it is read: by a run with all its descendants, and by a project in a span of days."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from runcast_api.runs.family import MAX_DEPTH
from runcast_api.usage.ledger import COUNTS, MOST
from runcast_server.db import Connection

Json = dict[str, Any]
Group = Literal["day", "run", "agent", "model"]

ROWS = 10_000
_SUMS = ", ".join(
    f"least(coalesce(sum((usage->>'{name}')::numeric), 0), {MOST})::bigint AS {name}"
    for name in COUNTS
)
_TOTAL = f"""
WITH RECURSIVE family (id, usage, depth) AS (
    SELECT id, usage, 1 FROM runs WHERE id = $1
    UNION ALL
    SELECT r.id, r.usage, f.depth + 1 FROM family f JOIN runs r ON r.parent_run_id = f.id
    WHERE f.depth < {MAX_DEPTH}
)
SELECT {_SUMS}, sum((usage->>'cost_usd')::float8) AS cost_usd, count(usage) AS runs FROM family
"""
_KEYS: Mapping[str, str] = {
    "day": "u.day::text",
    "run": "u.run_id::text",
    "agent": "u.agent",
    "model": "u.model",
}
_DAILY = ", ".join(f"least(sum(u.{name}), {MOST})::bigint AS {name}" for name in COUNTS)
_TOKENS = "u.input_tokens + u.output_tokens + u.cache_read_tokens + u.cache_write_tokens"


class UsageTotal(BaseModel):
    """What a run and all its descendants have used; the cost of those whose cost is known."""

    requests: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: float | None


class UsageRow(BaseModel):
    """What one day, run, agent or model used. `cost_known_share`: the part of its tokens whose cost is
    known, from 0 to 1; null without tokens."""

    key: str
    requests: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_usd: float
    cost_known_share: float | None


class UsageReport(BaseModel):
    rows: list[UsageRow]


async def of_run(connection: Connection, run_id: UUID) -> Json | None:
    """The usage of a run and all its descendants; None where none has reported any."""
    row = await connection.fetchrow(_TOTAL, run_id)
    if not row["runs"]:
        return None
    return {name: row[name] for name in COUNTS} | {"cost_usd": row["cost_usd"]}


async def report(
    connection: Connection, project_id: UUID, since: date | None, before: date | None, group: Group
) -> Json:
    """Rows of a project from one day up to, but not including, another; by day in order, else the most
    expensive first."""
    order = "key" if group == "day" else "cost_usd DESC, key"
    rows = await connection.fetch(
        f"""SELECT {_KEYS[group]} AS key, {_DAILY}, sum(u.cost_usd) AS cost_usd,
                   sum(u.priced_tokens)::float8 / nullif(sum({_TOKENS}), 0)::float8 AS cost_known_share
            FROM usage_daily u WHERE u.project_id = $1
              AND ($2::date IS NULL OR u.day >= $2) AND ($3::date IS NULL OR u.day < $3)
            GROUP BY 1 ORDER BY {order} LIMIT {ROWS}""",
        project_id,
        since,
        before,
    )
    return {"rows": [dict(row) for row in rows]}
