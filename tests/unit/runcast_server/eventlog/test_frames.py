"""Frames byte for byte, and blocks cut and split anywhere."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast_server.eventlog import frames
from runcast_server.eventlog.frames import Block, Event

RUN = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


def test_a_frame_is_three_lines_and_an_empty_one() -> None:
    assert frames.frame(4711, "agent:log", b'{"line":"x"}') == (
        b'id: 4711\nevent: agent:log\ndata: {"line":"x"}\n\n'
    )


def test_an_event_s_data_begins_with_its_run() -> None:
    made = frames.event("run:progress", {"stage": "spec"}, run_id=RUN)
    assert made.data == b'{"run_id":"01890a5d-ac96-774b-bcce-b302099a8057","stage":"spec"}'


def test_a_control_frame_has_no_id_unless_it_moves_the_position() -> None:
    assert (
        frames.control("bye", {"reason": "timeout"})
        == b'event: bye\ndata: {"reason":"timeout"}\n\n'
    )
    assert frames.control("gap", {"to": 7}, id=7).startswith(b"id: 7\nevent: gap\n")


def test_a_heartbeat_moves_the_position_and_has_no_data() -> None:
    assert frames.heartbeat(12) == b": hb\nid: 12\n\n"


events = st.builds(
    Event,
    st.sampled_from(["agent:log", "run:created", "x:a"]),
    st.binary(min_size=1, max_size=60).map(lambda data: data.hex().encode()),
    st.sampled_from([None, RUN, UUID(int=7)]),
    st.one_of(st.none(), st.integers(1, 9)),
)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    return frames.build(
        3, draw(st.integers(1, 50)), draw(st.lists(events, min_size=1, max_size=30))
    )


def check(block: Block) -> None:
    """The table describes the frames exactly."""
    assert block.last == block.first + block.frames.count(b"\n\n") - 1
    assert sum(segment.size for segment in block.segments) == len(block.frames)
    expected, offset = block.first, 0
    for segment in block.segments:
        assert segment.first == expected
        part = block.frames[offset : offset + segment.size]
        assert part.count(b"\n\n") == segment.number
        assert part.startswith(b"id: %d\n" % expected)
        expected += segment.number
        offset += segment.size


@given(blocks())
def test_a_block_survives_its_journey(block: Block) -> None:
    check(block)
    assert frames.unpack(frames.pack_table(block) + block.frames) == block


@given(blocks(), st.integers(0, 90))
def test_a_block_can_be_cut_after_any_number(block: Block, after: int) -> None:
    if after >= block.last:
        return
    rest = frames.cut(block, after)
    check(rest)
    assert rest.first == max(block.first, after + 1)
    assert rest.last == block.last
    assert block.frames.endswith(rest.frames)


@given(blocks(), st.integers(1, 400))
def test_a_split_block_is_the_same_frames_in_small_pieces(block: Block, limit: int) -> None:
    pieces = frames.split(block, limit)
    assert b"".join([piece.frames for piece in pieces]) == block.frames
    for piece in pieces:
        check(piece)
        assert len(piece.frames) <= limit or piece.first == piece.last
    assert [piece.first for piece in pieces[1:]] == [piece.last + 1 for piece in pieces[:-1]]


@pytest.mark.parametrize("packed", [b"", b"\x02" * 40, b"\x01" * 10])
def test_what_is_no_block_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="block"):
        frames.unpack(packed)


def test_a_table_cut_short_is_refused() -> None:
    block = frames.build(1, 1, [frames.event("x:a", {})])
    with pytest.raises(ValueError, match="cut short"):
        frames.unpack(frames.pack_table(block)[:-1])
