"""Files that are read while they are written."""

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from runcast._recording import files
from runcast._recording.files import LineFile

Put = Callable[[Path, bytes], None]


@pytest.fixture(params=["replace", "swap", "swap without exchange"])
def put(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Each way to put a file's content in its place."""
    if request.param.endswith("exchange"):
        monkeypatch.setattr(files, "_renameat2", None)
    way: Put = getattr(files, request.param.split()[0])
    return way


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path, put: Put) -> None:
    path = tmp_path / "status.json"
    contents = (b"a" * 10, b"b" * 300_000)
    put(path, contents[0])
    done = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(40):
        put(path, contents[number % 2])
    done.set()
    reader.join()
    assert seen <= set(contents)
    assert [each.name for each in tmp_path.iterdir()] == ["status.json"]


def test_a_replacement_that_fails_leaves_what_was_there_and_nothing_else(
    tmp_path: Path, put: Put
) -> None:
    path = tmp_path / "status.json"
    path.mkdir()
    with pytest.raises(OSError, match=r"status\.json"):
        put(path, b"x")
    assert [each.name for each in tmp_path.iterdir()] == ["status.json"]
    assert path.is_dir()


def test_lines_of_others_are_counted_and_a_torn_one_is_ended_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "logs.txt"
    mine = LineFile(path)
    mine.append(b"one\n")
    with path.open("ab") as other:
        other.write(b"two\nthr")
    mine.catch_up()
    assert (mine.size, mine.lines, mine.whole, mine.is_torn) == (11, 2, 8, True)
    mine.append(b"four\n")
    assert (mine.size, mine.lines, mine.whole, mine.is_torn) == (17, 4, 17, False)
    assert path.read_bytes() == b"one\ntwo\nthr\nfour\n"
    assert list(mine.read_lines(4, 12)) == [b"two", b"thr"]
    mine.close()


def test_what_a_full_disk_took_of_a_line_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = LineFile(tmp_path / "logs.txt")
    mine.append(b"one\n")
    full = DiskOf(6)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="full"):
        mine.append(b"two\n")
    assert (mine.size, mine.whole, mine.is_torn) == (6, 4, True)
    monkeypatch.undo()
    mine.append(b"three\n")
    assert mine.path.read_bytes() == b"one\ntw\nthree\n"
    assert mine.lines == 3
    mine.close()


class DiskOf:
    """Takes so many bytes in a file, then no more."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._write = os.write

    def __call__(self, fd: int, text: bytes) -> int:
        room = self._size - os.fstat(fd).st_size
        if room <= 0:
            raise OSError(errno.ENOSPC, "the disk is full")
        return self._write(fd, text[:room])


def test_a_file_that_was_emptied_is_counted_anew(tmp_path: Path) -> None:
    path = tmp_path / "logs.txt"
    mine = LineFile(path)
    mine.append(b"one\ntwo\n")
    path.write_bytes(b"x\n")
    mine.catch_up()
    assert (mine.size, mine.lines) == (2, 1)
    mine.close()
