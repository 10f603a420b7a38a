"""Files that other programs read while we write them: swapped whole, or grown by whole lines."""

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""For whatever is opened by `os.open`: not for children, and on Windows without its line ends."""

_READ_BYTES = 1 << 20
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_renameat2 = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None


def replace(path: Path, content: bytes) -> None:
    """Puts `content` at `path` in one step: a reader sees the old file or the new one."""
    with _draft(path, content) as draft:
        os.replace(draft, path)


def swap(path: Path, content: bytes) -> None:
    """The same for a file that is written again many times a second.

    The two files exchange their names, and the old one is removed (renameat2(2), Linux). A file that
    replaces another by a plain rename is brought to the disk at once by ext4 (`auto_da_alloc`), which
    cost up to 5 ms a call; one that is soon removed again never goes there. The price: after a power
    cut the newest content may be empty.
    """
    with _draft(path, content) as draft:
        if not _exchange(draft, path):
            os.replace(draft, path)
            return
        try:
            os.unlink(draft)
        except OSError:  # It was no file: back to where it was.
            _exchange(draft, path)
            raise


@contextlib.contextmanager
def _draft(path: Path, content: bytes) -> Iterator[str]:
    """A file beside `path` with this content; removed if what is done with it fails."""
    draft = f"{path}.{os.getpid()}-{threading.get_ident()}.tmp"
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | FLAGS, 0o644)
        try:
            _write_all(fd, content)
        finally:
            os.close(fd)
        yield draft
    except BaseException:  # also what a signal handler raises
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise


def _exchange(one: str, other: Path) -> bool:
    """Whether the two files have exchanged their names: not every system and file system can do it, and
    none where one of them is missing."""
    if _renameat2 is None:
        return False
    done: int = _renameat2(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE
    )
    return done == 0


class LineFile:
    """An append-only file of lines, which several processes may write under a lock of theirs.

    `size` and `lines` are what the file held when we last looked, `whole` is the byte behind its last
    line end. Each append is one `write`, done when the call returns, so that `tail -f` sees it. The file
    is opened by its first use, and again after `close`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        self._identity = (0, 0)
        self.forget()

    def forget(self) -> None:
        """The file is counted from its beginning again."""
        self.size = 0
        self.lines = 0
        self.whole = 0

    @property
    def is_torn(self) -> bool:
        """Whether the file ends in the middle of a line: a full disk, or a writer that died."""
        return self.whole < self.size

    def fileno(self) -> int:
        if self._fd < 0:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | FLAGS
            fd = os.open(self.path, flags, 0o644)
            self._identity = _identity(os.fstat(fd))
            self._fd = fd
        return self._fd

    def opened_size(self) -> int | None:
        """The bytes of the file that is open; None where the descriptor isn't this file's any more.

        The host program may close descriptors that it doesn't know (daemons close all that they inherit),
        and the number then names the next file that it opens.
        """
        try:
            found = os.fstat(self._fd)
        except OSError:
            return None
        return found.st_size if _identity(found) == self._identity else None

    def let_go(self) -> None:
        """Forgets a descriptor that isn't this file's any more, without closing it."""
        if self._fd >= 0 and self.opened_size() is None:
            self._fd = -1

    def catch_up(self) -> None:
        """Counts what others have appended."""
        end = os.lseek(self.fileno(), 0, os.SEEK_END)
        if end == self.size:
            return
        if end < self.size:
            self.forget()
        if end > self.size:
            for part in self.read(self.size, end):
                self._count(part)

    def append(self, text: bytes, *, continues: bool = False) -> None:
        """Adds whole lines, each with its line end.

        Behind a torn line they begin on a line of their own, unless they continue it. What a disk takes
        only in part is counted as far as it is there, and raises `OSError`.
        """
        if self.whole < self.size and not continues:
            text = b"\n" + text
        fd = self._fd if self._fd >= 0 else self.fileno()
        written = os.write(fd, text)
        if written == len(text):
            self.size += written
            self.whole = self.size
            self.lines += text.count(b"\n")
            return
        try:
            while written < len(text):
                written += os.write(fd, text[written:])
        finally:
            self._count(text[:written])

    def _count(self, part: bytes) -> None:
        if end := part.rfind(b"\n") + 1:
            self.whole = self.size + end
            self.lines += part.count(b"\n")
        self.size += len(part)

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a range, in parts."""
        while start < end:
            part = _read_at(self.fileno(), min(end - start, _READ_BYTES), start)
            if not part:
                return
            yield part
            start += len(part)

    def read_lines(self, start: int, end: int) -> Iterator[bytes]:
        """The lines of a range that begins and ends between lines, without their ends."""
        rest = b""
        for part in self.read(start, end):
            *lines, rest = (rest + part).split(b"\n")
            yield from lines

    def close(self) -> None:
        """Gives the descriptor back; the next use takes another. What was written is written: an error
        of `close` would only cost what comes after it."""
        self.let_go()
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _read_at(fd: int, size: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, size, offset)
    os.lseek(fd, offset, os.SEEK_SET)  # Windows; what is appended goes to the end in any case
    return os.read(fd, size)


def _write_all(fd: int, content: bytes) -> None:
    written = os.write(fd, content)
    while written < len(content):
        written += os.write(fd, content[written:])
