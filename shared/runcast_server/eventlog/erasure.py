"""Takes out of stored events what they should never have held.

The log only grows, and its numbers have no holes: a client that resumes after an event finds every later
one. So nothing is removed. A redacted line keeps its number, its time and its place, and loses what it
said; the events of a deleted run lose everything. What holds copies of them learns of it from the event
that follows in the same transaction (`ERASING`): hubs drop what they keep in memory of the project, and
Redis is emptied of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson

from runcast_server.db import Connection
from runcast_server.eventlog import segments, stored
from runcast_server.eventlog.segments import Damaged
from runcast_server.runs import in_milliseconds

REDACTED = "log:redacted"
RUN_DELETED = "run:deleted"
ERASING = tuple(f"\nevent: {name}\n".encode() for name in (REDACTED, RUN_DELETED))
"""How a frame begins that says so. No data holds it: in JSON a line feed is written as two characters."""
LINES_AT_ONCE = 10_000
BATCH = 5_000

_KEPT = ("ts", "level", "agent_name", "source", "generation", "source_line")
_LINES = f"SELECT {stored.COLUMNS} FROM lock_lines($1, $2, $3)"
_OVERWRITE = "SELECT overwrite_segments($1, $2, $3, $4, $5, $6)"


async def redact(
    connection: Connection,
    project_id: UUID,
    run_id: UUID,
    from_line: int,
    to_line: int,
    replacement: str,
) -> int:
    """Overwrites stored lines, text and payload; how many there were. At most `LINES_AT_ONCE`. A segment that
    can't be read loses all of its lines."""
    number = 0
    overwritten: list[tuple[Any, ...]] = []
    for row in await connection.fetch(_LINES, run_id, from_line, to_line):
        segment = stored.of_row(row)
        try:
            records = segments.split(segment)
        except Damaged:
            members = {"line": "", "ts": in_milliseconds(row["at"]), "source": "damaged"}
            lost = orjson.dumps(members)[1:]
            records = [lost] * segment.length
        first = max(0, from_line - segment.first_line)
        last = min(segment.length, to_line - segment.first_line + 1)
        for place in range(first, last):
            records[place] = _redacted(records[place], replacement)
        number += last - first
        whole = b"\n".join(records)
        codec, body = segments.pack(whole)
        overwritten.append((row["last_seq"], row["at"], codec, len(whole), body))
    if overwritten:
        await connection.execute(_OVERWRITE, project_id, *map(list, zip(*overwritten, strict=True)))
    return number


def _redacted(record: bytes, replacement: str) -> bytes:
    try:
        members: dict[str, Any] = orjson.loads(b"{" + record)
    except orjson.JSONDecodeError:
        members = {}
    kept = {name: members[name] for name in _KEPT if name in members}
    return orjson.dumps(kept | {"line": replacement, "redacted": True})[1:]


async def begin(connection: Connection, project_id: UUID, run_id: UUID, last_line: int) -> None:
    """Notes that a run was deleted: its events are emptied by `go_on`, now and whatever happens."""
    await connection.execute(
        "INSERT INTO erased_runs (run_id, project_id, last_line) VALUES ($1, $2, $3)",
        run_id,
        project_id,
        last_line,
    )


async def go_on(connection: Connection, run_id: UUID) -> bool:
    """Deletes the next points of a deleted run's metrics, then empties its next events; whether there may be
    more."""
    if await connection.fetchval("SELECT erase_metrics($1, $2)", run_id, BATCH):
        return True
    has_more: bool = await connection.fetchval("SELECT erase_events($1, $2)", run_id, BATCH)
    return has_more


async def unfinished(connection: Connection) -> list[tuple[UUID, UUID]]:
    """Some deleted runs whose events aren't empty yet, with their projects: others each time, so that none
    waits for those that fail."""
    rows = await connection.fetch(
        "SELECT run_id, project_id FROM erased_runs ORDER BY random() LIMIT 100"
    )
    return [(row["run_id"], row["project_id"]) for row in rows]
