"""Segments: what goes in comes out, cut anywhere, merged or not; a damaged one says so."""

import contextlib
import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast_server.eventlog import segments
from runcast_server.eventlog.segments import Damaged, Event, Lines, Piece, Segment

RUN = UUID("01960000-0000-7000-8000-000000000001")
OTHER = UUID("01960000-0000-7000-8000-000000000002")
RECORD = b'"line":"caf\xc3\xa9 \\u001b[31mred\\u0000 \xe2\x80\xa8","ts":"t","source":"api"}'


def lines(number: int, *, run: UUID = RUN, first_line: int | None = None, size: int = 0) -> Lines:
    record = RECORD + b" " * size
    return Lines(run, b"\n".join([record] * number), number, first_line=first_line)


def placed(segment: Segment, first: int, first_line: int = 0) -> Segment:
    return segment._replace(first=first, first_line=first_line)


def test_frames_are_the_records_with_their_numbers_in_front() -> None:
    [log] = segments.of([lines(2)])
    assert segments.frames(placed(log, 41, 7)) == b"".join(
        b'id: %d\nevent: agent:log\ndata: {"run_id":"%b","line_number":%d,%b\n\n'
        % (seq, str(RUN).encode(), line, RECORD)
        for seq, line in ((41, 7), (42, 8))
    )
    [events] = segments.of([Event("x:a", b'{"n": 1}', RUN), Event("x:b", b"{}", RUN)])
    assert segments.frames(placed(events, 5)) == (
        b'id: 5\nevent: x:a\ndata: {"n": 1}\n\nid: 6\nevent: x:b\ndata: {}\n\n'
    )
    assert segments.datas(placed(events, 5)) == [("x:a", b'{"n": 1}'), ("x:b", b"{}")]


def test_a_segment_holds_events_of_one_run_and_kind() -> None:
    event = Event("x:a", b"{}", RUN)
    made = segments.of([event, event, lines(1), lines(2), lines(1, run=OTHER), Event("x:b", b"{}")])
    assert [(one.run_id, one.is_log, one.length) for one in made] == [
        (RUN, False, 2), (RUN, True, 3), (OTHER, True, 1), (None, False, 1)
    ]  # fmt: skip


def test_lines_whose_numbers_are_known_stay_consecutive() -> None:
    made = segments.of([lines(2, first_line=5), lines(1, first_line=7), lines(1, first_line=9)])
    assert [(one.first_line, one.length) for one in made] == [(5, 3), (9, 1)]


@pytest.mark.parametrize("name", ["a\0b", "a\nb"])
def test_agents_with_a_name_that_a_row_can_t_hold_are_not_known(name: str) -> None:
    [made] = segments.of([lines(1)._replace(agents=frozenset({name, "b"}))])
    assert made.agents is None
    [made] = segments.of([lines(1)._replace(agents=frozenset({"a", "b"}))])
    assert made.agents == {"a", "b"}


def test_large_batches_are_cut_and_a_long_record_stands_alone() -> None:
    made = segments.of([lines(2_500, first_line=1)])
    assert [(one.first_line, one.length) for one in made] == [(1, 1000), (1001, 1000), (2001, 500)]
    made = segments.of([lines(3, size=segments.MAX_BYTES)])
    assert [one.length for one in made] == [1, 1, 1]
    assert all(one.codec == segments.ZSTD for one in made)


def test_small_segments_stay_readable_and_large_ones_are_compressed() -> None:
    [small], [large] = segments.of([lines(1)]), segments.of([lines(100)])
    assert (small.codec, small.body) == (segments.PLAIN, RECORD)
    assert large.codec == segments.ZSTD
    assert len(large.body) < large.size / 5


@given(st.integers(1, 40), st.integers(0, 60), st.integers(0, 60), st.booleans())
def test_a_cut_has_the_frames_between(number: int, after: int, upto: int, is_long: bool) -> None:
    [segment] = segments.of([lines(number, size=200 if is_long else 0)])
    segment = placed(segment, 10, 3)
    frames = segments.frames(segment).split(b"\n\n")[:-1]
    part = segments.cut(segment, after, upto)
    wanted = [frame for seq, frame in enumerate(frames, 10) if after < seq <= upto]
    assert (segments.frames(part).split(b"\n\n")[:-1] if part else []) == wanted


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 5), st.integers(0, 10**9)), min_size=1)
)
def test_a_merged_segment_comes_apart_again(given: list[tuple[int, int, int]]) -> None:
    seq, line, at = 3, 9, 1_700_000_000_000
    parts: list[tuple[Segment, int]] = []
    for gap, number, later in given:
        seq, at = seq + gap, at + later
        [segment] = segments.of([lines(number)])
        parts.append((placed(segment, seq, line), at))
        seq, line = seq + number, line + number
    merged, pieces = segments.merge(parts)
    assert (
        segments.decode_pieces(
            segments.encode_pieces(pieces),
            merged.first,
            pieces[-1].first + pieces[-1].length - 1,
            merged.length,
        )
        == pieces
    )
    apart = segments.split_pieces(merged, pieces)
    assert [segments.frames(one) for one in apart] == [segments.frames(one) for one, _ in parts]
    assert [piece.at_ms for piece in pieces] == [at for _, at in parts]


@pytest.mark.parametrize("damage", ["cut", "bit", "codec", "length", "size"])
def test_a_damaged_segment_is_named(damage: str) -> None:
    [segment] = segments.of([lines(100)])
    body = segment.body
    changed = {
        "cut": {"body": body[:-7]},
        "bit": {"body": body[:40] + bytes([body[40] ^ 4]) + body[41:]},
        "codec": {"codec": 9},
        "length": {"length": 99},
        "size": {"size": segment.size - 1},
    }[damage]
    with pytest.raises(
        Damaged, match=re.escape(f"events 41…{139 + (damage != 'length')} of run {RUN}")
    ):
        segments.frames(placed(segment, 41, 1)._replace(**changed))


def test_pieces_that_are_cut_short_are_named() -> None:
    encoded = segments.encode_pieces(
        [Piece(5, 2, 1_700_000_000_000), Piece(90, 1, 1_700_000_000_001)]
    )
    for end in range(len(encoded)):
        with pytest.raises(Damaged):
            segments.decode_pieces(encoded[:end], 5, 90, 3)


@given(st.binary(max_size=40))
def test_any_bytes_are_pieces_or_damaged(encoded: bytes) -> None:
    with contextlib.suppress(Damaged):
        assert sum(piece.length for piece in segments.decode_pieces(encoded, 5, 90, 3)) == 3


@pytest.mark.parametrize("wrong", [b'"line":"a', b'"line":"\xff"}', b'"line":"a"},{"line":"b"}'])
def test_records_without_a_checksum_are_parsed(wrong: bytes) -> None:
    segment = placed(Segment(RUN, True, 1, len(wrong), segments.PLAIN, wrong), 41, 1)
    with pytest.raises(Damaged, match="aren't JSON"):
        segments.frames(segment)
    event = b"x:a " + wrong
    with pytest.raises(Damaged):
        segments.datas(segment._replace(is_log=False, body=event, size=len(event)))
