"""The checker, which judges everything else: what it must see, and what it must not call a fault."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.torture.checker import account, check
from tests.torture.history import (
    Backfilled,
    Gap,
    History,
    Moved,
    Opened,
    Refiltered,
    Wanted,
)
from tests.torture.truth import Row, Truth

ALL = Wanted("all")
RUNS = ("a", "b")


def truth(count: int = 40, *, floor: int = 0) -> Truth:
    """Events of two runs: every fifth is no log line."""
    return Truth([row(number) for number in range(floor + 1, count + 1)], floor=floor)


def row(number: int) -> Row:
    run = RUNS[number % 2]
    is_log = number % 5 != 0
    line = sum(1 for n in range(1, number + 1) if n % 5 and n % 2 == number % 2)
    return Row(number, "agent:log", run, line if is_log else None, b'{"n":%d}' % number)


def raw(number: int) -> bytes:
    return b'id: %d\nevent: agent:log\ndata: {"n":%d}' % (number, number)


def history(numbers: list[int], *, wanted: Wanted = ALL, start: int = 0) -> History:
    seen = History("reader", "all", "p", wanted)
    seen.note(Opened(start, start, start))
    for number in numbers:
        seen.frame(number, raw(number))
    return seen


def wanted_numbers(wanted: Wanted, count: int = 40, start: int = 0) -> list[int]:
    return [n for n in range(start + 1, count + 1) if wanted.takes(RUNS[n % 2], n % 5 != 0)]


@pytest.mark.parametrize(
    "wanted", [ALL, Wanted(), Wanted(frozenset({"a"})), Wanted(only_run="b")], ids=str
)
def test_what_came_whole_and_in_order_is_clean(wanted: Wanted) -> None:
    verdict = check(history(wanted_numbers(wanted, start=7), wanted=wanted, start=7), truth())
    assert verdict.is_clean, verdict
    assert verdict.checked == len(wanted_numbers(wanted, start=7))


def test_a_frame_that_is_missing_is_lost() -> None:
    numbers = [n for n in range(1, 41) if n not in (12, 13)]
    assert check(history(numbers), truth()).lost == [12, 13]


def test_a_tail_that_is_missing_is_lost() -> None:
    assert check(history(list(range(1, 39))), truth()).lost == [39, 40]


def test_a_reader_that_left_need_not_reach_the_end() -> None:
    seen = history(list(range(1, 20)))
    seen.ended_early = True
    assert check(seen, truth()).is_clean


def test_a_frame_that_comes_twice_is_doubled() -> None:
    verdict = check(history([*range(1, 9), 8, *range(9, 41)]), truth())
    assert (verdict.doubled, verdict.lost, verdict.reordered) == ([8], [], [])


def test_two_frames_that_changed_places_are_reordered() -> None:
    verdict = check(history([*range(1, 9), 10, 9, *range(11, 41)]), truth())
    assert (verdict.reordered, verdict.lost, verdict.doubled) == ([9], [], [])


def test_other_bytes_than_stored_are_altered() -> None:
    seen = history(list(range(1, 21)))
    seen.frame(21, raw(21) + b" ")
    for number in range(22, 41):
        seen.frame(number, raw(number))
    assert check(seen, truth()).altered == [21]


def test_an_event_beside_the_filter_is_unwanted() -> None:
    wanted = Wanted(frozenset({"a"}))
    seen = history(sorted([*wanted_numbers(wanted), 3]), wanted=wanted)
    assert check(seen, truth()).unwanted == [3]


def test_an_event_that_does_not_exist_is_told() -> None:
    seen = history(list(range(1, 41)))
    seen.frame(41, raw(41))
    assert check(seen, truth()).misled == ["event 41 doesn't exist"]


def test_an_announced_gap_excuses_what_it_covers_and_no_more() -> None:
    seen = history(list(range(1, 11)))
    seen.note(Gap(11, 20, "lag"))
    for number in range(22, 41):
        seen.frame(number, raw(number))
    verdict = check(seen, truth())
    assert (verdict.announced, verdict.lost) == (10, [21])


def test_a_gap_that_begins_too_late_leaves_what_is_before_it_lost() -> None:
    seen = history(list(range(1, 11)))
    seen.note(Gap(13, 20, "lag"))
    for number in range(21, 41):
        seen.frame(number, raw(number))
    assert check(seen, truth()).lost == [11, 12]


def test_a_retention_gap_above_the_floor_is_a_lie() -> None:
    seen = history([], start=3)
    seen.note(Gap(4, 12, "retention"))
    for number in range(13, 41):
        seen.frame(number, raw(number))
    assert not check(seen, truth(floor=10)).is_clean
    honest = history([], start=3)
    honest.note(Gap(4, 10, "retention"))
    for number in range(11, 41):
        honest.frame(number, raw(number))
    assert check(honest, truth(floor=10)).is_clean


def test_a_heartbeat_may_pass_only_what_the_filter_left_out() -> None:
    wanted = Wanted()
    seen = history([5, 10], wanted=wanted)
    seen.note(Moved(14))
    for number in (15, 20, 25, 30, 35, 40):
        seen.frame(number, raw(number))
    assert check(seen, truth()).is_clean
    early = history([5, 10], wanted=wanted)
    early.note(Moved(16))
    for number in (20, 25, 30, 35, 40):
        early.frame(number, raw(number))
    assert check(early, truth()).lost == [15]


def test_a_heartbeat_that_goes_back_or_beyond_the_end_is_a_lie() -> None:
    for position in (10, 41):
        seen = history(list(range(1, 21)))
        seen.note(Moved(position))
        seen.ended_early = True
        assert len(check(seen, truth()).misled) == 1


def test_a_resume_from_another_position_is_a_lie() -> None:
    seen = history(list(range(1, 21)))
    seen.note(Opened(30, 19, 20))
    for number in range(21, 41):
        seen.frame(number, raw(number))
    assert len(check(seen, truth()).misled) == 1


def test_a_changed_filter_counts_from_where_it_was_said_to() -> None:
    seen = history([5, 10, 15], wanted=Wanted())
    seen.note(Refiltered(17, ALL))
    for number in range(18, 41):
        seen.frame(number, raw(number))
    assert check(seen, truth()).is_clean


@pytest.mark.parametrize(
    ("first", "last", "is_clean"), [(3, 8, True), (3, 7, False), (4, 8, False), (3, 9, False)]
)
def test_backfilled_lines_are_those_up_to_the_head(first: int, last: int, is_clean: bool) -> None:
    stored = truth()
    sums = stored.lines("b").sums
    head = stored.lines("b").seqs[7]
    seen = history([], start=head)
    seen.note(Backfilled("b", first, last, head, tuple(sums[2:8])))
    for number in range(head + 1, 41):
        seen.frame(number, raw(number))
    assert check(seen, stored).is_clean is is_clean


def test_a_log_with_a_hole_is_no_truth() -> None:
    with pytest.raises(ValueError, match="event 3"):
        Truth([row(1), row(3)])


@given(st.integers(0, 2**32), st.sampled_from(["drop", "double", "swap", "cut"]))
def test_any_one_sabotage_of_any_history_is_caught(seed: int, sabotage: str) -> None:
    """Wherever the notes stand between the frames."""
    chance = random.Random(seed)
    numbers = list(range(1, 41))
    place = chance.randrange(39)
    match sabotage:
        case "drop":
            del numbers[place]
        case "double":
            numbers.insert(chance.randrange(place + 1, 41), numbers[place])
        case "swap":
            numbers[place], numbers[place + 1] = numbers[place + 1], numbers[place]
        case "cut":
            del numbers[place:]
    seen = History("reader", "all", "p", ALL)
    seen.note(Opened(0, 0, 0))
    highest = 0
    for number in numbers:
        if chance.random() < 0.3:
            seen.note(Moved(highest) if chance.random() < 0.5 else Opened(40, highest, highest))
        seen.frame(number, raw(number))
        highest = max(highest, number)
    verdict = check(seen, truth())
    expected = {"drop": "lost", "double": "doubled", "swap": "reordered", "cut": "lost"}[sabotage]
    assert getattr(verdict, expected)
    assert not check(history(list(range(1, 41))), truth()).lost


def test_a_writer_is_told_what_became_of_its_events() -> None:
    assert account("w", [1, 2, 3], [1, 2, 3, 4], in_order=True).is_clean
    told = account("w", [1, 2, 3], [2, 1, 1], in_order=True)
    assert (told.lost, told.doubled, told.reordered) == ([3], [1], [1])
    assert account("w", [1, 2], [2, 1], in_order=False).is_clean
