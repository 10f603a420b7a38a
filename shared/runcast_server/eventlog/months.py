"""Which partitions of `segments` a reader needs, as bounds in the text of its statement.

Postgres leaves partitions out, and takes no locks on them, when it plans a statement with constant
bounds. Bounds that are parameters don't do: a plan that is kept locks all partitions there are, each with
its indexes. So the months in which a project or a run has segments are kept beside them (by
`take_numbers`), and stand in the statement as literals. Of a project that are the months between two event
numbers: the times of a project's events never decrease.
"""

from __future__ import annotations

from datetime import date
from uuid import UUID

from runcast_server.db import Connection

_OF_NUMBERS = """
SELECT max(month) FILTER (WHERE first_seq <= $2), max(month) FILTER (WHERE first_seq <= $3)
FROM segment_months WHERE project_id = $1
"""
_OF_RUN = "SELECT first_month, last_month FROM runs WHERE id = $1"


def between(first: date | None, last: date | None) -> str:
    """The condition that a segment's `at` lies in these months or between them; where they are not known,
    no condition."""
    end = None if last is None else date(last.year + last.month // 12, last.month % 12 + 1, 1)
    conditions = (
        "" if first is None else f" AND at >= '{first:%Y-%m-%d} 00:00Z'",
        "" if end is None else f" AND at < '{end:%Y-%m-%d} 00:00Z'",
    )
    return "".join(conditions)


async def of_numbers(connection: Connection, project_id: UUID, after: int, upto: int) -> str:
    """The condition for a project's events above the number `after`, up to `upto`."""
    return between(*await connection.fetchrow(_OF_NUMBERS, project_id, after + 1, upto))


async def of_run(connection: Connection, run_id: UUID) -> str:
    """The condition for a run's segments."""
    row = await connection.fetchrow(_OF_RUN, run_id)
    return "" if row is None else between(*row)
