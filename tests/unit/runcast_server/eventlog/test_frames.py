"""Frames byte for byte, and blocks cut and split anywhere."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import chained

from runcast_server.eventlog import chains, frames
from runcast_server.eventlog.chains import Chain
from runcast_server.eventlog.frames import Block, Event, Lines

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


texts = st.binary(min_size=1, max_size=60).map(lambda data: data.hex().encode())
events = st.one_of(
    st.builds(
        Event,
        st.sampled_from(["run:created", "x:a"]),
        texts,
        st.sampled_from([None, RUN, UUID(int=7)]),
    ),
    st.builds(lambda run, text: Lines(run, text, 1), st.sampled_from([RUN, UUID(int=7)]), texts),
)


@st.composite
def given_chains(draw: st.DrawFn) -> Chain:
    return chained.chain(
        3, draw(st.integers(1, 50)), draw(st.lists(events, min_size=1, max_size=30))
    )


blocks = given_chains().map(frames.render)


def check(block: Block) -> None:
    """The table describes the frames exactly."""
    assert block.last == block.first + block.frames.count(b"\n\n") - 1
    assert sum(section.size for section in block.sections) == len(block.frames)
    expected, offset = block.first, 0
    for section in block.sections:
        assert section.first == expected
        part = block.frames[offset : offset + section.size]
        assert part.count(b"\n\n") == section.number
        assert part.startswith(b"id: %d\n" % expected)
        expected += section.number
        offset += section.size


@given(given_chains())
def test_a_chain_survives_its_journey_and_its_table_describes_the_frames(chain: Chain) -> None:
    check(frames.render(chain))
    arrived = chains.unpack(chains.pack_table(chain) + chains.pack_bodies(chain))
    assert frames.render(arrived) == frames.render(chain)


def test_of_a_damaged_section_the_client_is_told_and_the_rest_is_there() -> None:
    chain = chained.chain(1, 5, [Lines(RUN, b"}\n}\n}", 3, first_line=1), frames.event("x:a", {})])
    lines, other = chain.segments
    block = frames.render(chains.of(1, [lines._replace(codec=9), other]))
    check(block)
    *fillers, gap, event, _ = block.frames.split(b"\n\n")
    assert fillers == [b"id: 5", b"id: 6"]
    assert gap.startswith(b'id: 7\nevent: gap\ndata: {"from":5,"to":7,"reason":"damaged"')
    assert event == b"id: 8\nevent: x:a\ndata: {}"


@given(blocks, st.integers(0, 90))
def test_a_block_can_be_cut_after_any_number(block: Block, after: int) -> None:
    if after >= block.last:
        return
    rest = frames.cut(block, after)
    check(rest)
    assert rest.first == max(block.first, after + 1)
    assert rest.last == block.last
    assert block.frames.endswith(rest.frames)


@given(blocks, st.integers(1, 400))
def test_a_split_block_is_the_same_frames_in_small_pieces(block: Block, limit: int) -> None:
    pieces = frames.split(block, limit)
    assert b"".join([piece.frames for piece in pieces]) == block.frames
    for piece in pieces:
        check(piece)
        assert len(piece.frames) <= limit or piece.first == piece.last
    assert [piece.first for piece in pieces[1:]] == [piece.last + 1 for piece in pieces[:-1]]


@pytest.mark.parametrize("packed", [b"", b"\x03" * 40, b"\x02" * 10])
def test_what_is_no_chain_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="chain"):
        chains.unpack(packed)


def test_a_chain_cut_anywhere_is_refused() -> None:
    chain = chained.chain(1, 1, [frames.event("x:a", {}), Lines(RUN, b"}", 1)])
    table, whole = chains.pack_table(chain), chains.pack_table(chain) + chains.pack_bodies(chain)
    for end in range(len(whole)):
        if end != len(table):
            with pytest.raises(ValueError, match="chain"):
                chains.unpack(whole[:end])
