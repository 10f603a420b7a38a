"""Files that are read while they are written."""

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


def test_lines_of_others_are_counted_and_torn_ones_are_ended(tmp_path: Path) -> None:
    path = tmp_path / "logs.txt"
    mine = LineFile(path)
    mine.append(b"one\n")
    with path.open("ab") as other:
        other.write(b"two\nthr")
    assert mine.catch_up() == (4, 12)
    assert (mine.size, mine.lines) == (12, 3)
    assert path.read_bytes() == b"one\ntwo\nthr\n"
    assert list(mine.read_lines(4, 12)) == [b"two", b"thr"]
    assert mine.catch_up() == (12, 12)
    mine.close()


def test_a_file_that_was_emptied_is_counted_anew(tmp_path: Path) -> None:
    path = tmp_path / "logs.txt"
    mine = LineFile(path)
    mine.append(b"one\ntwo\n")
    path.write_bytes(b"x\n")
    mine.catch_up()
    assert (mine.size, mine.lines) == (2, 1)
    mine.close()
