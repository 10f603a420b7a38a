"""What a filter wants of a tick's blocks: the same as frame by frame, for every kind of filter."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import chained

from runcast_hub import filters
from runcast_hub.filters import Filter, Fresh
from runcast_server.errors import Invalid
from runcast_server.eventlog.segments import Event, Lines

RUNS = [UUID(int=number) for number in range(1, 5)]

events = st.builds(
    lambda run, is_log: (
        Lines(run, b"}", 1, first_line=1) if is_log and run else Event("e", b"{}", run)
    ),
    st.sampled_from([None, *RUNS]),
    st.booleans(),
)
wanted = st.one_of(
    st.just(Filter()),
    st.just(Filter(all_logs=True)),
    st.builds(
        lambda runs: Filter(runs=frozenset(run.bytes for run in runs)),
        st.sets(st.sampled_from(RUNS)),
    ),
    st.sampled_from(RUNS).map(filters.of_run),
)


@given(st.lists(st.lists(events, min_size=1, max_size=8), min_size=1, max_size=5), wanted)
def test_a_tick_s_selection_is_what_the_filter_wants_frame_by_frame(
    batches: list[list[Event | Lines]], chosen: Filter
) -> None:
    blocks, expected, seq = [], b"", 1
    for batch in batches:
        block = chained.block(1, seq, batch)
        blocks.append(block)
        for event in batch:
            alone = chained.block(1, seq, [event])
            if chosen.wants(alone.sections[0]):
                expected += alone.frames
            seq += 1
    assert Fresh(blocks).select(chosen) == expected


def test_filters_that_ask_for_the_same_share_their_bytes() -> None:
    one, other = str(uuid4()), str(uuid4())
    assert filters.parse(f"{one},{other}") == filters.parse(f" {other} , {one},")
    assert hash(filters.parse(one)) == hash(filters.parse(one.upper()))


@pytest.mark.parametrize("text", [None, "", " "])
def test_no_filter_means_no_lines(text: str | None) -> None:
    assert filters.parse(text) == Filter()


def test_a_filter_says_itself_as_its_parameter() -> None:
    run = str(uuid4())
    assert filters.parse("all").as_parameter() == "all"
    assert filters.parse(run).as_parameter() == [run]
    assert filters.parse(None).as_parameter() is None


@pytest.mark.parametrize(
    "text", ["x", "all,x", ",".join(str(uuid4()) for _ in range(201)), "\u0661"]
)
def test_nonsense_is_refused_by_name(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        filters.parse(text)
    assert refusal.value.errors[0].field == "subscribe_logs"
