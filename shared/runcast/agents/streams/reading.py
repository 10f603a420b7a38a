"""From the bytes that a command writes to what its records say; what is no record stays a line.

The first line that isn't empty decides whether the output is an agent's; until it is whole nothing else is
known, so an output that begins with anything but `{` is lines at once. Records are read whole, up to 64 MiB.
A dialect whose records are all unknown for a while was taken wrongly: then they are lines after all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from runcast._support.terminal import LineSplitter
from runcast.agents import records
from runcast.agents.streams import dialects, programs
from runcast.agents.streams.said import Dialect, Entry, Said, Unknown

Json = dict[str, Any]

RECORD_BYTES = 64 * 1024 * 1024
FIRST_BYTES = 1024 * 1024
UNKNOWN_IN_A_ROW = 20
UNKNOWN_BYTES = 1024 * 1024

Heard = list[str] | Said
"""Lines as they are, or what a record says."""


@dataclass(eq=False)
class Reading:
    """One stream. `choice` is one of `programs.CHOICES`; with `auto` the first line decides."""

    command: Sequence[str]
    choice: str = programs.AUTO
    dialect: Dialect | None = None
    unknown: int = 0
    """Records that the dialect didn't know."""
    _is_decided: bool = False
    _lines: LineSplitter = field(default_factory=LineSplitter)
    _partial: bytearray = field(default_factory=bytearray)
    _too_long: int = 0
    _doubtful: list[str] = field(default_factory=list)
    _doubtful_bytes: int = 0
    _is_sure: bool = False
    _current: bytes = b""
    """The record that is being read, until all that it says is taken."""
    _former: Dialect | None = None
    """What was read until it was given up."""

    def __post_init__(self) -> None:
        if self.choice == programs.NONE:
            self._is_decided = True
        elif self.choice != programs.AUTO:
            self.dialect = dialects.named(self.choice, self.command)
            self._is_decided = True
            self._is_sure = True

    @property
    def reads_lines(self) -> bool:
        """Whether the rest is lines as they are, whatever they hold."""
        return self._is_decided and self.dialect is None

    def give_up(self, *, is_over: bool = False) -> list[str]:
        """Reads no record any more, because taking what one says has failed: from here on there are lines.
        Answers those that were held back, and that record last; with `is_over` also one without an end."""
        self._former = self._former or self.dialect
        self._is_decided, self.dialect = True, None
        lines, self._doubtful = self._doubtful, []
        lines += self._lines.feed(self._current + (b"\n" if self._current and not is_over else b""))
        lines += self._lines.feed(bytes(self._partial))
        self._current = b""
        self._partial.clear()
        return lines + (self._lines.finish() if is_over else [])

    def feed(self, data: bytes) -> Iterator[Heard]:
        """What the bytes say."""
        if self.reads_lines:
            if lines := self._lines.feed(data):
                yield lines
            return
        while data:
            head, end, data = data.partition(b"\n")
            self._keep(head)
            if end:
                yield from self._line()
            if self.reads_lines:
                yield from self._plain(data)
                return
        if not self._is_decided and self._is_plain():
            self._is_decided = True
            yield from self._plain(b"")

    def finish(self) -> Iterator[Heard]:
        """What is left when the command has ended."""
        if self._partial or self._too_long:
            yield from self._line(is_whole=False)
        if (dialect := self.dialect or self._former) is not None:
            yield from dialect.finish()
        if lines := self._lines.finish():
            yield lines

    def _keep(self, data: bytes) -> None:
        if self._too_long or len(self._partial) + len(data) > RECORD_BYTES:
            self._too_long += len(self._partial) + len(data)
            self._partial.clear()
        else:
            self._partial += data

    def _is_plain(self) -> bool:
        begins = self._partial.lstrip()[:1]
        return bool(begins and begins != b"{") or len(self._partial) > FIRST_BYTES

    def _plain(self, data: bytes) -> Iterator[Heard]:
        """What was held back, and what follows, as lines."""
        held = bytes(self._partial)
        self._partial.clear()
        if lines := self._lines.feed(held + data):
            yield lines

    def _line(self, *, is_whole: bool = True) -> Iterator[Heard]:
        line = bytes(self._partial)
        self._partial.clear()
        if self._too_long:
            size, self._too_long = self._too_long, 0
            said = f"A record of {size:,} bytes is left out"
            yield Entry("notice", said, "warning")
            return
        record = _record(line)
        if not self._is_decided and line.strip():
            self._is_decided = True
            self.dialect = None if record is None else dialects.detected(record, self.command)
        if self.dialect is None or record is None:
            if lines := self._lines.feed(line + (b"\n" if is_whole else b"")):
                yield lines
            return
        self._current = line
        yield from self._read(self.dialect, record, line)
        self._current = b""

    def _read(self, dialect: Dialect, record: Json, line: bytes) -> Iterator[Heard]:
        """What a record says, as far as it is understood. A kind that isn't known says nothing."""
        known = []
        try:
            for each in dialect.read(record):
                known.append(each)
        except (Unknown, KeyError, TypeError, ValueError, AttributeError, RecursionError):
            self.unknown += 1
            yield from known
            yield from self._doubt(line)
            return
        self._doubtful, self._doubtful_bytes = [], 0
        yield from known

    def _doubt(self, line: bytes) -> Iterator[Heard]:
        if self._is_sure:
            return
        self._doubtful.append(line.decode("utf-8", "replace").removesuffix("\r"))
        self._doubtful_bytes += len(line)
        self._current = b""
        if self._doubtful_bytes > UNKNOWN_BYTES or len(self._doubtful) >= UNKNOWN_IN_A_ROW:
            self.dialect = None
            yield self._doubtful
            self._doubtful = []


def _record(line: bytes) -> Json | None:
    """The object of a line of JSON; None for anything else."""
    text = line.strip()
    if not text.startswith(b"{"):
        return None
    try:
        found = records.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
