"""Tables: a row is one line at any width, and nothing is cut where there is no terminal."""

from hypothesis import given
from hypothesis import strategies as st

from runcast.cli.table import Column, cut, fitted, width_of

COLUMNS = (
    Column("#", drops=2),
    Column("run", shrinks=True),
    Column("status"),
    Column("name", shrinks=True, drops=1),
    Column("created"),
)
ROW = (
    "12",
    "nightly-agent-build",
    "completed",
    "Build everything, with a long name for it",
    "3s ago",
)


def total(width: int | None) -> int:
    kept, widths = fitted(COLUMNS, [ROW], width)
    assert len(kept) == len(widths)
    return sum(widths) + 2 * (len(widths) - 1)


@given(st.integers(30, 200))
def test_a_table_fits(width: int) -> None:
    assert total(width) <= width


def test_nothing_is_cut_where_there_is_no_terminal() -> None:
    kept, widths = fitted(COLUMNS, [ROW], None)
    assert (kept, widths) == ([0, 1, 2, 3, 4], [2, 19, 9, 41, len("created")])


def test_names_stay_at_sixty_columns() -> None:
    kept, _ = fitted(COLUMNS, [ROW], 60)
    assert [COLUMNS[n].title for n in kept] == ["#", "run", "status", "name", "created"]


@given(st.text(max_size=40), st.integers(1, 40))
def test_a_text_is_cut_to_its_cells(text: str, width: int) -> None:
    assert width_of(cut(text, width)) <= width
    assert width_of(text) > width or cut(text, width) == text
