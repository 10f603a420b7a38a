"""The committed cursor of every source of lines: compared, and moved with the lines.

A line's identity is (run, source, generation, line, byte offset), over Redis and over HTTP alike. What a
source has, it drops; a batch that begins too far on is discarded, not rejected: the sender sees the
cursor stand still and goes back to it (go-back-N). So the same bytes may be sent any number of times, by
several senders, and are stored once.

Locks: all sources of a transaction first, in order of (run, source), then the runs, then the counters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from runcast_api import lines
from runcast_server import frames
from runcast_server.db import Connection
from runcast_server.frames import LOG_TYPE, Event
from runcast_server.runs import in_milliseconds

_MAKE = """
INSERT INTO log_sources (run_id, source, project_id)
SELECT run_id, source, project_id FROM unnest($1::uuid[], $2::text[], $3::uuid[])
    AS wanted (run_id, source, project_id)
ORDER BY run_id, source
ON CONFLICT DO NOTHING
"""
_LOCK = """
SELECT s.run_id, s.source, s.project_id, generation, next_line, next_offset, lines, bytes,
       bytes_after_end, file, closed_reason
FROM log_sources s JOIN unnest($1::uuid[], $2::text[]) AS wanted (run_id, source) USING (run_id, source)
ORDER BY s.run_id, s.source FOR UPDATE OF s
"""
_SAVE = """
UPDATE log_sources s
SET generation = n.generation, next_line = n.next_line, next_offset = n.next_offset, lines = n.lines,
    bytes = n.bytes, bytes_after_end = n.bytes_after_end, file = n.file::json,
    closed_reason = n.closed_reason, updated_at = now(),
    closed_at = CASE WHEN n.closed_reason IS NULL THEN NULL ELSE coalesce(s.closed_at, now()) END
FROM unnest($1::uuid[], $2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::bigint[], $9::text[], $10::text[])
    AS n (run_id, source, generation, next_line, next_offset, lines, bytes, bytes_after_end, file,
          closed_reason)
WHERE s.run_id = n.run_id AND s.source = n.source
"""
_NUMBERS = """
WITH locked AS (
    SELECT r.id, wanted.number FROM runs r JOIN unnest($1::uuid[], $2::bigint[]) AS wanted (id, number)
        USING (id)
    ORDER BY r.id FOR NO KEY UPDATE OF r
)
UPDATE runs r
SET last_line_number = r.last_line_number + l.number, heard_at = greatest(r.heard_at, clock_timestamp())
FROM locked l WHERE r.id = l.id
RETURNING r.id, r.last_line_number - l.number
"""


class SourceKey(NamedTuple):
    """Which source: a log of a run, by its name."""

    run_id: UUID
    source: str


@dataclass(slots=True)
class Source:
    """Where a source stands; `accept` moves it, `save` stores it."""

    key: SourceKey
    project_id: UUID
    generation: int
    next_line: int
    next_offset: int
    lines: int
    bytes: int
    bytes_after_end: int
    file: Any
    closed_reason: str | None
    has_changed: bool = False

    def cursor(self) -> dict[str, Any]:
        """The committed cursor, as senders see it."""
        return {
            "source": self.key.source,
            "generation": self.generation,
            "next_line": self.next_line,
            "next_offset": self.next_offset,
        }


@dataclass(slots=True)
class Batch:
    """Consecutive lines of one generation of a source: a `lines` message, understood.

    `flags` says what is odd about a line, by its place in `texts`: `cut`, `invalid_utf8`, `lost`.
    """

    generation: int
    first_line: int
    first_offset: int
    next_offset: int
    texts: Sequence[str]
    at: datetime
    flags: dict[int, dict[str, Any]] = field(default_factory=dict)
    file: Any = None
    closed_reason: str | None = None
    bytes_after_end: int = 0
    entries: dict[int, dict[str, Any]] = field(default_factory=dict)
    """What is known of a line besides its text (`agent_name`, `payload` …), by its place."""


@dataclass(slots=True)
class Accepted:
    """What a source took of a batch: the lines from `start` on, and whether it closed or reopened."""

    start: int
    has_reopened: bool = False
    has_closed: bool = False


def accept(source: Source, batch: Batch) -> Accepted | None:
    """Moves the source past what is new in the batch; None where nothing is, or not yet."""
    start = _first_new(source, batch)
    if start is None:
        return None
    number = len(batch.texts) - start
    is_new_generation = batch.generation > source.generation
    if source.closed_reason == "sentinel" and not is_new_generation:
        if batch.bytes_after_end > source.bytes_after_end:
            source.bytes_after_end, source.has_changed = batch.bytes_after_end, True
        return None
    if number == 0 and batch.closed_reason == source.closed_reason:
        return None
    has_reopened = source.closed_reason is not None and (number > 0 or is_new_generation)
    before = 0 if is_new_generation else source.next_offset
    source.generation = batch.generation
    source.next_line = batch.first_line + len(batch.texts)
    source.next_offset = batch.next_offset
    source.lines += number
    source.bytes += max(batch.next_offset - before, 0)
    source.bytes_after_end = batch.bytes_after_end
    source.file = batch.file if batch.file is not None else source.file
    was_closed = source.closed_reason is not None and not has_reopened
    source.closed_reason = batch.closed_reason or (source.closed_reason if was_closed else None)
    source.has_changed = True
    return Accepted(start, has_reopened, source.closed_reason is not None and not was_closed)


def _first_new(source: Source, batch: Batch) -> int | None:
    """Which line of the batch is the source's next one (perhaps the one after the last)."""
    if batch.generation < source.generation:
        return None
    if batch.generation > source.generation:
        return 0 if batch.first_line == 1 else None
    start = source.next_line - batch.first_line
    if start < 0 or start > len(batch.texts):
        return None
    if start == 0 and batch.first_offset != source.next_offset:
        return None
    return start


async def lock(
    connection: Connection, wanted: Iterable[tuple[SourceKey, UUID]]
) -> dict[SourceKey, Source]:
    """Locks the sources, each given with its project; those that are new are made."""
    known = dict(wanted)
    keys = sorted(known, key=lambda key: (key.run_id.bytes, key.source))
    runs, names = [key.run_id for key in keys], [key.source for key in keys]
    rows = await connection.fetch(_LOCK, runs, names)
    if len(rows) < len(keys):
        await connection.execute(_MAKE, runs, names, [known[key] for key in keys])
        rows = await connection.fetch(_LOCK, runs, names)
    return {
        (key := SourceKey(row["run_id"], row["source"])): Source(key, *tuple(row)[2:])
        for row in rows
    }


async def save(connection: Connection, sources: Iterable[Source]) -> None:
    """Stores the sources that moved, in one statement."""
    moved = [source for source in sources if source.has_changed]
    if not moved:
        return
    await connection.execute(
        _SAVE,
        [source.key.run_id for source in moved],
        [source.key.source for source in moved],
        [source.generation for source in moved],
        [source.next_line for source in moved],
        [source.next_offset for source in moved],
        [source.lines for source in moved],
        [source.bytes for source in moved],
        [source.bytes_after_end for source in moved],
        [None if source.file is None else orjson.dumps(source.file).decode() for source in moved],
        [source.closed_reason for source in moved],
    )


async def take_line_numbers(connection: Connection, counts: dict[UUID, int]) -> dict[UUID, int]:
    """Takes so many line numbers of each run, notes that it was heard of, and answers the number before
    the first one. A run that is gone is missing from the answer."""
    rows = await connection.fetch(_NUMBERS, list(counts), list(counts.values()))
    return {row[0]: row[1] for row in rows}


def events_of(key: SourceKey, batch: Batch, accepted: Accepted, base: int) -> list[Event]:
    """The log events of the accepted lines, numbered from `base` + 1.

    The hot path of ingest: the texts are encoded in one call and taken apart again, which costs a
    quarter of encoding them one by one, and a line that says nothing about itself costs one format.
    """
    texts = batch.texts[accepted.start :]
    head = b'{"run_id":"%b","line_number":' % str(key.run_id).encode()
    at = (in_milliseconds(batch.at) or "").encode()
    end = b',"source":%b' % orjson.dumps(key.source)
    end += b',"generation":%d' % batch.generation if batch.generation > 1 else b""
    end += b',"source_line":'
    plain = b'","ts":"%b"%b' % (at, end)
    place, run_id = accepted.start, key.run_id
    number, source_line = base, batch.first_line + accepted.start - 1
    special = batch.flags.keys() | batch.entries.keys()
    events: list[Event] = []
    for text, line in zip(texts, _encoded(texts), strict=True):
        number += 1
        source_line += 1
        ts, level = lines.read(text, batch.at) if text[:1] in lines.STARTS else lines.NOTHING
        if ts is None and level is None and place not in special:
            data = b'%b%d,"line":"%b%b%d}' % (head, number, line, plain, source_line)
        else:
            said = {"ts": ts, "level": level} | batch.entries.get(place, {})
            members = _said(said, at) + end + b"%d" % source_line
            data = b'%b%d,"line":"%b"%b%b}' % (
                head, number, line, members, _members(batch.flags.get(place)),
            )  # fmt: skip
        events.append(Event(LOG_TYPE, data, run_id, number))
        place += 1
    return events


def _encoded(texts: Sequence[str]) -> list[bytes]:
    """Each text as JSON without its quotes. Inside a JSON string a quote follows a backslash, so `","`
    can only stand between two of them."""
    encoded = orjson.dumps(texts)
    if b"\\u0000" in encoded:
        encoded = orjson.dumps([text.replace("\0", "\u2400") for text in texts])
    return encoded[2:-2].split(b'","') if texts else []


def _said(said: dict[str, Any], at: bytes) -> bytes:
    """Members for what is known of a line besides its text, the time first."""
    ts = said.pop("ts", None)
    known = {name: value for name, value in said.items() if value is not None}
    time = orjson.dumps(ts) if ts else b'"%b"' % at
    return b',"ts":%b%b' % (time, _members(known))


def _members(given: dict[str, Any] | None) -> bytes:
    return b"," + orjson.dumps(given)[1:-1] if given else b""


def change_events(source: Source, accepted: Accepted) -> tuple[list[Event], list[Event]]:
    """What goes before the lines (`log:reopened`) and after them (`log:closed`)."""
    state = {"source": source.key.source, "lines": source.lines, "bytes": source.bytes}
    run_id = source.key.run_id
    before = (
        [frames.event("log:reopened", state | {"reason": None}, run_id=run_id)]
        if accepted.has_reopened
        else []
    )
    after = (
        [frames.event("log:closed", state | {"reason": source.closed_reason}, run_id=run_id)]
        if accepted.has_closed
        else []
    )
    return before, after
