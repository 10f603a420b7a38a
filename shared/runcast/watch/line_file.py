"""A growing file of JSON lines that another program writes: its whole lines, from any place on.

What the file may do to us: it ends in the middle of a line, it is replaced or cut, a line is larger than what
fits into memory, it is a link or another user's. None of that stops the reader; a file that isn't this user's
own regular file is refused.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEAD_BYTES = 1024
PORTION_BYTES = 1 << 20
RECORD_BYTES = 64 << 20
"""A larger line is passed over, and named."""


Stamp = tuple[int, int, int]
"""A file's inode, size and time of change (ns)."""


class Refused(OSError):
    """The file isn't one that may be read."""


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line without its end. `text` is None for one that was too large."""

    text: bytes | None
    offset: int
    next: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Which file it is: its inode, and a digest of its first bytes (`<number>-<digest>`)."""

    inode: int
    head: str


def own(path: Path) -> os.stat_result:
    """What the file is. Raises `Refused` for a link, another user's file, and what is no regular file."""
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        raise Refused(f"{path} is no regular file; it is left alone")
    if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
        raise Refused(f"{path} is another user's; it is left alone")
    return found


def open_own(path: Path) -> int:
    """A descriptor of the file. Raises `Refused` as `own` does, also where it changed meanwhile."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    own(path)
    fd = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or (hasattr(os, "geteuid") and found.st_uid != os.geteuid()):
        os.close(fd)
        raise Refused(f"{path} is no file of this user; it is left alone")
    return fd


def stamp(path: Path) -> Stamp | None:
    """The file as it is; None for one that is gone, or that may not be read."""
    try:
        found = own(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class LineFile:
    """Reads whole lines from `offset` on, which moves behind each line as it is given out."""

    is_positional = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0

    def identity(self) -> Identity:
        """Which file it is now. Raises `OSError`."""
        fd = open_own(self.path)
        try:
            return Identity(os.fstat(fd).st_ino, _head(os.pread(fd, HEAD_BYTES, 0)))
        finally:
            os.close(fd)

    def continues(self, known: Identity, at_least: int) -> bool:
        """Whether the file is still the one that was known, and has at least this many bytes. Raises
        `OSError`."""
        fd = open_own(self.path)
        try:
            found = os.fstat(fd)
            if found.st_ino != known.inode or found.st_size < at_least:
                return False
            size = int(known.head.partition("-")[0])
            return _head(os.pread(fd, size, 0)) == known.head
        finally:
            os.close(fd)

    def lines(self, limit_bytes: int | None = None) -> Iterator[Line]:
        """The whole lines that are there, up to about this many bytes of them. Raises `OSError`."""
        fd = open_own(self.path)
        try:
            yield from self._lines(fd, limit_bytes)
        finally:
            os.close(fd)

    def _lines(self, fd: int, limit_bytes: int | None) -> Iterator[Line]:
        rest: list[bytes] = []
        rest_size = 0
        place = start = self.offset
        skips = False
        while limit_bytes is None or self.offset - start < limit_bytes or rest_size:
            portion = os.pread(fd, PORTION_BYTES, place)
            if not portion:
                return
            place += len(portion)
            end = portion.rfind(b"\n") + 1
            if not end:
                rest_size += len(portion)
                skips = skips or rest_size > RECORD_BYTES
                rest = [] if skips else [*rest, portion]
                continue
            first, *others = portion[: end - 1].split(b"\n")
            size = rest_size + len(first)
            is_large = skips or size > RECORD_BYTES
            yield self._moved(None if is_large else b"".join([*rest, first]), size)
            for line in others:
                yield self._moved(line, len(line))
            rest, rest_size, skips = [portion[end:]], len(portion) - end, False

    def _moved(self, text: bytes | None, size: int) -> Line:
        offset = self.offset
        self.offset = offset + size + 1
        return Line(text, offset, self.offset)


def _head(data: bytes) -> str:
    return f"{len(data)}-{hashlib.sha256(data).hexdigest()[:16]}"
