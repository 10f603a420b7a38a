"""The cursor of a source: whatever is sent, however often and in whatever order, each line once."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from runcast_api.logs.sources import Batch, Source, SourceKey, accept

RUN = UUID("01a1f94d-287c-779b-bb7d-f56e512a6ff7")
AT = datetime(2026, 1, 31, tzinfo=UTC)


def source() -> Source:
    return Source(SourceKey(RUN, "s"), RUN, 1, 1, 0, 0, 0, 0, None, None)


def batch(first: int, count: int, *, generation: int = 1, closed: str | None = None) -> Batch:
    """Lines that are all three bytes long, with their ends."""
    texts = [f"{number:02}" for number in range(first, first + count)]
    start = (first - 1) * 3
    return Batch(generation, first, start, start + count * 3, texts, AT, closed_reason=closed)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 10)), max_size=40))
def test_any_order_of_batches_stores_each_line_once(sent: list[tuple[int, int]]) -> None:
    kept = source()
    stored: list[str] = []
    for first, count in sent:
        given_batch = batch(first, count)
        accepted = accept(kept, given_batch)
        if accepted is not None:
            stored += given_batch.texts[accepted.start :]
        assert stored == [f"{number:02}" for number in range(1, len(stored) + 1)]
        assert kept.next_line == len(stored) + 1
        assert kept.next_offset == 3 * len(stored)


def test_lines_after_the_sentinel_are_not_taken() -> None:
    kept = source()
    accepted = accept(kept, batch(1, 2, closed="sentinel"))
    assert accepted is not None
    assert accepted.has_closed
    assert accept(kept, batch(3, 5)) is None
    assert kept.next_line == 3


def test_another_generation_begins_anew_and_reopens() -> None:
    kept = source()
    accept(kept, batch(1, 2, closed="sentinel"))
    accepted = accept(kept, batch(1, 3, generation=2))
    assert accepted is not None
    assert accepted.has_reopened
    assert (kept.generation, kept.next_line, kept.lines, kept.bytes) == (2, 4, 5, 15)
    assert accept(kept, batch(3, 9)) is None


def test_a_log_is_closed_once_and_reopened_by_lines() -> None:
    kept = source()
    accept(kept, batch(1, 1))
    closing = batch(2, 0, closed="status")
    accepted = accept(kept, closing)
    assert accepted is not None
    assert accepted.has_closed
    assert accept(kept, closing) is None
    more = accept(kept, batch(2, 1))
    assert more is not None
    assert more.has_reopened
    assert kept.closed_reason is None


def test_the_right_line_at_the_wrong_byte_is_discarded() -> None:
    kept = source()
    accept(kept, batch(1, 2))
    elsewhere = Batch(1, 3, 5, 8, ["03"], AT)
    assert accept(kept, elsewhere) is None
