"""Which partitions of `segments` a reader needs, as bounds in the text of its statement.

Postgres leaves partitions out, and takes no locks on them, when it plans a statement with constant
bounds. Bounds that are parameters don't do: a plan that is kept locks all partitions there are, each with
its indexes. So the months in which a project or a run has segments are kept beside them (by
`take_numbers`), and stand in the statement as literals. Of a project that are the months between two event
numbers: the times of a project's events never decrease.

A statement looks at `MONTHS` at most. Where a reader wants more it gets a part, and goes on behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple
from uuid import UUID

from runcast_server.db import Connection

MONTHS = 3
"""Months that one statement looks at, at most: about 25 locks, with those of the indexes."""

NOWHERE = " AND false"

_FORWARD = f"""
SELECT month, first_seq FROM segment_months WHERE project_id = $1 AND first_seq <= $3
  AND month >= greatest('-infinity', $4::date, (
    SELECT max(month) FROM segment_months WHERE project_id = $1 AND first_seq <= $2))
  AND month <= coalesce($5::date, 'infinity')
ORDER BY month LIMIT {MONTHS + 1}
"""
_BACKWARD = f"""
SELECT month, first_seq FROM segment_months WHERE project_id = $1 AND first_seq <= $3
  AND month >= greatest('-infinity', $4::date, (
    SELECT max(month) FROM segment_months WHERE project_id = $1 AND first_seq <= $2))
  AND month <= coalesce($5::date, 'infinity')
ORDER BY month DESC LIMIT {MONTHS + 1}
"""


class Months(NamedTuple):
    """The first and last month in which something has segments; None where it has none."""

    first: date | None = None
    last: date | None = None

    def spans(self) -> list[str]:
        """These months as conditions, oldest first, of `MONTHS` each."""
        found: list[str] = []
        month = self.first
        while month is not None and self.last is not None and month <= self.last:
            end = min(_later(month, MONTHS - 1), self.last)
            found.append(between(month, end))
            month = _later(end, 1)
        return found


class Span(NamedTuple):
    """A part of what is wanted: numbers above `after` and up to `upto`, and the months in which they lie, as
    a condition. `is_part`: there are other months."""

    after: int
    upto: int
    within: str
    is_part: bool


def between(first: date, last: date) -> str:
    """The condition that a segment's `at` lies in these months or between them."""
    return f" AND at >= '{first:%Y-%m}-01 00:00Z' AND at < '{_later(last, 1):%Y-%m-%d} 00:00Z'"


def _later(month: date, number: int) -> date:
    years, place = divmod(month.month - 1 + number, 12)
    return date(month.year + years, place + 1, 1)


async def of_run(connection: Connection, run_id: UUID) -> Months:
    """The months of a run's segments."""
    row = await connection.fetchrow(
        "SELECT first_month, last_month FROM runs WHERE id = $1", run_id
    )
    return Months() if row is None else Months(*row)


async def forward(
    connection: Connection, project_id: UUID, after: int, upto: int, run: Months | None = None
) -> Span:
    """Where a project's first events above `after` and up to `upto` lie; where they are those of a run, its
    months."""
    rows = await _fetch(connection, _FORWARD, project_id, after, upto, run)
    if not rows:
        return Span(after, upto, NOWHERE, False)
    within = between(rows[0]["month"], rows[:MONTHS][-1]["month"])
    end = upto if len(rows) <= MONTHS else min(upto, rows[MONTHS]["first_seq"] - 1)
    return Span(after, end, within, len(rows) > MONTHS)


async def backward(
    connection: Connection, project_id: UUID, after: int, upto: int, run: Months | None = None
) -> Span:
    """The same for the last events."""
    rows = await _fetch(connection, _BACKWARD, project_id, after, upto, run)
    if not rows:
        return Span(after, upto, NOWHERE, False)
    first = rows[:MONTHS][-1]
    begin = after if len(rows) <= MONTHS else max(after, first["first_seq"] - 1)
    return Span(begin, upto, between(first["month"], rows[0]["month"]), len(rows) > MONTHS)


async def _fetch(
    connection: Connection,
    statement: str,
    project_id: UUID,
    after: int,
    upto: int,
    run: Months | None,
) -> Sequence[Any]:
    if run is not None and run.first is None:
        return []
    rows: Sequence[Any] = await connection.fetch(
        statement, project_id, after + 1, upto, *(run or Months())
    )
    return rows


async def fetch(connection: Connection, is_part: bool, statement: str, *args: Any) -> Sequence[Any]:
    """The rows of a statement that looks at some months. Where it is one of several, the locks on their
    partitions are given back at once: a transaction that goes through ten years would gather them."""
    if not is_part or not connection.is_in_transaction():
        rows: Sequence[Any] = await connection.fetch(statement, *args)
        return rows
    inside = connection.transaction()
    await inside.start()
    try:
        rows = await connection.fetch(statement, *args)
    finally:
        await inside.rollback()
    return rows
