"""Tables that fit: a row is a line, whatever the width; columns are cut, then left out, by rank."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

GAP = 2
LEAST = 6
"""A column isn't cut to less than this."""


@dataclass(frozen=True)
class Column:
    """`shrinks`: its texts may be cut. `drops`: it may be left out, those with higher ranks first."""

    title: str
    shrinks: bool = False
    drops: int = 0


def width_of(text: str) -> int:
    """Cells that a text takes on a terminal (Unicode, UAX 11)."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF")
        for c in text
    )


def cut(text: str, width: int) -> str:
    """At most this many cells of a text; one that is cut ends in `…`."""
    if width_of(text) <= width:
        return text
    kept, used = [], 1
    for character in text:
        used += width_of(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept) + "…"


def padded(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))


def fitted(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None
) -> tuple[list[int], list[int]]:
    """Which columns are shown, and how wide; None is as wide as it takes."""
    kept = [n for n, column in enumerate(columns) if _says_something(column, n, rows)]
    widths = {
        n: max([width_of(columns[n].title), *(width_of(row[n]) for row in rows)]) for n in kept
    }
    if width is None:
        return kept, [widths[n] for n in kept]
    while kept:
        excess = sum(widths[n] for n in kept) + GAP * (len(kept) - 1) - width
        spare = {n: widths[n] - LEAST for n in kept if columns[n].shrinks and widths[n] > LEAST}
        dropping = [n for n in kept if columns[n].drops]
        if excess <= 0 or (excess > sum(spare.values()) and not dropping and not spare):
            break
        if excess * 4 > sum(spare.values()) * 3 and dropping:
            kept.remove(max(dropping, key=lambda n: columns[n].drops))
        elif spare:
            widths[max(spare, key=lambda n: widths[n])] -= 1
        else:
            break
    return kept, [widths[n] for n in kept]


def _says_something(column: Column, place: int, rows: Sequence[Sequence[str]]) -> bool:
    return not column.drops or not rows or any(row[place] not in ("", "-") for row in rows)
