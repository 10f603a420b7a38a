"""The ring: contiguous, bounded in events and in bytes, fair among rooms."""

from hypothesis import given
from hypothesis import strategies as st
from tests import chained

from runcast_hub.ring import Budget, Ring
from runcast_server.eventlog import frames
from runcast_server.eventlog.frames import Block

SIZE = 64 * 1024


def block(first: int, count: int = 1, size: int = 10) -> Block:
    return chained.block(1, first, [frames.event("x:a", {"fill": "x" * size})] * count)


def test_the_oldest_go_when_there_are_too_many_events() -> None:
    ring = Ring(Budget(1 << 20), max_events=10)
    for first in range(1, 31, 3):
        ring.append(block(first, 3))
    assert ring.first == 22


def test_the_oldest_go_when_there_are_too_many_bytes() -> None:
    budget = Budget(SIZE)
    ring = Ring(budget, max_events=10_000)
    for first in range(1, 200):
        ring.append(block(first, size=1000))
    assert budget.used <= SIZE
    assert ring.first is not None
    assert ring.first > 100


def test_a_room_may_use_what_others_leave_free_and_gives_it_back() -> None:
    budget = Budget(4 * SIZE)
    rings = [Ring(budget, 100_000) for _ in range(4)]
    for first in range(1, 200):
        rings[0].append(block(first, size=1000))
    assert rings[0].first == 1
    for ring in rings[1:]:
        for first in range(1, 80):
            ring.append(block(first, size=1000))
    assert budget.used <= budget.size
    assert rings[0].first > 1
    assert all(ring.first is not None and ring.first <= 35 for ring in rings[1:])
    for ring in rings:
        ring.close()
    assert (budget.used, budget.rings) == (0, set())


def test_a_block_larger_than_the_budget_is_not_held() -> None:
    budget = Budget(SIZE)
    ring = Ring(budget, max_events=10)
    ring.append(block(1, size=2 * SIZE))
    assert (ring.first, budget.used) == (None, 0)
    ring.append(block(2))
    assert ring.first == 2


def test_the_budget_holds_over_many_rooms_and_an_append_stays_flat() -> None:
    """Each of 10,000 rooms could always keep 64 KiB, and every append went through all of them."""
    budget = Budget(64 * SIZE)
    rings = [Ring(budget, 10_000) for _ in range(2_000)]
    appended = 0
    for turn in range(1, 4):
        for ring in rings:
            ring.append(block(turn, size=4_000))
            appended += 1
            assert budget.used <= budget.size
    bytes_a_walk = budget.of_rings / 16
    assert budget.walks <= appended * 4_100 / bytes_a_walk + 1
    held = [ring for ring in rings if ring.first is not None]
    assert held == rings[-len(held) :], "those that were written last keep what they have"


def test_what_comes_before_is_taken_while_there_is_room() -> None:
    ring = Ring(Budget(1 << 20), max_events=6)
    ring.append(block(10, 2))
    assert ring.prepend(block(7, 3))
    assert not ring.prepend(block(3, 4))
    assert ring.first == 7


@given(st.lists(st.integers(1, 5), min_size=1, max_size=40), st.data())
def test_reading_after_any_cursor_goes_on_without_a_hole(
    sizes: list[int], data: st.DataObject
) -> None:
    ring = Ring(Budget(1 << 20), max_events=1000)
    first = 1
    for size in sizes:
        ring.append(block(first, size))
        first += size
    cursor = data.draw(st.integers(0, first - 2))
    taken = ring.after(cursor, data.draw(st.integers(1, 2000)))
    assert taken[0].first <= cursor + 1 <= taken[0].last
    assert [b.first for b in taken[1:]] == [b.last + 1 for b in taken[:-1]]
