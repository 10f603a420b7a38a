"""One file, followed: what's new in it since the cursor, through everything that happens to files.

Polling is the truth. Each `step` looks at the path once (`lstat`) and reads only when size, time or
identity moved. It reads from `CHECKED_BYTES` before the cursor, so that every read proves that it's
still the same content; where it isn't (truncated and written again, in place), and where another file
lies at the path, the generation is over: the old file is drained, and once all of that is committed
(`settled`), the next generation begins at its first byte.

A cursor always stands at the start of a line. The unfinished last line is read again until it's
complete, and what was seen of it is held, up to what a line may have, in case the file is truncated
first: a 10 MB line costs 64 KiB. Nothing that goes wrong with looking or reading means that a file is
gone: it's tried again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runcast._recording import line_splitter
from runcast._support import traces
from runcast_server.beneath import NotRegular
from runcast_tailer.descriptors import Descriptors
from runcast_tailer.file_identity import (
    CHECKED_BYTES,
    GONE,
    Committed,
    Cursor,
    FileIdentity,
    fingerprint,
)

READ_BYTES = 256 * 1024
FIRST_READ_BYTES = 64 * 1024 + 2
DRAIN_SECONDS = 0.5
"""A file that was moved away counts as drained when it was quiet for so long."""
SETTLED_NS = 50_000_000
"""A time stamp younger than this may cover another write in the same clock tick."""
_NOTHING_SEEN = (-1, -1, -1, -1)


def _stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    """What stays the same while nothing happens to a file."""
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev


def _context_in(before: bytes, *, is_whole: bool) -> list[str]:
    """The context in the bytes before a cursor, of which the first line may be half of one."""
    lines = before.decode(errors="replace").split("\n")
    return traces.context(
        [], [line.removesuffix("\r") for line in lines[0 if is_whole else 1 : -1]]
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive lines of one file, and how the file stood after them."""

    first: Cursor
    after: Cursor
    texts: list[str]
    flags: dict[int, line_splitter.Flags]
    file: FileIdentity | None
    fingerprint: str
    modified: float
    closed: str | None = None
    bytes_after_end: int = 0
    closed_size: tuple[int, int] | None = None
    above: Sequence[str] = ()
    """Lines before the first one, where it may belong to an entry that began there (see `traces`)."""


@dataclass(frozen=True, slots=True)
class FollowLimits:
    """How one file is read."""

    line_bytes: int = 65_536
    read_bytes: int = READ_BYTES
    drain_seconds: float = DRAIN_SECONDS


_LIMITS = FollowLimits()
_START = Cursor()


@dataclass(eq=False, slots=True)
class Follower:
    """A path of a run and the cursor in what lies there.

    Not safe for use by several threads at once. `trouble` says why the last step could not look or read.
    """

    path: Path
    root: Path
    """The directory beneath which the file is opened, through no link."""
    descriptors: Descriptors
    limits: FollowLimits = _LIMITS
    has_sentinel: bool = True
    clock: Callable[[], float] = time.monotonic
    cursor: Cursor = _START
    file: FileIdentity | None = None
    trouble: OSError | None = None
    closed: str | None = None
    bytes_after_end: int = 0
    exhausted: bool = False
    missing: bool = True
    quiet_since: float = 0.0
    modified: float = 0.0
    turning: bool = False
    _check: str | None = None
    _held: bytes = b""
    _before: bytes = b""
    _scanned: int = 0
    _reached: int = 0
    _seen: tuple[int, int, int, int] = _NOTHING_SEEN
    _moved: bool = False
    _is_lost: bool = False
    _copy: Path | None = None
    _above: list[str] | None = None
    """The context of the lines to come; None where it isn't known."""

    def resume(self, committed: Committed) -> None:
        """Goes on from what Postgres holds, whatever was read here beyond it."""
        reached = max(self._reached, self.cursor.offset)
        self._reached = reached if committed.cursor.generation == self.cursor.generation else 0
        if committed.file != self.file:
            self.descriptors.close(self)
        self.file = committed.file
        self.closed = committed.closed_reason
        self.bytes_after_end = committed.bytes_after_end
        self.turning = False
        self._place(committed.cursor, committed.fingerprint)

    def advance(self, committed: Committed) -> None:
        """Skips what someone else has brought of the same generation, to its end if that came too."""
        self.closed = committed.closed_reason
        self.bytes_after_end = committed.bytes_after_end
        self._place(committed.cursor, committed.fingerprint)

    def _place(self, cursor: Cursor, check: str | None) -> None:
        self.cursor, self._check = cursor, check
        self._held, self._before, self._scanned, self._seen = b"", b"", 0, _NOTHING_SEEN
        self._above = None
        self._moved = self._is_lost = self.exhausted = False
        self._forget_copy()

    @property
    def holds_sentinel(self) -> bool:
        """Whether the unfinished last line is the sentinel, which some programs leave without its LF."""
        return self.has_sentinel and line_splitter.is_sentinel(self._held)

    @property
    def is_ended(self) -> bool:
        """Whether the sentinel was read: what follows it is only counted."""
        return self.closed == "sentinel"

    def is_unchanged(self) -> bool:
        """Whether the file is as it was when it was read to its end: one `lstat`, for files that sleep."""
        try:
            return _stamp(os.lstat(self.path)) == self._seen
        except OSError:
            return False

    def step(self, budget: int, *, settled: bool) -> list[Batch]:
        """What's new, up to about `budget` bytes (a line may exceed it up to its limit).

        `settled`: everything given so far is committed, which a new generation waits for.
        """
        self.trouble = None
        try:
            return self._step(budget, settled)
        except OSError as error:
            self._stumble(error)
            return []

    def _stumble(self, error: OSError) -> None:
        self.trouble = error
        self.exhausted = False
        self._seen = _NOTHING_SEEN
        if error.errno in (errno.ESTALE, errno.EBADF, errno.EIO):
            self.descriptors.close(self)

    def _step(self, budget: int, settled: bool) -> list[Batch]:
        status = self._look()
        if self.turning:
            return self._turn(status, budget) if settled else []
        if self._copy is not None:
            return self._drain_copy(budget)
        if status is not None and _stamp(status) == self._seen:
            return []
        if status is not None and self._is_ours(status):
            self._moved = self._is_lost = False
            if status.st_size < max(self.cursor.offset, self._scanned):
                return self._give_up_generation()
            return self._read(self._descriptor(), status, budget)
        if self.file is None:
            self.exhausted = True  # there's nothing to read, and perhaps never will be
            return []
        return self._drain(budget)

    def _look(self) -> os.stat_result | None:
        try:
            status = os.lstat(self.path)
        except (FileNotFoundError, NotADirectoryError):
            self.missing = True
            return None
        if not stat.S_ISREG(status.st_mode):
            raise NotRegular(errno.EINVAL, "not a regular file", str(self.path))
        self.missing = False
        return status

    def _is_ours(self, status: os.stat_result) -> bool:
        """The same file; after a remount the device's number may be another."""
        found = FileIdentity.of(status)
        if self.file is None or (
            found.inode == self.file.inode and self.descriptors.get(self) is None
        ):
            self.file = found
        return found == self.file

    def _descriptor(self) -> int:
        descriptor = self.descriptors.get(self)
        if descriptor is None:
            descriptor = self.descriptors.open(self, self.root, self.path)
            if FileIdentity.of(os.fstat(descriptor)) != self.file:
                self.descriptors.close(self)
                raise OSError(errno.ESTALE, "replaced while it was opened", str(self.path))
        return descriptor

    # Reading

    def _read(self, descriptor: int, status: os.stat_result, budget: int) -> list[Batch]:
        self.modified = status.st_mtime
        most = self.limits.line_bytes + 2
        size = max(min(budget, self.limits.read_bytes), min(most, FIRST_READ_BYTES))
        before = min(CHECKED_BYTES, self.cursor.offset)
        data = os.pread(descriptor, before + size, self.cursor.offset - before)
        while size < most and len(data) == before + size and data.find(b"\n", before) < 0:
            # A line may be far longer than most are: a spool's holds a whole message.
            size = min(size * 4, most)
            data = os.pread(descriptor, before + size, self.cursor.offset - before)
        check = fingerprint(data[:before])
        if self._check not in (None, check) or not data.startswith(self._held, before):
            return self._give_up_generation()
        self._check = check
        self._see(status, is_end=len(data) < before + size)
        if self.is_ended:
            return self._count_after_end(status)
        if self.cursor.offset == 0 and data.startswith(b"\0"):
            return self._after_hole(descriptor, status)
        end = data.rfind(b"\n", before) + 1
        if end == 0:
            return self._unfinished(descriptor, status, data, before)
        if self._above is None:
            self._above = _context_in(data[:before], is_whole=before == self.cursor.offset)
        batches = self._batches(data, before, end)
        if not self.is_ended:
            self._hold(data, end)
        return batches

    def _hold(self, data: bytes, end: int) -> None:
        """Keeps the unfinished line behind `end`, up to its limit, and what proves its place."""
        self._held = data[end : end + self.limits.line_bytes + 1]
        self._before = data[max(end - CHECKED_BYTES, 0) : end] if self._held else b""

    def _see(self, status: os.stat_result, *, is_end: bool) -> None:
        """Remembers the state that was read to its end, unless its time stamp is too young to trust."""
        self.quiet_since = self.clock()
        self.exhausted = is_end
        is_old = time.time_ns() - status.st_mtime_ns > SETTLED_NS
        self._seen = _stamp(status) if is_end and is_old else _NOTHING_SEEN

    def _batches(self, data: bytes, before: int, end: int) -> list[Batch]:
        batches: list[Batch] = []
        position = before
        for lines in line_splitter.split(
            data[before:end],
            offset=self.cursor.offset,
            limit=self.limits.line_bytes,
            has_sentinel=self.has_sentinel,
        ):
            position += lines.size
            check = fingerprint(data[max(position - CHECKED_BYTES, 0) : position])
            batches.append(self._batch(lines, check))
        return batches

    def _batch(self, lines: line_splitter.Lines, check: str) -> Batch:
        first = self.cursor
        self.cursor = first.after(len(lines.texts), lines.size)
        self._check = check
        self._held, self._before, self._scanned = b"", b"", 0
        self.closed = "sentinel" if lines.is_end else None
        if lines.is_end:
            self._seen = _NOTHING_SEEN
        assert self.file is not None
        return Batch(
            first, self.cursor, lines.texts, lines.flags, self.file, check, self.modified,
            self.closed, above=self._placed(lines.texts),
        )  # fmt: skip

    def _placed(self, texts: list[str]) -> list[str]:
        """The context of these lines, if they need one; then it is that of the lines to come."""
        if not self.has_sentinel:
            return []
        above = self._above or []
        self._above = traces.context(above, texts)
        return traces.needed(above, texts)

    def _count_after_end(self, status: os.stat_result) -> list[Batch]:
        """Bytes after the sentinel aren't published; how many there are is told."""
        after = status.st_size - self.cursor.offset
        if after <= self.bytes_after_end:
            return []
        self.bytes_after_end = after
        return [self._nothing()]

    def _unfinished(
        self, descriptor: int, status: os.stat_result, data: bytes, before: int
    ) -> list[Batch]:
        """No line ends in what was read: hold it, or look further for the end of a long line."""
        self._hold(data, before)
        size = len(data) - before
        if size <= self.limits.line_bytes + 1:
            return []
        start = max(self._scanned, self.cursor.offset + size)
        found = os.pread(descriptor, self.limits.read_bytes, start)
        end = found.find(b"\n")
        if end < 0:
            self._scanned = start + len(found)
            self._see(status, is_end=len(found) < self.limits.read_bytes)
            return []
        self._seen, self.exhausted = _NOTHING_SEEN, False
        return [self._long_line(descriptor, start + end, ends_with=1)]

    def _after_hole(self, descriptor: int, status: os.stat_result) -> list[Batch]:
        """The first line of a file that begins with a hole: its writer went on at its old place after
        the file was truncated (`copytruncate` without O_APPEND). The zeros are told, not shown."""
        start, piece = 0, b""
        while not piece.strip(b"\0"):
            start += len(piece)
            piece = os.pread(descriptor, self.limits.read_bytes, start)
            if not piece:
                return []
        start += len(piece) - len(piece.lstrip(b"\0"))
        line = os.pread(descriptor, self.limits.line_bytes + 1, start)
        end = line.find(b"\n")
        if end < 0:
            self._see(status, is_end=len(line) <= self.limits.line_bytes)
            return []
        limit = self.limits.line_bytes
        text, flags = line_splitter.one(
            line[:end].removesuffix(b"\r"), offset=start, length=end, limit=limit
        )
        flags["lost"] = {"offset": 0, "length": start}
        after = start + end + 1
        before = os.pread(descriptor, min(CHECKED_BYTES, after), max(after - CHECKED_BYTES, 0))
        self._seen, self.exhausted = _NOTHING_SEEN, False
        return [self._batch(line_splitter.Lines([text], after, {0: flags}), fingerprint(before))]

    def _long_line(self, descriptor: int, end: int, *, ends_with: int) -> Batch:
        """The line from the cursor to byte `end`, of which only the beginning is kept."""
        start = self.cursor.offset
        head = os.pread(descriptor, self.limits.line_bytes + 4, start)
        before = os.pread(descriptor, CHECKED_BYTES, max(end + ends_with - CHECKED_BYTES, 0))
        before = before[: end + ends_with]
        has_cr = ends_with and os.pread(descriptor, 1, end - 1) == b"\r"
        length = end - start - bool(has_cr)
        text, flags = line_splitter.one(
            head[:length], offset=start, length=length, limit=self.limits.line_bytes
        )
        lines = line_splitter.Lines([text], end + ends_with - start, {0: flags} if flags else {})
        return self._batch(lines, fingerprint(before))

    # Ends and new beginnings

    def finish(self, reason: str, size: tuple[int, int] | None = None) -> list[Batch]:
        """Closes the log: its unfinished last line, if any, and the closing, with the lines and bytes
        that its writer counted.

        Empty when there turns out to be more to read first. Raises `OSError`.
        """
        batch = None
        if not self.is_ended and self.file is not None:
            batch = self._unfinished_line()
            if not self.exhausted:
                return []
        self.closed = reason
        return [replace(batch or self._nothing(), closed=reason, closed_size=size)]

    def _nothing(self) -> Batch:
        return Batch(
            self.cursor, self.cursor, [], {}, self.file, self._check or "",
            self.modified, self.closed, self.bytes_after_end,
        )  # fmt: skip

    def _unfinished_line(self) -> Batch | None:
        """What follows the cursor, taken as a line; `exhausted` is false if it isn't one any more."""
        descriptor = self.descriptors.get(self)
        if descriptor is None and not self.missing and not self._moved:
            descriptor = self._descriptor()
        if descriptor is None:
            self.exhausted = True
            return self._held_line()
        start = max(self.cursor.offset, self._scanned)
        found = os.pread(descriptor, self.limits.read_bytes, start)
        self.exhausted = len(found) < self.limits.read_bytes and b"\n" not in found
        end = start + len(found)
        if not self.exhausted:
            self._seen = _NOTHING_SEEN
            return None
        return self._long_line(descriptor, end, ends_with=0) if end > self.cursor.offset else None

    def _held_line(self) -> Batch | None:
        """The unfinished line of content that is gone, as far as it was held."""
        if not self._held:
            return None
        start, line = self.cursor.offset, self._held
        length = max(len(line), self._scanned - start)
        text, flags = line_splitter.one(
            line, offset=start, length=length, limit=self.limits.line_bytes
        )
        check = fingerprint(self._before + line) if length == len(line) else GONE
        return self._batch(line_splitter.Lines([text], length, {0: flags} if flags else {}), check)

    def _give_up_generation(self) -> list[Batch]:
        """The content at the cursor is gone: what's known of it is told, and a new generation waits.

        A rotation that copied the file before it truncated it (`copytruncate`) has left what was not read
        yet in the copy, which is read first."""
        if self._copy is None and self._check is not None and not self.is_ended:
            self._copy = self._find_copy()
            if self._copy is not None:
                self._seen, self.exhausted = _NOTHING_SEEN, False
                return []
        self._forget_copy()
        lost = self._reached - self.cursor.offset
        last = None
        if not self.is_ended:
            last = self._lost(lost) if lost > 0 else self._held_line()
        self.turning, self.exhausted = True, False
        self.descriptors.close(self)
        return [last] if last else []

    def _lost(self, size: int) -> Batch:
        flags: line_splitter.Flags = {"lost": {"offset": self.cursor.offset, "length": size}}
        text = f"… {size} bytes lost: they left the file before they could be stored"
        return self._batch(line_splitter.Lines([text], size, {0: flags}), GONE)

    def _drain(self, budget: int) -> list[Batch]:
        """The rest of a file that no longer lies at its path, as far as it can still be reached."""
        descriptor = self.descriptors.get(self)
        if not self._moved:
            self._moved = True
            self.quiet_since = self.clock()
            self._seen = _NOTHING_SEEN
        if descriptor is None and not self._is_lost:
            descriptor = self._find_moved()
            self._is_lost = descriptor is None
        if descriptor is None:
            return self._leave()
        status = os.fstat(descriptor)
        if status.st_size < max(self.cursor.offset, self._scanned):
            return self._give_up_generation()
        if _stamp(status) != self._seen:
            quiet_since = self.quiet_since
            batches = self._read(descriptor, status, budget)
            if not batches and self.exhausted:
                self.quiet_since = quiet_since
            if batches or self.turning or not self.exhausted:
                return batches
        if self.clock() - self.quiet_since < self.limits.drain_seconds:
            return []
        return self._leave()

    def _leave(self) -> list[Batch]:
        """Nothing more comes from the moved file. With no new one at the path yet, wait for it."""
        if self.missing:
            self.exhausted = True
            return []
        last = None
        if not self.is_ended:
            last = self._unfinished_line()
            if not self.exhausted:
                return []
        self.turning = True
        self.descriptors.close(self)
        return [last] if last else []

    def _find_copy(self) -> Path | None:
        """The newest file beside ours that is named after it and holds the bytes before the cursor."""
        if self.cursor.offset == 0 and not self._held:
            return None
        found: list[tuple[int, Path]] = []
        with os.scandir(self.path.parent) as entries:
            for entry in entries:
                if entry.name.startswith(self.path.name) and entry.name != self.path.name:
                    path = Path(entry.path)
                    with contextlib.suppress(OSError):
                        if self._is_copy(path):
                            found.append((entry.stat(follow_symlinks=False).st_mtime_ns, path))
        return max(found, default=(0, None))[1]

    def _is_copy(self, path: Path) -> bool:
        descriptor = self.descriptors.open((self, "copy"), self.root, path)
        start = max(self.cursor.offset - CHECKED_BYTES, 0)
        before = self.cursor.offset - start
        data = os.pread(descriptor, before + len(self._held), start)
        return (
            len(data) == before + len(self._held)
            and fingerprint(data[:before]) == self._check
            and data.endswith(self._held)
        )

    def _drain_copy(self, budget: int) -> list[Batch]:
        """What the copy holds behind the cursor, its unfinished last line at the end."""
        assert self._copy is not None
        try:
            descriptor = self.descriptors.open((self, "copy"), self.root, self._copy)
            batches = self._read(descriptor, os.fstat(descriptor), budget)
        except OSError:
            return self._give_up_generation()
        self._seen = _NOTHING_SEEN
        if batches or self.turning or not self.exhausted:
            return batches
        last = None if self.is_ended else self._held_line()
        self._forget_copy()
        self.turning, self.exhausted = True, False
        self.descriptors.close(self)
        return [last] if last else []

    def _forget_copy(self) -> None:
        self._copy = None
        self.descriptors.close((self, "copy"))

    def _find_moved(self) -> int | None:
        """Opens the file under the name that rotation gave it, in the same directory."""
        if self.file is None:
            return None
        with os.scandir(self.path.parent) as entries:
            for entry in entries:
                if entry.inode() != self.file.inode or entry.name == self.path.name:
                    continue
                descriptor = self.descriptors.open(self, self.root, Path(entry.path))
                if FileIdentity.of(os.fstat(descriptor)) == self.file:
                    return descriptor
                self.descriptors.close(self)
        return None

    def _turn(self, status: os.stat_result | None, budget: int) -> list[Batch]:
        """The next generation begins, in whatever lies at the path now."""
        self._place(Cursor(self.cursor.generation + 1), fingerprint(b""))
        self.file = self.closed = None
        self.bytes_after_end = self._reached = 0
        self.turning = False
        if status is None or not self._is_ours(status):
            return []
        return self._read(self._descriptor(), status, budget)
