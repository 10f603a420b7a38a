"""Reading events back from Postgres, as the same bytes that went out live.

Every read is one short statement of its own: an old snapshot would slow the hot counters down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from runcast_server import frames
from runcast_server.db import Connection
from runcast_server.frames import Block, Event

PAGE_EVENTS = 1000
FILTERED_SPAN = 50_000
"""Numbers that one filtered read passes at most: an unwanted line costs it about half a microsecond."""


class Broken(Exception):
    """Events that retention has not dropped are missing: an error, never a gap to announce."""


class Position(NamedTuple):
    """Where a project stands: identity of its history, newest number, highest number dropped."""

    epoch: int
    last_seq: int
    floor_seq: int


@dataclass(frozen=True, slots=True)
class Page:
    """Frames of the events that a filter wants, and the number up to which they were looked for."""

    frames: bytes
    count: int
    upto: int


_POSITIONS = """
SELECT c.project_id, c.epoch, c.last_seq, c.floor_seq FROM project_counters c
JOIN projects p ON p.id = c.project_id
WHERE c.project_id = ANY($1::uuid[]) AND p.deleted_at IS NULL
"""

_EVENTS = """
SELECT seq, type, run_id, line_number, data::text AS data FROM events
WHERE project_id = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4
"""

_WITHOUT_LOGS = """
SELECT seq, type, data::text AS data FROM events
WHERE project_id = $1 AND seq > $2 AND seq <= $3 AND line_number IS NULL
ORDER BY seq LIMIT $4
"""

_WITH_LOGS_OF = """
SELECT seq, type, data::text AS data FROM events
WHERE project_id = $1 AND seq > $2 AND seq <= $3
  AND (line_number IS NULL OR run_id = ANY($5::uuid[]))
ORDER BY seq LIMIT $4
"""

_OF_RUN = """
SELECT seq, type, data::text AS data FROM events
WHERE project_id = $1 AND seq > $2 AND seq <= $3 AND run_id = $5
ORDER BY seq LIMIT $4
"""


async def positions(connection: Connection, project_ids: Sequence[UUID]) -> dict[UUID, Position]:
    """Where each of the projects stands, in one query; deleted ones are missing."""
    rows = await connection.fetch(_POSITIONS, list(project_ids))
    return {row[0]: Position(row[1], row[2], row[3]) for row in rows}


async def block(
    connection: Connection,
    project_id: UUID,
    epoch: int,
    after: int,
    upto: int,
) -> Block | None:
    """The events `after` + 1 … at most `upto`, at most `PAGE_EVENTS`; None where there are none.

    Raises `Broken` when the page doesn't begin at `after` + 1 or has a hole.
    """
    rows = await connection.fetch(_EVENTS, project_id, after, upto, PAGE_EVENTS)
    if not rows:
        return None
    if rows[0]["seq"] != after + 1 or rows[-1]["seq"] != after + len(rows):
        raise Broken(f"events of {project_id} after {after}: {rows[0]['seq']}…{rows[-1]['seq']}")
    return frames.build(
        epoch,
        after + 1,
        [
            Event(row["type"], row["data"].encode(), row["run_id"], row["line_number"])
            for row in rows
        ],
    )


async def page(
    connection: Connection,
    project_id: UUID,
    after: int,
    upto: int,
    *,
    logs: Sequence[UUID] | None,
    run: UUID | None = None,
) -> Page:
    """The events above `after` without log lines, or with those of the runs `logs`; of `run` alone where
    one is named. Passes at most `FILTERED_SPAN` numbers where log lines must be stepped over."""
    extra: list[Any]
    if run is not None:
        query, extra = _OF_RUN, [run]
    elif logs is None:
        query, extra = _WITHOUT_LOGS, []
    else:
        query, extra = _WITH_LOGS_OF, [list(logs)]
    end = upto if logs is None and run is None else min(upto, after + FILTERED_SPAN)
    rows = await connection.fetch(query, project_id, after, end, PAGE_EVENTS, *extra)
    is_full = len(rows) == PAGE_EVENTS
    return Page(
        b"".join([frames.frame(row["seq"], row["type"], row["data"].encode()) for row in rows]),
        len(rows),
        rows[-1]["seq"] if is_full else end,
    )
