"""`spool.jsonl`: its writer, which outlasts a disk that takes nothing, and its reader.

A line's number and byte are its identity at the server, so the file only ever grows. What the disk does not
take stays in memory as the file's continuation: it is sent from there, and written as soon as there is
room, before anything else. So a line that was begun on a full disk is completed, not lost.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from runcast._recording.files import LineFile

PORTION_LINES = 500
PORTION_BYTES = 64 * 1024
"""What goes in one request: about a thousand events, which the server commits under one lock."""
REST_BYTES = 1024 * 1024
KEPT_BYTES = 4 * 1024 * 1024
"""What one run keeps in memory of what its disk doesn't take. State changes are kept beyond that."""


@dataclass(frozen=True, slots=True)
class Overflow:
    """Lines, each with its end, that belong behind byte `offset` of the file and aren't there yet.

    `unplaced`: the bytes of lines that were kept without the file's lock. Another process may write before
    them, so no one knows their place, and they aren't sent before they are written.
    """

    offset: int = 0
    lines: tuple[bytes, ...] = ()
    unplaced: int = 0

    def size(self) -> int:
        return sum(map(len, self.lines))


class Spool:
    """The spool as its writers see it; they hold a lock meanwhile, which is taken on `fileno`.

    `overflow` may be read by another thread at any time.
    """

    def __init__(self, path: Path) -> None:
        self.overflow = Overflow()
        self.dropped = 0
        self.path = path
        self._file = LineFile(path)
        self._adopted = 0
        self._kept: list[bytes] = []
        self._begun = 0
        self._torn_at = 0

    @property
    def is_empty(self) -> bool:
        return self._file.size == 0 and not self._kept

    def fileno(self) -> int:
        return self._file.fileno()

    def forget(self) -> None:
        """The file is read from its beginning again: a write was interrupted, no one knows where."""
        self._file.forget()
        self._adopted = 0
        self._begun = 0

    def abandon(self) -> None:
        """Forgets what is kept in memory: it is another process's to write."""
        self._kept, self._begun = [], 0
        self.overflow = Overflow()

    def close(self) -> None:
        self._file.close()

    def catch_up(self) -> list[bytes]:
        """The whole lines that others have appended, without their ends."""
        self._file.catch_up()
        if self._adopted == self._file.whole:
            return []
        start, self._adopted = min(self._adopted, self._file.whole), self._file.whole
        return list(self._file.read_lines(start, self._file.whole))

    @property
    def size(self) -> int:
        """The file's bytes, as far as they are known."""
        return self._file.size

    def ends_behind(self, size: int) -> bool:
        """Whether the file itself is longer than this many bytes, which were all of it when a write began:
        one that a signal handler interrupted was done."""
        return os.lseek(self.fileno(), 0, os.SEEK_END) > size

    def opened_size(self) -> int | None:
        """As `LineFile.opened_size`."""
        return self._file.opened_size()

    def let_go(self) -> None:
        """As `LineFile.let_go`."""
        self._file.let_go()

    def is_ours_alone(self, size: int) -> bool:
        """Whether no one wrote since our last call: `catch_up` would find nothing in a file of this size."""
        file = self._file
        return size == file.size and self._adopted == file.whole

    def append(self, added: list[bytes], *, is_vital: bool = False) -> None:
        """Adds lines (given with their ends) by one write. Raises `OSError` where the disk doesn't take
        them; they are kept in memory then, unless too much is kept already and they aren't vital."""
        file = self._file
        lines = [*self._kept, *added] if self._kept else added
        # A torn line of ours is completed only if nothing was written behind it since.
        begun = self._begun if file.size == self._torn_at else 0
        before = file.size + (1 if file.whole < file.size and not begun else 0)
        text = b"".join(lines)
        try:
            file.append(text[begun:] if begun else text, continues=begun > 0)
        except OSError:
            self._kept, self._begun = _behind(lines, begun + max(file.size - before, 0))
            self._torn_at = file.size
            self._bound(is_vital, len(added))
            raise
        else:
            self._kept, self._begun = [], 0
        finally:
            self._adopted = file.whole
            if self._kept or self.overflow.lines or self.overflow.unplaced:
                self.overflow = Overflow(file.whole, tuple(self._kept))

    def keep(self, line: bytes, *, is_vital: bool = False) -> None:
        """Keeps a line in memory until the next `append` or `flush`."""
        self._kept.append(line)
        dropped = self.dropped
        self._bound(is_vital, 1)
        if self.dropped == dropped:
            unplaced = self.overflow.unplaced + len(line)
            self.overflow = replace(self.overflow, unplaced=unplaced)

    def flush(self) -> None:
        """Writes what is kept. Raises `OSError` where the disk still doesn't take it."""
        if self._kept:
            last = self._kept.pop()
            self.append([last], is_vital=True)

    def _bound(self, is_vital: bool, added: int) -> None:
        """Lets go of the newest lines, of those that were just added, where too much is kept."""
        if is_vital:
            return
        size = sum(map(len, self._kept))
        while added > 0 and len(self._kept) > 1 and size > KEPT_BYTES:
            size -= len(self._kept.pop())
            self.dropped += 1
            added -= 1


def _behind(lines: list[bytes], written: int) -> tuple[list[bytes], int]:
    """The lines that aren't wholly among the first `written` bytes, and how much of their first one is."""
    for number, line in enumerate(lines):
        if written < len(line):
            return lines[number:], written
        written -= len(line)
    return [], 0


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

    def __init__(self, path: Path, overflow: Callable[[], Overflow] = Overflow) -> None:
        self._path = path
        self._overflow = overflow
        self.line = 1
        self.offset = 0

    def seek(self, line: int, offset: int) -> None:
        """Goes to the line of that number, which starts at that byte."""
        self.line, self.offset = line, offset

    def read(self) -> Portion:
        """The next lines; none at the end. A line without its end is still being written."""
        # Looked at before the file: what leaves the memory in between is in the file then.
        overflow = self._overflow()
        lines = self._whole_lines().split(b"\n", PORTION_LINES)[:-1]
        if not lines:
            lines = _from(overflow, self.offset, _size(self._path))
        size = sum(map(len, lines)) + len(lines)
        return Portion(lines, self.line, self.offset, self.offset + size)

    def rest(self) -> bytes:
        """What stands behind the last line end: a line that its writer never ended, if it is over."""
        with self._path.open("rb", buffering=0) as file:
            file.seek(self.offset)
            return file.read(REST_BYTES)

    def unread(self) -> int:
        """Bytes behind the place, in the file and in memory. Raises `OSError`."""
        overflow = self._overflow()
        end = max(_size(self._path), overflow.offset + overflow.size())
        return end + overflow.unplaced - self.offset

    def _whole_lines(self) -> bytes:
        size = PORTION_BYTES
        try:
            # Opened for each look: a process may have thousands of runs, and few descriptors.
            with self._path.open("rb", buffering=0) as file:
                while True:
                    file.seek(self.offset)
                    text = file.read(size)
                    end = text.rfind(b"\n") + 1
                    if end or len(text) < size:
                        return text[:end]
                    size *= 4
        except FileNotFoundError:
            return b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _from(overflow: Overflow, offset: int, file_size: int) -> list[bytes]:
    """The lines in memory that begin at this byte, as many as one portion holds."""
    if not overflow.lines or file_size - overflow.offset >= len(overflow.lines[0]):
        return []  # another process wrote there since
    place, size = overflow.offset, 0
    found: list[bytes] = []
    for line in overflow.lines:
        if found or place == offset:
            found.append(line[:-1])
            size += len(line)
            if size >= PORTION_BYTES or len(found) == PORTION_LINES:
                break
        place += len(line)
    return found
