from tests.torture.history import History, Moved, Opened, Refiltered, Wanted

NEW = Wanted(frozenset({"b"}))


def history() -> History:
    seen = History("reader", "changing", "p", Wanted(frozenset({"a"})))
    seen.note(Opened(0, None, None))
    for number in (1, 4, 9):
        seen.frame(number, b"")
    seen.note(Moved(12))
    seen.frame(15, b"")
    return seen


def test_a_change_stands_between_what_it_leaves_and_what_it_rules() -> None:
    seen = history()
    seen.refiltered(Refiltered(5, NEW))
    assert seen.notes[1] == (2, Refiltered(5, NEW))
    seen = history()
    seen.refiltered(Refiltered(10, NEW))
    assert seen.notes[1:] == [(3, Refiltered(10, NEW)), (3, Moved(12))]
    seen = history()
    seen.refiltered(Refiltered(13, NEW))
    assert seen.notes[1:] == [(3, Moved(12)), (3, Refiltered(13, NEW))]


def test_a_stream_that_begins_before_the_last_change_has_the_new_filter_at_once() -> None:
    seen = history()
    seen.refiltered(Refiltered(18, NEW))
    seen.begins_at(15)
    assert seen.notes[-1] == (4, Refiltered(15, NEW))
    assert sum(isinstance(note, Refiltered) for _, note in seen.notes) == 1


def test_a_stream_that_begins_behind_it_changes_nothing() -> None:
    seen = history()
    seen.refiltered(Refiltered(10, NEW))
    before = list(seen.notes)
    seen.begins_at(15)
    assert seen.notes == before


def test_a_reader_without_a_position_begins_at_the_head() -> None:
    seen = History("reader", "all", "p", NEW)
    seen.note(Opened(7, None, None))
    seen.note(Opened(9, 7, 7))
    assert seen.start == 7
