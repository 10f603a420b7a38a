"""Files that other programs read while we write them: swapped whole, or grown by whole lines."""

import contextlib
import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

_READ_BYTES = 1 << 20
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_renameat2 = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None


def replace(path: Path, content: bytes) -> None:
    """Puts `content` at `path` in one step: a reader sees the old file or the new one."""
    with _draft(path, content) as draft:
        os.replace(draft, path)


def swap(path: Path, content: bytes) -> None:
    """The same for a file that is written anew many times a second.

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
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            _write_all(fd, content)
        finally:
            os.close(fd)
        yield draft
    except OSError:
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

    `size` and `lines` are what the file held when we last looked. Each append is one `write`,
    done when the call returns, so that `tail -f` sees it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.size = 0
        self.lines = 0

    def fileno(self) -> int:
        return self._fd

    def catch_up(self) -> tuple[int, int]:
        """Counts what others have appended; answers the bytes' range.

        A line that its writer didn't live to finish is finished with a line end: it stays
        visible, and what comes after it stays whole.
        """
        start = self.size
        end = os.fstat(self._fd).st_size
        if end < start:
            start = self.size = self.lines = 0
        for part in self.read(start, end):
            self.size += len(part)
            self.lines += part.count(b"\n")
            if self.size == end and not part.endswith(b"\n"):
                self.append(b"\n")
        return start, self.size

    def append(self, text: bytes) -> None:
        """Adds whole lines, each with its line end."""
        _write_all(self._fd, text)
        self.size += len(text)
        self.lines += text.count(b"\n")

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a range, in parts."""
        while start < end and (part := os.pread(self._fd, min(end - start, _READ_BYTES), start)):
            yield part
            start += len(part)

    def read_lines(self, start: int, end: int) -> Iterator[bytes]:
        """The lines of a range that begins and ends between lines, without their ends."""
        rest = b""
        for part in self.read(start, end):
            *lines, rest = (rest + part).split(b"\n")
            yield from lines

    def close(self) -> None:
        """Further writes raise `OSError`: the number may be another file's by then."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _write_all(fd: int, content: bytes) -> None:
    written = os.write(fd, content)
    while written < len(content):
        written += os.write(fd, content[written:])
