"""Portions of a spool: whole lines, exact places."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runcast._recording.spool import (
    KEPT_BYTES,
    PORTION_BYTES,
    PORTION_LINES,
    Portion,
    Spool,
    SpoolReader,
)


def read_all(path: Path) -> list[Portion]:
    reader = SpoolReader(path)
    portions = []
    while (portion := reader.read()).lines:
        portions.append(portion)
        reader.seek(portion.next_line, portion.next_offset)
    return portions


def test_an_unfinished_line_waits(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    path.write_bytes(b"one\ntwo\nthr")
    [portion] = read_all(path)
    assert portion == Portion([b"one", b"two"], 1, 0, 8)


def test_reading_repeats_until_it_is_told_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    path.write_bytes(b"one\n")
    reader = SpoolReader(path)
    assert reader.read() == reader.read()
    reader.seek(2, 4)
    assert reader.read() == Portion([], 2, 4, 4)


def test_a_line_larger_than_a_portion_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    path.write_bytes(b"x" * (3 * PORTION_BYTES) + b"\nafter\n")
    lines = [line for portion in read_all(path) for line in portion.lines]
    assert [len(line) for line in lines] == [3 * PORTION_BYTES, 5]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.binary(max_size=20).filter(lambda line: b"\n" not in line), max_size=50))
def test_places_are_those_of_the_file(tmp_path: Path, lines: list[bytes]) -> None:
    path = tmp_path / "spool.jsonl"
    content = b"".join(line + b"\n" for line in lines)
    path.write_bytes(content)
    place, number = 0, 1
    for portion in read_all(path):
        assert (portion.first_offset, portion.first_line) == (place, number)
        part = content[portion.first_offset : portion.next_offset]
        assert part == b"".join(line + b"\n" for line in portion.lines)
        place, number = portion.next_offset, portion.next_line
    assert (place, number) == (len(content), len(lines) + 1)


def test_portions_are_bounded_and_can_be_cut(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    path.write_bytes(b"line\n" * (PORTION_LINES + 10))
    first, second = read_all(path)
    assert (len(first.lines), len(second.lines)) == (PORTION_LINES, 10)
    assert second.before(3) == Portion(
        [b"line"] * 3, second.first_line, second.first_offset, second.first_offset + 15
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=12),
    st.lists(st.one_of(st.none(), st.integers(0, 200)), max_size=12),
)
def test_what_no_disk_takes_is_read_from_memory_and_written_later(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], rooms: list[int | None]
) -> None:
    """A disk that is full at any byte, and freed at any time: the reader sees every line once, and so
    does the file in the end."""
    path = tmp_path_factory.mktemp("run") / "spool.jsonl"
    spool = Spool(path)
    lines = [bytes([97 + number]) * size for number, size in enumerate(sizes)]
    reader = SpoolReader(path, lambda: spool.overflow)
    seen: list[bytes] = []
    for number, line in enumerate(lines):
        room = rooms[number] if number < len(rooms) else None
        with limited(room):
            spool.catch_up()
            with contextlib.suppress(OSError):
                spool.append([line + b"\n"])
        while (portion := reader.read()).lines:
            seen += portion.lines
            reader.seek(portion.next_line, portion.next_offset)
    spool.flush()
    assert seen == lines
    assert path.read_bytes().splitlines() == lines
    assert spool.overflow.size() == spool.overflow.unplaced == 0
    spool.close()


@contextlib.contextmanager
def limited(room: int | None) -> Iterator[None]:
    """No file grows beyond so many bytes."""
    write = os.write

    def write_some(fd: int, text: bytes) -> int:
        left = len(text) if room is None else room - os.fstat(fd).st_size
        if left <= 0:
            raise OSError(errno.ENOSPC, "the disk is full")
        return write(fd, text[:left])

    os.write = write_some
    try:
        yield
    finally:
        os.write = write


def test_a_torn_line_is_written_again_where_another_process_wrote_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    spool = Spool(path)
    with limited(4), contextlib.suppress(OSError):
        spool.append([b"mine is long\n"])
    with path.open("ab") as other:
        other.write(b"\nother\n")
    spool.catch_up()
    spool.append([b"next\n"])
    assert path.read_bytes() == b"mine\nother\nmine is long\nnext\n"
    spool.close()


def test_what_is_kept_in_memory_is_bounded(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "missing" / "spool.jsonl")
    for _ in range(100):
        with pytest.raises(FileNotFoundError):
            spool.append([b"x" * 100_000 + b"\n"])
    with pytest.raises(FileNotFoundError):
        spool.append([b"the end\n"], is_vital=True)
    assert spool.overflow.size() < KEPT_BYTES + 200_000
    assert spool.overflow.lines[-1] == b"the end\n"
    assert spool.dropped > 50


def test_lines_kept_without_the_lock_are_sent_when_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    ours, other = Spool(path), Spool(path)
    reader = SpoolReader(path, lambda: ours.overflow)
    ours.append([b"first\n"])
    ours.keep(b"kept\n")
    assert (reader.read().lines, reader.unread()) == ([b"first"], 11)
    reader.seek(2, 6)
    assert reader.read().lines == []  # another process may write here, and does
    other.catch_up()
    other.append([b"other\n"])
    ours.catch_up()
    ours.append([b"last\n"])
    assert reader.read().lines == [b"other", b"kept", b"last"]
    assert reader.unread() == 16
    ours.close()
    other.close()
