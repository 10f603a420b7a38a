"""Segments as rows of the table `segments`, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from runcast_server.eventlog import segments
from runcast_server.eventlog.segments import Segment

TAKE_NUMBERS = "SELECT * FROM take_numbers($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
"""Stores segments and numbers them; its parameters are `arguments`. A row answers a segment: its
place among those given, from 1; the epoch of the project's history; the number of its first event; the line
number of its first line, or null."""

COLUMNS = (
    "run_id, first_seq, last_seq, at, first_line, count, size, codec, levels, agents, pieces, body"
)
"""What `of_row` needs of a row."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Part(NamedTuple):
    """A numbered segment with consecutive numbers, and when it was committed."""

    segment: Segment
    at: datetime


def arguments(given: Iterable[tuple[UUID, Segment]]) -> tuple[list[Any], ...]:
    """The parameters of `TAKE_NUMBERS` for segments, each given with its project."""
    rows = [
        (
            project_id,
            one.run_id,
            one.is_log,
            one.first_line or None,
            one.length,
            one.size,
            one.codec,
            one.levels,
            None if one.agents is None else "\n".join(sorted(one.agents)),
            one.body,
        )
        for project_id, one in given
    ]
    return tuple(map(list, zip(*rows, strict=True))) if rows else ([],) * 10


def of_row(row: Mapping[str, Any]) -> Segment:
    """The segment in a row; of a merged one its `first` is that of its first piece alone."""
    agents = row["agents"]
    return Segment(
        row["run_id"],
        row["first_line"] is not None,
        row["count"],
        row["size"],
        row["codec"],
        row["body"],
        row["first_seq"],
        row["first_line"] or 0,
        row["levels"],
        None if agents is None else frozenset(agents),
    )


def parts(row: Mapping[str, Any]) -> Iterator[Part]:
    """The row's segments with consecutive numbers: one, or the pieces of a merged one. Raises `Damaged`."""
    segment = of_row(row)
    if row["pieces"] is None:
        yield Part(segment, row["at"])
        return
    pieces = segments.decode_pieces(row["pieces"], row["first_seq"])
    for part, piece in zip(segments.split_pieces(segment, pieces), pieces, strict=True):
        yield Part(part, _EPOCH + timedelta(milliseconds=piece.at_ms))


def numbers_of_lines(row: Mapping[str, Any]) -> Sequence[int] | range:
    """The event number of each line of a row's segment, without looking into its body. Raises `Damaged`."""
    if row["pieces"] is None:
        return range(row["first_seq"], row["first_seq"] + row["count"])
    pieces = segments.decode_pieces(row["pieces"], row["first_seq"])
    return [seq for piece in pieces for seq in range(piece.first, piece.first + piece.length)]


def in_order(rows: Iterable[Mapping[str, Any]], after: int, upto: int) -> list[Part]:
    """The segments of these rows above the number `after` and up to `upto`, in the order of their
    numbers, cut at both ends. Raises `Damaged`."""
    found = [part for row in rows for part in parts(row)]
    found.sort(key=lambda part: part.segment.first)
    cut = ((segments.cut(part.segment, after, upto), part.at) for part in found)
    return [Part(segment, at) for segment, at in cut if segment is not None]
