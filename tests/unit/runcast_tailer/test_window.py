"""The bytes under way: counted, let go, sent again."""

from runcast_tailer.file_identity import Committed, Cursor
from runcast_tailer.window import LEAST_WINDOW, MOST_WINDOW, Budget, Sent, Window


def sent(first: int, after: int, size: int = 10, generation: int = 1, closes: bool = False) -> Sent:
    return Sent(
        Cursor(generation, first, first * 10),
        Cursor(generation, after, after * 10),
        b"x" * size,
        closes,
    )


def at(line: int, generation: int = 1, closed: str | None = None) -> Committed:
    return Committed(Cursor(generation, line, line * 10), closed_reason=closed)


def test_what_is_committed_is_let_go() -> None:
    budget = Budget()
    window = Window(budget)
    for first in (1, 11, 21):
        window.add(sent(first, first + 10), 0.0)
    window.acknowledge(at(11), 1.0)
    assert [message.first.line for message in window.sent] == [11, 21]
    assert budget.used == window.size == 20
    window.acknowledge(at(25), 2.0)
    assert [message.first.line for message in window.sent] == [21]
    window.acknowledge(at(1, generation=2), 3.0)
    assert not window.sent
    assert budget.used == 0


def test_a_closing_is_committed_when_the_source_is_closed() -> None:
    window = Window(Budget())
    window.add(sent(5, 5, closes=True), 0.0)
    window.acknowledge(at(5), 1.0)
    assert window.sent
    window.acknowledge(at(5, closed="status"), 1.0)
    assert not window.sent


def test_a_window_has_a_bound_and_a_quiet_file_always_gets_a_little() -> None:
    budget = Budget(total=1_000, one=600, least=100)
    flood, trickle = Window(budget), Window(budget)
    flood.add(sent(1, 2, size=550), 0.0)
    assert budget.left_for(flood) == 0
    flood.add(sent(2, 3, size=450), 0.0)
    assert budget.left_for(trickle) == 100


def test_a_rewind_forgets_what_was_given_to_redis() -> None:
    window = Window(Budget())
    window.add(sent(1, 2), 0.0)
    window.sent[0].entry = "5-1"
    window.rewind(3.0)
    assert window.sent[0].entry is None
    assert window.still_since == 3.0


def test_a_cursor_before_everything_kept_means_that_the_database_went_back() -> None:
    window = Window(Budget())
    window.add(sent(11, 21), 0.0)
    assert window.is_behind(Cursor(1, 5, 50))
    assert not window.is_behind(Cursor(1, 11, 110))
    next_generation = Window(Budget())
    next_generation.add(sent(1, 5, generation=2), 0.0)
    assert not next_generation.is_behind(Cursor(1, 40, 400))


def test_windows_are_as_large_as_what_is_committed_in_a_moment() -> None:
    budget = Budget()
    window = Window(budget)
    sizes = []
    for second, committed in enumerate([0, 10_000_000, 40_000_000, 1_000], 1):
        window.add(sent(1, 2, size=committed), 0.0)
        window.acknowledge(at(2), 0.0)
        budget.pace(float(second))
        sizes.append(budget.one)
    assert sizes == [LEAST_WINDOW, 1_000_000, MOST_WINDOW, LEAST_WINDOW]
