"""What Postgres holds of a project at the end: the measure of every history."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID
from zlib import crc32

import asyncpg

from tests import stored_events
from tests.torture.history import Wanted


class Row(NamedTuple):
    """One stored event."""

    seq: int
    type: str
    run: str | None
    line_number: int | None
    data: bytes


@dataclass(frozen=True)
class Expected:
    """The numbers that a filter wants, with the checksums of their frames."""

    ids: array[int]
    sums: array[int]

    def index_after(self, number: int) -> int:
        """Where the first of them above `number` stands."""
        return bisect_right(self.ids, number)


@dataclass
class Lines:
    """A run's lines 1, 2, 3 …: checksums of their data, and the numbers of their events."""

    sums: list[int] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)

    def upto(self, number: int) -> int:
        """The last line among the events up to `number`."""
        return bisect_right(self.seqs, number)


class Truth:
    """Events 1…`last` of one project. Those up to `floor` may have been dropped by retention.

    Raises `ValueError` for rows that have a hole or a run whose lines have one: then the log itself is
    broken, and no history can be judged by it.
    """

    def __init__(self, rows: Iterable[Row], *, floor: int = 0) -> None:
        self.floor = floor
        self.sums = array("I", bytes(array("I").itemsize * floor))
        self._runs: list[str | None] = [None] * floor
        self._is_log = bytearray(floor)
        self._lines: dict[str, Lines] = {}
        self._expected: dict[Wanted, Expected] = {}
        for row in rows:
            self._add(row)

    def _add(self, row: Row) -> None:
        if row.seq != len(self.sums) + 1:
            raise ValueError(f"event {row.seq} is stored after {len(self.sums)}")
        self.sums.append(
            crc32(b"id: %d\nevent: %b\ndata: %b" % (row.seq, row.type.encode(), row.data))
        )
        self._runs.append(row.run)
        self._is_log.append(row.line_number is not None)
        if row.line_number is None or row.run is None:
            return
        lines = self._lines.setdefault(row.run, Lines())
        if self.floor == 0 and row.line_number != len(lines.sums) + 1:
            raise ValueError(f"line {row.line_number} of {row.run} after {len(lines.sums)}")
        lines.sums.append(crc32(row.data))
        lines.seqs.append(row.seq)

    @property
    def last(self) -> int:
        return len(self.sums)

    def route(self, number: int) -> tuple[str | None, bool]:
        """The run of an event, and whether it is a log line."""
        return self._runs[number - 1], bool(self._is_log[number - 1])

    def of(self, wanted: Wanted) -> Expected:
        """What a filter wants of all events above the floor."""
        expected = self._expected.get(wanted)
        if expected is None:
            ids = array(
                "q",
                [
                    number
                    for number in range(self.floor + 1, self.last + 1)
                    if wanted.takes(*self.route(number))
                ],
            )
            sums = array("I", [self.sums[number - 1] for number in ids])
            expected = self._expected[wanted] = Expected(ids, sums)
        return expected

    def lines(self, run: str) -> Lines:
        """A run's log lines."""
        return self._lines.get(run, Lines())


async def load(connection: asyncpg.Connection, project: str) -> list[Row]:
    """Every event that Postgres holds of a project, in order."""
    return [
        Row(
            event.seq,
            event.type,
            None if event.run_id is None else str(event.run_id),
            event.line_number,
            event.data.encode(),
        )
        for event in await stored_events.of_project(connection, UUID(project))
    ]


def serials(rows: Iterable[Row], mark: re.Pattern[bytes]) -> dict[str, list[int]]:
    """What each writer wrote, by the marks in the log lines, in the order of the numbers."""
    found: dict[str, list[int]] = {}
    for row in rows:
        if row.line_number is not None and (match := mark.search(row.data)):
            found.setdefault(match[1].decode(), []).append(int(match[2]))
    return found
