"""Reading a run's log lines: rows of segments by line number, forwards and backwards, and the lines in them.

A run's rows never overlap in line numbers, merged or not, so a window of lines is a range of rows. A segment
that can't be read shows as one entry that says which lines those were; the rest of the log stays readable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import structlog

from runcast_server.db import Connection
from runcast_server.eventlog import months, segments, stored
from runcast_server.eventlog.months import Months
from runcast_server.eventlog.segments import Damaged
from runcast_server.runs import in_milliseconds

LAST_LINE = 2**63 - 1
DAMAGED = "damaged"
"""The member of an entry that stands for lines that can't be read; it says which."""
PAGE_ROWS = 256
"""Rows of one page at most."""
PAGE_BYTES = 2 * 1024 * 1024
"""A page ends after the row with which its records reach this size."""

_EACH = """
(SELECT * FROM segments
 WHERE run_id = $1 AND {kind} AND last_line > $2 AND first_line < $3 AND last_line < $3 + {most}
   AND ($7::smallint IS NULL OR levels IS NULL OR levels & $7 <> 0)
   AND ($8::text IS NULL OR agents IS NULL OR $8 = ANY (agents)){within}
 ORDER BY last_line {order} LIMIT $4)
"""
_ROWS = """
SELECT {columns} FROM (
    SELECT *, sum(least(last_line, $3 - 1) - greatest(first_line, $2 + 1) + 1) OVER before AS lines_before,
        sum(size) OVER before AS bytes_before
    FROM (SELECT * FROM ({each}) all_kinds ORDER BY last_line {order} LIMIT $4) near
    WINDOW before AS (ORDER BY last_line {order} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
) page
WHERE coalesce(lines_before, 0) < $5 AND coalesce(bytes_before, 0) < $6 ORDER BY last_line {order}
"""
_FIRST = """
(SELECT first_line FROM segments WHERE run_id = $1 AND {kind}{within} ORDER BY last_line LIMIT 1)
"""
_AROUND = """
(SELECT {columns} FROM segments WHERE run_id = $1 AND project_id = $2 AND {kind}
   AND last_seq <= $3{within} ORDER BY last_seq DESC LIMIT 1)
UNION ALL
(SELECT {columns} FROM segments WHERE run_id = $1 AND project_id = $2 AND {kind}
   AND last_seq > $3{within} ORDER BY last_seq LIMIT 1)
"""

Row = Mapping[str, Any]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Window:
    """Lines above `after` and below `before`, from the front or from the end."""

    after: int = 0
    before: int = LAST_LINE
    from_end: bool = False

    def beyond(self, line: int) -> Window | None:
        """What is left of it behind a line; None where nothing is."""
        after, before = (self.after, line) if self.from_end else (line, self.before)
        return Window(after, before, self.from_end) if before - after > 1 else None


@dataclass(frozen=True, slots=True)
class Log:
    """A run's log as one snapshot saw it: its lines up to `last_line`, and the months that it lies in."""

    run_id: UUID
    last_line: int
    months: Months


class Line(NamedTuple):
    """A line: the number of its event, its own, and its record."""

    seq: int
    number: int
    record: bytes


async def find(connection: Connection, run_id: UUID) -> Log | None:
    """The run's log; None where the run isn't there."""
    row = await connection.fetchrow(
        "SELECT last_line_number, first_month, last_month FROM runs WHERE id = $1", run_id
    )
    return None if row is None else Log(run_id, row[0], Months(row[1], row[2]))


async def rows(
    connection: Connection,
    log: Log,
    window: Window,
    *,
    lines: int,
    size: int = PAGE_BYTES,
    level: int | None = None,
    agent: str | None = None,
) -> tuple[Sequence[Row], Window | None]:
    """The window's first rows (its last ones, from the end) in its order: as many as hold `lines` lines of
    it, or `size` bytes; and what is left of the window behind them, or None. Rows without a line of this
    level (a bit) or agent are left out."""
    before = min(window.before, log.last_line + 1)
    if before - window.after <= 1:
        return [], None
    arguments = (log.run_id, window.after, before, min(PAGE_ROWS, lines), lines, size, level, agent)
    found = await _first_rows(connection, log, window.from_end, arguments)
    if not found:
        return [], None
    row = found[-1]
    end = row["first_line"] if window.from_end else row["first_line"] + row["count"] - 1
    return found, Window(window.after, before, window.from_end).beyond(end)


async def _first_rows(
    connection: Connection, log: Log, from_end: bool, arguments: tuple[Any, ...]
) -> Sequence[Row]:
    """The rows in the first months, in the window's order, that have some."""
    spans = log.months.spans()
    _, after, before, *_ = arguments
    start = len(spans) - 1
    if not from_end or before <= log.last_line:
        start = await _place(connection, log, spans, before - 2 if from_end else after)
    for within in reversed(spans[: start + 1]) if from_end else spans[start:]:
        order = "DESC" if from_end else "ASC"
        each = _of_each_kind(_EACH, most=segments.MAX_RECORDS, within=within, order=order)
        statement = _ROWS.format(columns=stored.COLUMNS, each=each, order=order)
        if found := await months.fetch(connection, len(spans) > 1, statement, *arguments):
            return found
    return []


def _of_each_kind(statement: str, **given: object) -> str:
    """A statement for single segments and for merged ones, each by its own index."""
    kinds = stored.SINGLE, stored.MERGED
    return " UNION ALL ".join(statement.format(kind=kind, **given) for kind in kinds)


async def _place(connection: Connection, log: Log, spans: Sequence[str], after: int) -> int:
    """In which months, of those of a long log, the line behind `after` lies, or the next one before it."""
    found = low = 0
    high = len(spans) - 1 if after > 0 else 0
    while low < high:
        middle = place = (low + high + 1) // 2
        first = None
        while first is None and place > low:
            statement = _of_each_kind(_FIRST, within=spans[place])
            rows = await months.fetch(connection, True, statement, log.run_id)
            first = min((row[0] for row in rows), default=None)
            place -= first is None
        if first is None:
            low = middle
        elif first <= after + 1:
            found, low = place, middle
        else:
            high = place - 1
    return found


def lines_of(row: Row, window: Window) -> list[Line]:
    """The lines of a row that lie in the window, in its order."""
    first = row["first_line"]
    start = max(0, window.after + 1 - first)
    end = min(row["count"], window.before - first)
    try:
        seqs = stored.numbers_of_lines(row)
        records = segments.split(stored.of_row(row))
        numbers = range(first + start, first + end)
        found = list(map(Line, seqs[start:end], numbers, records[start:end]))
    except Damaged as error:
        log.error("segment.damaged", error=str(error))
        found = [_damaged(row, first + start, first + end - 1, window.from_end, error)]
    if window.from_end:
        found.reverse()
    return found


def _damaged(row: Row, first: int, last: int, from_end: bool, error: Damaged) -> Line:
    """One entry instead of lines that can't be read. It stands where a reader goes on behind all of them."""
    members = {
        "line": f"… [lines {first} to {last} can't be read: {error}]",
        "ts": in_milliseconds(row["at"]),
        "level": "error",
        "source": "runcast",
        DAMAGED: {"from_line": first, "to_line": last},
    }
    place = first if from_end else last
    seq = row["first_seq"] + place - row["first_line"]
    return Line(seq, place, orjson.dumps(members)[1:])


async def last_upto(connection: Connection, project_id: UUID, log: Log, seq: int) -> int:
    """The number of a run's last line among the events up to number `seq`; 0 where it has none."""
    upto = seq
    while True:
        span = await months.backward(connection, project_id, 0, upto, log.months)
        statement = _of_each_kind(_AROUND, columns=stored.COLUMNS, within=span.within)
        around = await connection.fetch(statement, log.run_id, project_id, seq)
        last = max((_last_upto(row, seq) for row in around), default=0)
        if last or not span.is_part:
            return last
        upto = span.after


def _last_upto(row: Row, seq: int) -> int:
    if row["last_seq"] <= seq:
        return int(row["first_line"] + row["count"] - 1)
    if row["first_seq"] > seq:
        return 0
    try:
        below = sum(1 for number in stored.numbers_of_lines(row) if number <= seq)
    except Damaged as error:
        # Its lines come, as damaged, behind this number.
        log.error("segment.damaged", error=str(error))
        below = 0
    return int(row["first_line"] + below - 1)
