"""Segments as rows of the table `segments`, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import structlog

from runcast_server.eventlog import segments
from runcast_server.eventlog.segments import Damaged, Piece, Segment

TAKE_NUMBERS = "SELECT * FROM take_numbers($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
"""Stores segments and numbers them; its parameters are `arguments`. A row answers a segment: its
place among those given, from 1; the epoch of the project's history; the number of its first event; the line
number of its first line, or null."""

COLUMNS = (
    "run_id, first_seq, last_seq, at, first_line, count, size, codec, levels, agents, pieces, body"
)
"""What `of_row` needs of a row."""

SINGLE, MERGED = "first_line IS NOT NULL AND pieces IS NULL", "pieces IS NOT NULL"
"""Segments of lines as they were committed, and merged ones: each kind has indexes by run of its own."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

log = structlog.get_logger()


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
    """The row's segments with consecutive numbers: one, or the pieces of a merged one. Raises `Damaged` where
    it can't be known which numbers those are."""
    segment = of_row(row)
    if row["pieces"] is None:
        yield Part(segment, row["at"])
        return
    pieces = _pieces(row)
    for part, piece in zip(segments.split_pieces(segment, pieces), pieces, strict=True):
        yield Part(part, _EPOCH + timedelta(milliseconds=piece.at_ms))


def _pieces(row: Mapping[str, Any]) -> tuple[Piece, ...]:
    return segments.decode_pieces(row["pieces"], row["first_seq"], row["last_seq"], row["count"])


def numbers_of_lines(row: Mapping[str, Any]) -> Sequence[int] | range:
    """The event number of each line of a row's segment, without looking into its body. Raises `Damaged`."""
    if row["pieces"] is None:
        return range(row["first_seq"], row["first_seq"] + row["count"])
    return [seq for piece in _pieces(row) for seq in range(piece.first, piece.first + piece.length)]


def in_order(rows: Iterable[Mapping[str, Any]], after: int, upto: int) -> list[Part]:
    """The segments of these rows above the number `after` and up to `upto`, in the order of their
    numbers, cut at both ends.

    Where the pieces of a merged one can't be read, nothing tells which of the numbers that it spans are its
    own. All those that no other of these rows has are shown as damaged, so that no reader stops at it.
    """
    found: list[Part] = []
    unreadable: list[Mapping[str, Any]] = []
    for row in rows:
        try:
            found += parts(row)
        except Damaged as error:
            log.error("segment.damaged", error=str(error))
            unreadable.append(row)
    for row in unreadable:
        found += _in_its_place(row, found)
    found.sort(key=lambda part: part.segment.first)
    cut = ((segments.cut(part.segment, after, upto), part.at) for part in found)
    return [Part(segment, at) for segment, at in cut if segment is not None]


def _in_its_place(row: Mapping[str, Any], others: Sequence[Part]) -> list[Part]:
    """What stands for a merged segment whose numbers aren't known: the ones that the others leave."""
    lost = of_row(row)._replace(codec=segments.BAD)
    left: list[Part] = []
    seq = row["first_seq"]
    for part in sorted(others, key=lambda part: part.segment.first):
        if part.segment.last >= seq and part.segment.first <= row["last_seq"]:
            if part.segment.first > seq:
                left.append(_lost(lost, seq, part.segment.first - 1, row["at"]))
            seq = part.segment.last + 1
    if seq <= row["last_seq"]:
        left.append(_lost(lost, seq, row["last_seq"], row["at"]))
    return left


def _lost(segment: Segment, first: int, last: int, at: datetime) -> Part:
    return Part(segment._replace(first=first, length=last - first + 1), at)
