"""Reading a run's log: a window of it, or what a filter finds in it (all of it: `export`).

Lines are read by segments. A filter leaves out whole segments by the levels and agents that stand beside
them; a text is looked for in a segment's records before any of them is parsed, in what people see: in any
case, and without the escape sequences that colour it. That is done in a thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import anyio.to_thread
import orjson
import structlog

from runcast._support import escapes
from runcast._support.line_parser import level_of
from runcast_api.logs import entries, expressions
from runcast_api.logs.expressions import NUL_SHOWN
from runcast_server.db import Connection
from runcast_server.errors import NotFound
from runcast_server.eventlog import lines, segments, stored
from runcast_server.eventlog.lines import LAST_LINE, Line, Log, Row, Window
from runcast_server.eventlog.segments import Damaged

__all__ = ["LAST_LINE", "Log", "Window"]

SCAN_SECONDS = 2.0
"""How long one request looks for matches; then it answers what it has, with a cursor to go on."""
ANY_NUMBER = 10**9

Turn = Callable[[], AbstractAsyncContextManager[None]]
"""Waits for a turn at looking through lines, and holds it for the block."""

log = structlog.get_logger()


class Entry(NamedTuple):
    """A line as it is shown: the number of its event, and its data."""

    seq: int
    members: dict[str, Any]

    @property
    def number(self) -> int:
        number: int = self.members["line_number"]
        return number


@dataclass(frozen=True, slots=True)
class Filter:
    """Which lines are wanted: with this text (any case) or matching this expression, of a level, an agent."""

    q: str | None = None
    level: str | None = None
    agent_name: str | None = None
    is_regex: bool = False
    """Whether `q` is a regular expression (RE2's syntax)."""

    @property
    def is_empty(self) -> bool:
        return not (self.q or self.level or self.agent_name)

    @property
    def level_bit(self) -> int | None:
        """The bit that a segment with a wanted line has."""
        return segments.level_bit(level_of(self.level)) if self.level else None

    def needles(self) -> list[str]:
        """What a wanted line's record holds at least, once `escapes.folded`."""
        text = None if self.is_regex else self.q
        # The symbol of NUL stands for NUL as well, which a record holds in another form.
        if text and NUL_SHOWN in _shown(text):
            text = None
        wanted = [
            self.level and f'"level":{_json(level_of(self.level))}',
            self.agent_name and f'"agent_name":{_json(self.agent_name)}',
            text and _json(text)[1:-1],
        ]
        return [escapes.folded(needle) for needle in wanted if needle]

    def check(self) -> None:
        """Raises `Invalid` for an expression that is none."""
        self.text_matcher()

    def text_matcher(self) -> Callable[[str], bool]:
        """What decides by a line's text, as people see it. Raises `Invalid`."""
        if not self.q:
            return lambda _: True
        if self.is_regex:
            return expressions.compiled(self.q)
        text = _shown(self.q).casefold()
        return lambda line: text in _shown(line).casefold()

    def wants(self, members: dict[str, Any]) -> bool:
        """Whether the line with this data has the level and the agent that are wanted."""
        return (not self.level or members.get("level") == level_of(self.level)) and (
            not self.agent_name or members.get("agent_name") == self.agent_name
        )


def _shown(text: str) -> str:
    """As it stands in the log's plain text."""
    return text.replace("\x00", NUL_SHOWN)


def _json(text: Any) -> str:
    return orjson.dumps(text).decode()


@dataclass(frozen=True, slots=True)
class Found:
    """Lines, oldest first, and where to go on if there may be more."""

    lines: Sequence[Entry]
    next: Window | None


async def find(connection: Connection, run_id: UUID) -> Log:
    """The run's log. Raises `NotFound`."""
    found = await lines.find(connection, run_id)
    if found is None:
        raise NotFound(f"no run '{run_id}'")
    return found


async def floor(connection: Connection, project_id: UUID) -> int:
    """The highest event number of the project that retention has dropped."""
    return (
        await connection.fetchval(
            "SELECT floor_seq FROM project_counters WHERE project_id = $1", project_id
        )
        or 0
    )


async def id_of(connection: Connection, run_id: UUID, line_number: int) -> int:
    """The event number of a line. Raises `NotFound`."""
    return (await line(connection, run_id, line_number)).seq


async def line(connection: Connection, run_id: UUID, line_number: int) -> Entry:
    """One line. Raises `NotFound` for one that isn't there."""
    found = await find(connection, run_id)
    place = Window(line_number - 1, line_number + 1)
    page = await read(connection, found, place, Filter(), 1, nullcontext)
    if not page.lines:
        raise NotFound(f"no line {line_number}")
    return page.lines[0]


async def read(
    connection: Connection, log: Log, window: Window, wanted: Filter, limit: int, turn: Turn
) -> Found:
    """At most `limit` lines of a window that the filter wants."""
    found: list[Entry] = []
    end = time.monotonic() + SCAN_SECONDS
    place: Window | None = window
    while place is not None and len(found) < limit:
        missing = limit - len(found) if wanted.is_empty else ANY_NUMBER
        rows, rest = await page(connection, log, place, wanted, missing)
        found += await matching(log.run_id, rows, place, wanted, turn)
        place = rest
        if time.monotonic() > end:
            break
    if len(found) >= limit:
        has_more = len(found) > limit
        found = found[:limit]
        beyond = window.beyond(found[-1].number)
        if beyond is None or not (has_more or await _has_more(connection, log, beyond, wanted)):
            beyond = None
        place = beyond
    if window.from_end:
        found.reverse()
    return Found(found, place)


async def _has_more(connection: Connection, log: Log, place: Window, wanted: Filter) -> bool:
    rows, _ = await page(connection, log, place, wanted, 1)
    return bool(rows)


async def page(
    connection: Connection, log: Log, window: Window, wanted: Filter, number: int
) -> tuple[Sequence[Row], Window | None]:
    """The window's next rows that may hold wanted lines, about `number` lines, and what is left of it."""
    return await lines.rows(
        connection,
        log,
        window,
        lines=number,
        level=wanted.level_bit,
        agent=wanted.agent_name or None,
    )


async def matching(
    run_id: UUID,
    rows: Sequence[Row],
    window: Window,
    wanted: Filter,
    turn: Turn,
) -> list[Entry]:
    """The lines of rows that lie in a window and are wanted, in its order. Where there is a filter, a thread
    looks through them, in its `turn`."""
    if wanted.is_empty:
        return parsed(run_id, [line for row in rows for line in lines.lines_of(row, window)])
    async with turn():
        return await anyio.to_thread.run_sync(_matching, run_id, rows, window, wanted)


def _matching(
    run_id: UUID,
    rows: Sequence[Row],
    window: Window,
    wanted: Filter,
) -> list[Entry]:
    needles = wanted.needles()
    matches = wanted.text_matcher()

    def is_found(members: dict[str, Any]) -> bool:
        # What can't be read may hold what is looked for: anyone who searches is told so.
        return lines.DAMAGED in members or (
            wanted.wants(members) and matches(escapes.stripped(members["line"]))
        )

    return [
        entry
        for row in rows
        for entry in parsed(run_id, _candidates(row, window, needles))
        if is_found(entry.members)
    ]


def _candidates(row: Row, window: Window, needles: Sequence[str]) -> Iterable[Line]:
    """The lines of a row that hold all needles, and perhaps a few that don't; of one that can't be read, the
    entry that says so."""
    if not needles:
        return lines.lines_of(row, window)
    try:
        text = segments.unpack(stored.of_row(row)).decode(errors="replace")
    except Damaged:
        return lines.lines_of(row, window)
    folded = escapes.folded(text)
    is_obscure = escapes.is_obscure(text)
    if not is_obscure and not all(needle in folded for needle in needles):
        return []
    may_hold = [all(needle in each for needle in needles) for each in folded.split("\n")]
    if is_obscure:
        each_line = zip(may_hold, text.split("\n"), strict=True)
        may_hold = [may or escapes.is_obscure(each) for may, each in each_line]
    first = row["first_line"]
    return [line for line in lines.lines_of(row, window) if may_hold[line.number - first]]


def parsed(run_id: UUID, found: Iterable[Line]) -> list[Entry]:
    """Lines with their data. A record that isn't as we write them, which an earlier version or a damage may
    have left, costs its own entry alone."""
    known = list(found)
    run = str(run_id)
    together = b"[%b]" % b",".join([b"{" + line.record for line in known])
    try:
        members = orjson.loads(together)
        is_ours = b'"run_id":' not in together and all(
            type(each.get("line")) is str for each in members
        )
    except orjson.JSONDecodeError:
        is_ours = False
    if not is_ours:
        members = [_sound(line) for line in known]
    return [
        Entry(line.seq, {"run_id": run, "line_number": line.number} | each)
        for line, each in zip(known, members, strict=True)
    ]


def _sound(line: Line) -> dict[str, Any]:
    """A record's members as readers rely on them."""
    try:
        members: dict[str, Any] = orjson.loads(b"{" + line.record)
    except orjson.JSONDecodeError:
        log.error("line.damaged", number=line.seq, line=line.number)
        told = {"from_line": line.number, "to_line": line.number}
        members = {
            "line": f"… [line {line.number} can't be read]",
            "level": "error",
            lines.DAMAGED: told,
        }
    for name in ("run_id", "line_number"):
        members.pop(name, None)
    text = members.get("line")
    members["line"] = text if isinstance(text, str) else _json(text)
    members.setdefault("ts", None)
    members.setdefault("source", "runcast")
    return members


def as_text(found: Iterable[Entry]) -> Iterator[bytes]:
    """The lines as they were written; a cut one says how much is missing."""
    for entry in found:
        text: str = entry.members["line"]
        encoded = text.replace("\x00", NUL_SHOWN).encode()
        cut = entry.members.get("cut")
        if isinstance(cut, dict) and isinstance(length := cut.get("length"), int):
            encoded += " … [+%d bytes]".encode() % (length - len(text.encode()))
        yield encoded + b"\n"


def as_ndjson(found: Iterable[Entry]) -> Iterator[bytes]:
    """The entries, each as one line of JSON."""
    for entry in found:
        yield orjson.dumps(entries.shown(*entry), option=orjson.OPT_APPEND_NEWLINE)
