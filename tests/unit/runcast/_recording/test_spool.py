"""Portions of a spool: whole lines, exact places."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runcast._recording.spool import PORTION_BYTES, PORTION_LINES, Portion, SpoolReader


def read_all(path: Path) -> list[Portion]:
    reader = SpoolReader(path)
    portions = []
    while (portion := reader.read()).lines:
        portions.append(portion)
        reader.seek(portion.next_line, portion.next_offset)
    reader.close()
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
    reader.close()


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
