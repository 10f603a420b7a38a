"""The committed cursor of every source of lines: compared, and moved with the lines.

A line's identity is (run, source, generation, line, byte offset), over Redis and over HTTP alike. What a
source has, it drops; a batch that begins too far on is discarded, not rejected: the sender sees that the
cursor doesn't advance and goes back to it (go-back-N). So the same bytes may be sent any number of times, by
several senders, and are stored once.

Locks: all sources of a transaction first, in order of (run, source), then the runs, then the counters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from runcast._support import line_parser, traces
from runcast._support.said import CRASHED, NOTHING, Said
from runcast_server.db import Connection
from runcast_server.eventlog import frames, segments
from runcast_server.eventlog.segments import Event, Lines
from runcast_server.runs import in_milliseconds

MOST_BYTES = 2**63 - 1
"""What Postgres can hold. Generation after generation may say that it is as long as any can be."""

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
SAVE = """
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
    closed_size: tuple[int, int] | None = None
    """Lines and bytes that the log held, as its writer counted them."""
    above: Sequence[str] = ()
    """Lines before the first one, as far as its level and time depend on them (see `traces`)."""


@dataclass(slots=True)
class Accepted:
    """What a source took of a batch: the lines from `start` on, and whether it closed or reopened."""

    start: int
    has_reopened: bool = False
    has_closed: bool = False
    missing_size: tuple[int, int] | None = None
    """At its closing: what its writer counted, where that is not what is stored."""


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
    source.bytes = min(source.bytes + max(batch.next_offset - before, 0), MOST_BYTES)
    source.bytes_after_end = batch.bytes_after_end
    source.file = batch.file if batch.file is not None else source.file
    was_closed = source.closed_reason is not None and not has_reopened
    source.closed_reason = batch.closed_reason or (source.closed_reason if was_closed else None)
    source.has_changed = True
    has_closed = source.closed_reason is not None and not was_closed
    is_whole = batch.closed_size in (None, (source.lines, source.bytes))
    missing_size = None if is_whole or source.generation > 1 else batch.closed_size
    return Accepted(start, has_reopened, has_closed, missing_size)


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
    if moved:
        await connection.execute(SAVE, *columns(moved))


def columns(sources: Sequence[Source]) -> tuple[list[Any], ...]:
    """The sources as the parameters of `SAVE`."""
    return (
        [source.key.run_id for source in sources],
        [source.key.source for source in sources],
        [source.generation for source in sources],
        [source.next_line for source in sources],
        [source.next_offset for source in sources],
        [source.lines for source in sources],
        [source.bytes for source in sources],
        [source.bytes_after_end for source in sources],
        [None if source.file is None else orjson.dumps(source.file).decode() for source in sources],
        [source.closed_reason for source in sources],
    )


async def take_line_numbers(connection: Connection, counts: dict[UUID, int]) -> dict[UUID, int]:
    """Takes this many line numbers of each run, notes that it was heard of, and answers the number before
    the first one. A run that is gone is missing from the answer."""
    rows = await connection.fetch(_NUMBERS, list(counts), list(counts.values()))
    return {row[0]: row[1] for row in rows}


def lines_of(key: SourceKey, batch: Batch, start: int = 0, first_line: int | None = None) -> Lines:
    """The lines of a batch from place `start` on, of which there is at least one, as records.

    The hot path of ingest. What can be done for all lines at once is: their texts are encoded in one call,
    and one search finds whether any of them says something about itself. If none does, what's left is one
    format of each.
    """
    texts = batch.texts[start:]
    strings, may_say = _encoded(texts)
    at = in_milliseconds(batch.at) or ""
    end = f',"source":{orjson.dumps(key.source).decode()}'
    end += f',"generation":{batch.generation}' if batch.generation > 1 else ""
    end += ',"source_line":'
    plain = f'","ts":"{at}"{end}'
    source_lines = range(batch.first_line + start, batch.first_line + len(batch.texts))
    if not (may_say or batch.flags or batch.entries or batch.above or start):
        records = [
            f'"line":"{line}{plain}{source_line}}}'
            for line, source_line in zip(strings, source_lines, strict=True)
        ]
        return _joined(key, records, {None}, set(), first_line)
    saids = _said(batch, texts, start)
    records = []
    levels: set[str | None] = set()
    agents: set[str] = set()
    special = batch.flags.keys() | batch.entries.keys()
    for line, source_line, said in zip(strings, source_lines, saids, strict=True):
        place = source_line - batch.first_line
        if special and place in special:
            members = _beside(said, batch.entries.get(place), at)
            levels.add(members.get("level"))
            if agent := members.get("agent_name"):
                agents.add(agent)
            more = _members(batch.flags.get(place))
            beside = orjson.dumps(members)[1:-1].decode() + end
            records.append(f'"line":"{line}",{beside}{source_line}{more}}}')
            continue
        levels.add(said.level)
        if said is NOTHING:
            records.append(f'"line":"{line}{plain}{source_line}}}')
        else:
            level = f',"level":"{said.level}"' if said.level else ""
            records.append(f'"line":"{line}","ts":"{said.ts or at}"{level}{end}{source_line}}}')
    return _joined(key, records, levels, agents, first_line)


def _said(batch: Batch, texts: Sequence[str], start: int) -> Sequence[Said]:
    """What each line from place `start` on says, or the entry that it belongs to."""
    saids = [line_parser.read(text, batch.at) for text in texts]
    above = [*batch.above, *batch.texts[:start]]
    may_belong = NOTHING in saids or CRASHED in saids
    if not may_belong or not (above or any(said.level for said in saids)):
        return saids
    entries = traces.Entries()
    for text in above:
        entries.place(text, line_parser.read(text, batch.at))
    return [entries.place(text, said) for text, said in zip(texts, saids, strict=True)]


def _joined(
    key: SourceKey,
    records: Sequence[str],
    levels: Iterable[str | None],
    agents: Iterable[str],
    first_line: int | None,
) -> Lines:
    bits = 0
    for level in levels:
        bits |= segments.level_bit(level)
    joined = "\n".join(records).encode()
    return Lines(key.run_id, joined, len(records), bits, frozenset(agents), first_line)


_BETWEEN = "\x7f"
"""Stands between texts that are encoded in one call: ASCII, not escaped in JSON, and next to never printed.
(A quote, a comma and a quote would not do: the first may be an escaped one that ends a line.)"""
_SAYS = re.compile(
    r"\x7f\s*(?:[\[{<]|\\[tnrfu]|[0-9]{4}[-/]|[0-9]{1,3}\.|[JFMASOND][a-z]{2} [ 0-9]"
    r"|[IWEF][0-9]{4} |(?:time|ts|level|lvl)="
    r"|(?:TRACE|DEBUG|INFO|NOTICE|WARN|ERROR|CRITICAL|FATAL)"
    r"|Traceback |panic: |fatal error: |thread '|Exception in |Unhandled e|Uncaught )"
)
"""Finds among encoded texts one that may say something about itself (see `line_parser`). The pattern begins
with a character of its own, which is sought at the speed of memory."""


def _encoded(texts: Sequence[str]) -> tuple[list[str], bool]:
    """Each text as JSON without its quotes, and whether any may say something about itself."""
    together = _BETWEEN.join(texts).replace("\0", "\u2400")
    together = orjson.dumps(together)[1:-1].decode()
    strings = together.split(_BETWEEN)
    if len(strings) == len(texts):
        return strings, _SAYS.search(_BETWEEN + together) is not None
    safe = [text.replace("\0", "\u2400") for text in texts]
    return [orjson.dumps(text)[1:-1].decode() for text in safe], True


def _beside(said: Said, entry: dict[str, Any] | None, at: str) -> dict[str, Any]:
    """What is known of a line besides its text, by itself or by its writer."""
    known = {"ts": said.ts or at, "level": said.level} | (entry or {})
    return {name: value for name, value in known.items() if value is not None}


def _members(given: dict[str, Any] | None) -> str:
    return "," + orjson.dumps(given)[1:-1].decode() if given else ""


def change_events(source: Source, accepted: Accepted) -> tuple[list[Event], list[Event]]:
    """What goes before the lines (`log:reopened`) and after them (`log:closed`)."""
    state = {"source": source.key.source, "lines": source.lines, "bytes": source.bytes}
    run_id = source.key.run_id
    before = (
        [frames.event("log:reopened", state | {"reason": None}, run_id=run_id)]
        if accepted.has_reopened
        else []
    )
    counted = accepted.missing_size
    expected = {"expected": dict(zip(("lines", "bytes"), counted, strict=True))} if counted else {}
    closing = state | {"reason": source.closed_reason} | expected
    after = [frames.event("log:closed", closing, run_id=run_id)] if accepted.has_closed else []
    return before, after
