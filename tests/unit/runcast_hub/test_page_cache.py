"""Pages that were read live in what the rings leave free."""

from tests import chained

from runcast_hub.page_cache import Pages
from runcast_hub.ring import Budget, Ring
from runcast_server.eventlog import frames
from runcast_server.eventlog.history import Page

MIB = 1024 * 1024


def page() -> Page:
    return Page(b"x" * MIB, upto=1)


def half_page() -> Page:
    return Page(b"x" * (MIB // 2), upto=1)


def test_pages_stay_while_there_is_room_and_the_longest_unused_go_first() -> None:
    pages: Pages[int] = Pages(Budget(24 * MIB))
    for number in range(5):
        pages.put(number, page())
    assert pages.get(0) is not None
    for number in range(5, 9):
        pages.put(number, page())
    assert pages.get(1) is None
    assert pages.get(0) is not None
    assert pages.size <= 6 * MIB


def test_a_page_that_is_put_again_counts_once() -> None:
    pages: Pages[int] = Pages(Budget(24 * MIB))
    for _ in range(100):
        pages.put(1, page())
    assert len(pages) == 1
    assert pages.size < 2 * MIB


def test_rings_take_the_memory_back() -> None:
    budget = Budget(8 * MIB)
    pages: Pages[int] = Pages(budget)
    for number in range(7):
        pages.put(number, half_page())
    assert MIB < pages.size <= 2 * MIB
    ring = Ring(budget, max_events=10_000)
    for first in range(1, 5):
        ring.append(chained.block(1, first, [frames.event("x:a", {"fill": "x" * MIB})]))
    assert ring.first == 1
    assert pages.size + budget.used <= budget.size
    assert pages.get(6) is not None
