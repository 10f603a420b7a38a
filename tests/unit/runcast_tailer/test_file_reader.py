"""Every way in which files surprise those who follow them, by name."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.unit.runcast_tailer.files import RUN, World

from runcast.contract import SENTINEL


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "logs.txt")
    yield world
    world.descriptors.close_all()


def test_lines_arrive_in_order_as_the_file_grows(world: World) -> None:
    for number in range(5):
        world.write(b"line %d\n" % number)
        world.settle()
    assert world.sink.lines == [f"line {n}" for n in range(5)]
    assert world.sink.committed.cursor.line == 6
    assert world.sink.committed.cursor.offset == 35


def test_a_file_that_is_not_there_yet_is_waited_for(world: World) -> None:
    world.settle()
    assert world.tail.follower.missing
    world.write(b"late\n")
    world.settle()
    assert world.sink.lines == ["late"]


def test_what_was_copied_before_the_file_was_truncated_is_read_from_the_copy(world: World) -> None:
    """logrotate's `copytruncate`: lines that nobody had read yet are in the copy alone."""
    world.write(b"one\ntw")
    world.settle()
    world.write(b"o\nthree\nfour")
    copy = world.path.with_name("logs.txt.1")
    copy.write_bytes(world.path.read_bytes())
    world.path.with_name("logs.txt.2").write_bytes(b"another\n" * 10)
    world.rewrite(b"five\n")
    world.settle()
    assert world.sink.lines == ["one", "two", "three", "four", "five"]
    assert list(world.sink.generations) == [1, 2]
    assert not world.sink.flags


def test_a_copy_is_found_again_after_a_restart(world: World) -> None:
    world.write(b"one\n")
    world.settle()
    world.kill()
    world.write(b"two\nthree\n")
    world.path.with_name("logs.txt-20260101").write_bytes(world.path.read_bytes())
    world.rewrite(b"four\n")
    world.settle()
    assert world.sink.lines == ["one", "two", "three", "four"]


def test_the_hole_that_a_writer_leaves_after_a_truncation_is_told_and_not_shown(
    world: World,
) -> None:
    world.write(b"old\n")
    world.settle()
    world.rewrite(b"\0" * 200_000 + b"first\r\nsecond\n")
    world.settle()
    assert world.sink.lines == ["old", "first", "second"]
    assert world.sink.flags == {(2, 1): {"lost": {"offset": 0, "length": 200_000}}}


def test_a_line_may_be_far_longer_than_one_read(tmp_path: Path) -> None:
    """A spool's line is a whole message; it is never cut at what a log's line may have."""
    world = World(tmp_path / "spool.jsonl", line_bytes=2_000_000, has_sentinel=False)
    world.write(b"x" * 700_000 + b"\nshort\n" + b"y" * 300_000)
    world.settle()
    world.write(b"\n")
    world.settle()
    assert [len(line) for line in world.sink.lines] == [700_000, 5, 300_000]
    assert not world.sink.flags
    world.descriptors.close_all()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_text_of_windows_programs_is_read(world: World, encoding: str, end: str) -> None:
    lines = [
        "[ERROR] first",
        "größe \u20ac",
        "Привет",
        "日本語のログ",
        "",
        "emoji \U0001f389",
        "жы",
        "a",
    ]
    world.write("".join(f"{line}{end}" for line in lines).encode(encoding))
    world.settle()
    assert world.sink.lines == lines
    without_mark = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(encoding, encoding)
    # Alone, a line of ideographs could be anything.
    alone = [line for line in lines if line and line != "日本語のログ"]
    for line in alone:
        world.write(f"{line}{end}".encode(without_mark))
        world.settle()
    assert world.sink.lines[len(lines) :] == alone
    assert not any("invalid_utf8" in flags for flags in world.sink.flags.values())


@pytest.mark.parametrize("line", [b"a\0\xe9b", b"\0hello w", b"caf\xe9 \0\0", b"\1\2\3\0"])
def test_bytes_that_are_no_utf_16_are_not_taken_for_it(world: World, line: bytes) -> None:
    world.write(b"one\n" + line + b"\ntwo\n")
    world.settle()
    assert world.sink.lines == ["one", line.decode(errors="replace"), "two"]


@pytest.mark.parametrize("line", ["\x003:2/0", "\x00\x003:2/0"])
def test_zero_bytes_beside_plain_text_tell_no_order(world: World, line: str) -> None:
    world.write(f"1:2:\r\n{line}\n".encode())
    world.settle()
    assert world.sink.lines == ["1:2:", line]


def test_a_partial_last_line_is_held(world: World) -> None:
    world.write(b"one\ntw")
    world.settle()
    assert world.sink.lines == ["one"]
    world.write(b"o\n")
    world.settle()
    assert world.sink.lines == ["one", "two"]


def test_a_multibyte_character_split_over_reads(world: World) -> None:
    text = "größe 中 🚀\n".encode()
    for byte in text:
        world.write(bytes([byte]))
        world.settle()
    assert world.sink.lines == ["größe 中 🚀"]
    assert not world.sink.flags


def test_crlf_split_over_reads(world: World) -> None:
    for part in (b"one\r", b"\ntwo\r", b"\n", b"\r\n"):
        world.write(part)
        world.settle()
    assert world.sink.lines == ["one", "two", ""]
    assert world.sink.committed.cursor.offset == 12


def test_a_carriage_return_inside_a_line_stays(world: World) -> None:
    world.write(b"10%\r20%\r30%\n")
    world.settle()
    assert world.sink.lines == ["10%\r20%\r30%"]


def test_the_sentinel_split_over_reads(world: World) -> None:
    world.write(b"one\n=== Run Co")
    world.settle()
    world.write(b"mplete ===\r")
    world.settle()
    assert world.sink.committed.closed_reason is None
    world.write(b"\n")
    world.settle()
    assert world.sink.lines == ["one", SENTINEL]
    assert world.sink.committed.closed_reason == "sentinel"


def test_sentinel_text_inside_a_longer_line_closes_nothing(world: World) -> None:
    world.write(f"> {SENTINEL}\n{SENTINEL} \n{SENTINEL}\t\n".encode())
    world.settle()
    assert len(world.sink.lines) == 3
    assert world.sink.committed.closed_reason is None


def test_bytes_after_the_sentinel_are_counted_and_not_published(world: World) -> None:
    world.write(f"one\n{SENTINEL}\nm\nor".encode())
    world.settle()
    assert world.sink.lines == ["one", SENTINEL]
    assert world.sink.committed.bytes_after_end == 4
    world.write(b"and more")
    world.settle()
    assert world.sink.lines == ["one", SENTINEL]
    assert world.sink.committed.bytes_after_end == 12


def test_a_count_of_bytes_after_the_sentinel_that_was_lost_is_sent_again(world: World) -> None:
    world.write(f"{SENTINEL}\n".encode())
    world.settle()
    world.write(b"more")
    world.read()
    world.lose_stream()
    world.settle()
    assert world.sink.committed.bytes_after_end == 4


def test_a_sentinel_without_its_line_end_is_known(world: World) -> None:
    world.write(b"one\n" + SENTINEL.encode())
    world.settle()
    assert world.tail.follower.holds_sentinel
    world.tail.finish("sentinel", world.now)
    world.settle()
    assert world.sink.lines == ["one", SENTINEL]
    assert world.sink.committed.closed_reason == "sentinel"


def test_a_log_whose_sentinel_was_still_under_way_at_a_kill_stays_closed(world: World) -> None:
    """The new process has read nothing yet when it learns that the old one's message was stored."""
    world.write(f"one\n{SENTINEL}\n".encode())
    world.read()
    world.kill()
    world.ingest()
    world.write(b"more\n")
    world.settle()
    assert world.sink.lines == ["one", SENTINEL]
    assert world.sink.committed.closed_reason == "sentinel"
    assert world.sink.committed.bytes_after_end == 5


def test_invalid_utf8_is_flagged_and_the_offset_is_exact(world: World) -> None:
    world.write(b"good\nb\xffd\nalso good\n")
    world.settle()
    assert world.sink.lines == ["good", "b�d", "also good"]
    assert world.sink.flags == {(1, 2): {"invalid_utf8": True}}
    assert world.sink.committed.cursor.offset == 19


def test_nul_bytes_and_empty_lines_are_lines(world: World) -> None:
    world.write(b"\n\na\0b\n\n")
    world.settle()
    assert world.sink.lines == ["", "", "a\0b", ""]


def test_a_ten_megabyte_line_is_cut_and_its_extent_kept(world: World) -> None:
    world.write(b"before\n")
    for _ in range(10):
        world.write(b"x" * 1_000_000)
        world.read()
    assert world.sink.lines == []
    world.settle()
    world.write(b"\nafter\n")
    world.settle()
    assert [len(line) for line in world.sink.lines] == [6, 65_536, 5]
    assert world.sink.flags == {(1, 2): {"cut": {"offset": 7, "length": 10_000_000}}}
    assert world.sink.committed.cursor.offset == 10_000_014


def test_a_cut_keeps_characters_whole(tmp_path: Path) -> None:
    world = World(tmp_path / "logs.txt", line_bytes=10)
    world.write("123456789é rest\nab\n".encode())
    world.settle()
    assert world.sink.lines == ["123456789", "ab"]
    assert world.sink.flags == {(1, 1): {"cut": {"offset": 0, "length": 16}}}


def test_a_line_of_exactly_the_limit_is_whole(tmp_path: Path) -> None:
    world = World(tmp_path / "logs.txt", line_bytes=10)
    world.write(b"0123456789\r\n0123456789\n")
    world.settle()
    assert world.sink.lines == ["0123456789", "0123456789"]
    assert not world.sink.flags


def test_truncated_and_rewritten_shorter(world: World) -> None:
    world.write(b"old 1\nold 2\n")
    world.settle()
    world.rewrite(b"new\n")
    world.settle()
    assert world.sink.generations == {1: ["old 1", "old 2"], 2: ["new"]}


def test_truncated_and_rewritten_longer_than_before(world: World) -> None:
    world.write(b"old\n")
    world.settle()
    world.rewrite(b"new 1\nnew 2\nnew 3\n")
    world.settle()
    assert world.sink.generations == {1: ["old"], 2: ["new 1", "new 2", "new 3"]}


def test_truncated_and_rewritten_while_nobody_looked(world: World) -> None:
    world.write(b"old\n")
    world.settle()
    world.kill()
    world.rewrite(b"new 1\nnew 2\nnew 3\n")
    world.settle()
    assert world.sink.generations == {1: ["old"], 2: ["new 1", "new 2", "new 3"]}


def test_truncation_before_the_first_line_was_finished(world: World) -> None:
    world.write(b"half a li")
    world.settle()
    world.rewrite(b"whole lines\nhere\n")
    world.settle()
    assert world.sink.generations == {1: ["half a li"], 2: ["whole lines", "here"]}


def test_an_unfinished_line_of_content_that_is_gone_is_known_at_a_new_start(world: World) -> None:
    """Its bytes are nowhere any more; other bytes in their place must not be taken for it."""
    world.write(b"half a line")
    world.settle()
    world.rewrite(b"h")
    world.settle()
    world.kill()
    world.write(b"alf as long, and on\n")
    world.settle()
    assert world.sink.generations == {1: ["half a line"], 2: ["half as long, and on"]}


def test_copytruncate(world: World) -> None:
    world.write(b"one\ntwo\n")
    world.read()  # read, not committed
    world.path.with_name("logs.txt.1").write_bytes(world.path.read_bytes())
    world.rewrite(b"")
    world.write(b"three\n")
    world.settle()
    assert world.sink.generations == {1: ["one", "two"], 2: ["three"]}


def test_renamed_and_recreated_the_old_one_is_drained_first(world: World) -> None:
    world.write(b"one\n")
    world.settle()
    with world.path.open("ab") as writer:
        world.rotate()
        world.write(b"new\n")
        world.tail.step(world.now)
        writer.write(b"two\nlast without end")
        writer.flush()
        world.settle()
    assert world.sink.generations == {1: ["one", "two", "last without end"], 2: ["new"]}


def test_rotated_while_the_tailer_was_down(world: World) -> None:
    world.write(b"one\n")
    world.settle()
    world.write(b"two\n")
    world.kill()
    world.rotate()
    world.write(b"new\n")
    world.settle()
    assert world.sink.generations == {1: ["one", "two"], 2: ["new"]}


def test_renamed_and_not_recreated_is_followed_on(world: World) -> None:
    with world.path.open("ab", buffering=0) as writer:
        writer.write(b"one\n")
        world.settle()
        world.rotate()
        writer.write(b"two\n")
        world.settle()
    assert world.sink.generations == {1: ["one", "two"]}


def test_deleted_while_open_is_read_to_its_end(world: World) -> None:
    with world.path.open("ab", buffering=0) as writer:
        writer.write(b"one\n")
        world.settle()
        world.path.unlink()
        writer.write(b"two\n")
        world.settle()
    assert world.sink.lines == ["one", "two"]


def test_deleted_and_recreated(world: World) -> None:
    world.write(b"one\n")
    world.settle()
    world.path.unlink()
    world.write(b"two\n")
    world.settle()
    assert world.sink.generations == {1: ["one"], 2: ["two"]}


def test_an_inode_that_is_used_again(world: World) -> None:
    world.write(b"one\n")
    world.settle()
    inode = world.path.stat().st_ino
    world.descriptors.close_all()  # or the inode could not be free
    world.rewrite(b"quite another content\n")  # what reuse looks like from outside
    assert world.path.stat().st_ino == inode
    world.settle()
    assert world.sink.generations == {1: ["one"], 2: ["quite another content"]}


def test_two_runs_with_the_same_first_4_kib(tmp_path: Path) -> None:
    head = b"".join(b"the same %d\n" % n for n in range(500))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name / "logs.txt")
        world.write(head + name.encode() + b"\n")
        world.settle()
        world.kill()
        world.settle()
        assert len(world.sink.lines) == 501
        assert world.sink.lines[-1] == name


def test_a_file_without_permission_and_then_with(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(b"secret\n")
    opened = os.open

    def refuse(path: Path, flags: int) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    world.settle()
    assert isinstance(world.tail.follower.trouble, PermissionError)
    assert world.sink.lines == []
    monkeypatch.setattr(os, "open", opened)
    world.settle()
    assert world.sink.lines == ["secret"]


def test_a_stale_handle_is_opened_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(b"one\n")
    world.settle()
    pread, failures = os.pread, [OSError(116, "Stale file handle")]

    def stale_once(descriptor: int, size: int, offset: int) -> bytes:
        if failures:
            raise failures.pop()
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", stale_once)
    world.write(b"two\n")
    world.settle()
    assert world.sink.generations == {1: ["one", "two"]}


def test_a_scan_error_never_means_deleted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(b"one\n")
    world.settle()
    lstat = os.lstat

    def too_many(path: Path) -> os.stat_result:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "lstat", too_many)
    world.settle()
    assert not world.tail.follower.missing
    monkeypatch.setattr(os, "lstat", lstat)
    world.write(b"two\n")
    world.settle()
    assert world.sink.generations == {1: ["one", "two"]}


def test_a_symlink_at_the_end_is_not_read(world: World, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"secret\n")
    world.path.symlink_to(tmp_path / "elsewhere")
    world.settle()
    assert world.sink.lines == []
    assert world.tail.follower.trouble is not None


def test_a_pipe_is_not_read(world: World) -> None:
    os.mkfifo(world.path)
    world.settle()
    assert world.sink.lines == []
    assert world.tail.follower.trouble is not None


def test_closing_gives_the_partial_line(world: World) -> None:
    world.write(b"one\nno end")
    world.settle()
    assert world.tail.finish("status", world.now)
    world.settle()
    assert world.sink.lines == ["one", "no end"]
    assert world.sink.committed.closed_reason == "status"


def test_a_closed_log_that_grows_goes_on(world: World) -> None:
    world.write(b"one\n")
    world.settle()
    world.tail.finish("abandoned", world.now)
    world.settle()
    world.write(b"two\n")
    world.settle()
    assert world.sink.lines == ["one", "two"]
    assert world.sink.committed.closed_reason is None


def test_nothing_is_closed_over_bytes_that_came_in_between(world: World) -> None:
    world.write(b"one\n")
    world.settle()
    world.write(b"two\nthree")
    assert not world.tail.finish("status", world.now)
    world.settle()
    assert world.sink.lines == ["one", "two"]


def test_a_rewind_sends_what_is_no_longer_in_the_file(world: World) -> None:
    world.write(b"one\ntwo\n")
    world.read()
    world.lose_stream()
    world.rewrite(b"three\n")
    world.settle()
    assert world.sink.generations == {1: ["one", "two"], 2: ["three"]}


def test_a_database_that_went_back_is_fed_from_the_file(world: World) -> None:
    world.write(b"one\ntwo\n")
    world.settle()
    backup = world.sink.copy()
    world.write(b"three\n")
    world.settle()
    world.sink = backup
    world.settle()
    assert world.sink.lines == ["one", "two", "three"]


def test_bytes_that_left_the_file_before_a_rewind_are_told(world: World) -> None:
    world.write(b"one\n")
    world.settle()
    backup = world.sink.copy()
    world.write(b"two\n")
    world.settle()
    world.sink = backup
    world.rewrite(b"three is here\n")
    world.settle()
    assert world.sink.flags == {(1, 2): {"lost": {"offset": 4, "length": 4}}}
    assert world.sink.generations[2] == ["three is here"]


def test_what_others_brought_is_not_sent_again(world: World) -> None:
    world.write(b"one\ntwo\n")
    world.sink.accept(brought(["one", "two"]))
    world.ingest()
    world.write(b"three\n")
    world.settle()
    assert world.sink.lines == ["one", "two", "three"]
    assert world.sink.discarded == 0


def test_a_log_that_others_ended_is_not_read_on(world: World) -> None:
    """Whether they did it ahead of what was read here, or behind it."""
    world.write(b"one\ntwo\n")
    world.sink.accept(brought(["one", "two"], closed={"reason": "sentinel"}))
    world.write(b"three\n")
    world.settle()
    assert world.sink.lines == ["one", "two"]
    assert world.sink.committed.bytes_after_end == 6


def brought(texts: list[str], **more: Any) -> bytes:
    """Lines from the beginning, by somebody who doesn't know the file."""
    message = {"type": "lines", "run_id": str(RUN), "source": "logs.txt", "lines": texts}
    return orjson.dumps(message | {"first_line": 1, "first_offset": 0} | more)


def test_a_full_window_stops_reading(tmp_path: Path) -> None:
    world = World(tmp_path / "logs.txt", window_bytes=100_000)
    world.write(b"".join(b"%06d\n" % n for n in range(100_000)))
    world.read()
    assert 0 < world.tail.window.size < 600_000
    world.settle()
    assert len(world.sink.lines) == 100_000
