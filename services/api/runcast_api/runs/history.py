"""A project's events as pages of JSON: the same numbers and the same data as in its stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel

from runcast_server.auth.principal import Principal
from runcast_server.db import Connection
from runcast_server.errors import Invalid
from runcast_server.eventlog import history
from runcast_server.eventlog.frames import LOG_TYPE
from runcast_server.runs import in_milliseconds

LAST = 2**63 - 1
TYPES = 50
"""Event types that one request may name at most."""

_PAGE = """
SELECT seq, at, type, data::text AS data FROM events
WHERE project_id = $1 AND seq > $2 AND seq < $3
  AND ($4::text[] IS NULL OR type = ANY($4)) {run} {kind}
ORDER BY seq {order} LIMIT $5
"""
_OF_RUN = "AND run_id = $6"
_WITH_LINES_OF_RUN = """
SELECT seq, at, type, data FROM (
    (SELECT seq, at, type, data::text AS data FROM events
     WHERE project_id = $1 AND run_id = $6 AND line_number > $7 AND line_number <= $8 AND at >= $9
       AND ($4::text[] IS NULL OR type = ANY($4))
     ORDER BY line_number {order} LIMIT $5)
    UNION ALL
    (SELECT seq, at, type, data::text AS data FROM events
     WHERE project_id = $1 AND run_id = $6 AND line_number IS NULL AND seq > $2 AND seq < $3 AND at >= $9
       AND ($4::text[] IS NULL OR type = ANY($4))
     ORDER BY seq {order} LIMIT $5)
) of_run ORDER BY seq {order} LIMIT $5
"""
"""A run's lines and its other events have an index each, so a page costs what is in it, however much the
project's other runs say: a run's lines are numbered in the order of events."""
_NO_LINES = "AND line_number IS NULL"
"""With it a partial index serves readers who don't want log lines."""


class EventShown(BaseModel):
    """One event: `id` is its number, `at` the time of its commit."""

    id: int
    at: str
    type: str
    data: dict[str, Any]


class EventPage(BaseModel):
    """Events in order, oldest first. `floor` is the highest number that retention has dropped;
    `next_after` is where to go on, null at the end."""

    events: list[EventShown]
    floor: int
    next_after: int | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events of a project: numbered above `after` and below `before`, of types, of a run, with or
    without log lines.

    With `before` alone they are the last ones below it.
    """

    project_id: UUID
    after: int | None = None
    before: int | None = None
    types: Sequence[str] | None = None
    run_id: UUID | None = None
    without_lines: bool = False


def types_of(text: str | None) -> list[str] | None:
    """A comma-separated list of event types. Raises `Invalid` for too many."""
    if not text:
        return None
    types = [type for type in (part.strip() for part in text.split(",")) if type]
    if len(types) > TYPES:
        raise Invalid.of("query.types", f"more than {TYPES} types")
    return types or None


async def page(connection: Connection, wanted: Wanted, limit: int) -> dict[str, Any]:
    """One page of events."""
    from_end = wanted.before is not None and wanted.after is None
    without_lines = wanted.without_lines or (
        wanted.types is not None and LOG_TYPE not in wanted.types
    )
    floor = await connection.fetchval(
        "SELECT floor_seq FROM project_counters WHERE project_id = $1", wanted.project_id
    )
    after = max(wanted.after or 0, floor)
    before = LAST if wanted.before is None else wanted.before
    form = _PAGE
    extra: list[Any] = [wanted.run_id] if wanted.run_id else []
    if wanted.run_id and not without_lines:
        upto = None if before == LAST else before - 1
        lines = await history.lines_of_run(connection, wanted.run_id, after, upto)
        form, extra = _WITH_LINES_OF_RUN, [wanted.run_id, *lines]
    query = form.format(
        run=_OF_RUN if wanted.run_id else "",
        kind=_NO_LINES if without_lines else "",
        order="DESC" if from_end else "ASC",
    )
    rows = await connection.fetch(
        query, wanted.project_id, after, before, wanted.types, limit, *extra
    )
    is_full = len(rows) == limit
    if from_end:
        rows.reverse()
    return {
        "events": [_as_json(row) for row in rows],
        "floor": floor,
        "next_after": rows[-1]["seq"] if is_full and not from_end else None,
    }


def visible_to(caller: Principal, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events without those about questions, where the caller holds a share link."""
    if caller.share_id is None:
        return events
    return [event for event in events if not event["type"].startswith("question:")]


def _as_json(row: Any) -> dict[str, Any]:
    return {
        "id": row["seq"],
        "at": in_milliseconds(row["at"]),
        "type": row["type"],
        "data": orjson.Fragment(row["data"].encode()),
    }
