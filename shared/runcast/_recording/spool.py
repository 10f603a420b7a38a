"""Reads `spool.jsonl` as what it is sent as: portions of whole lines, each with its place."""

from dataclasses import dataclass
from pathlib import Path

PORTION_LINES = 500
PORTION_BYTES = 64 * 1024
"""What goes in one request: about a thousand events, which the server commits under one lock."""


@dataclass(frozen=True, slots=True)
class Portion:
    """Consecutive lines without their ends; `first_line` counts from 1, offsets are bytes."""

    lines: list[bytes]
    first_line: int
    first_offset: int
    next_offset: int

    @property
    def next_line(self) -> int:
        return self.first_line + len(self.lines)

    def before(self, number: int) -> "Portion":
        """Its first `number` lines."""
        lines = self.lines[:number]
        size = sum(map(len, lines)) + number
        return Portion(lines, self.first_line, self.first_offset, self.first_offset + size)


class SpoolReader:
    """Reads on from a place, which `seek` changes and `read` doesn't: one reads on when what was
    read has arrived."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._line = 1
        self._offset = 0

    def seek(self, line: int, offset: int) -> None:
        """Goes to the line of that number, which starts at that byte."""
        self._line, self._offset = line, offset

    def read(self) -> Portion:
        """The next lines; none at the end. A line without its end is still being written."""
        text = self._whole_lines()
        lines = text.split(b"\n", PORTION_LINES)[:-1]
        size = sum(map(len, lines)) + len(lines)
        return Portion(lines, self._line, self._offset, self._offset + size)

    def _whole_lines(self) -> bytes:
        size = PORTION_BYTES
        while True:
            self._file.seek(self._offset)
            text = self._file.read(size)
            end = text.rfind(b"\n") + 1
            if end or len(text) < size:
                return text[:end]
            size *= 4

    def close(self) -> None:
        self._file.close()
