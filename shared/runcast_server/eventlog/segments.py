"""Segments: how events are stored and travel.

A segment is consecutive events of one run and kind (log lines, or anything else) that were committed
together. Its body is records separated by line feeds; JSON in one line holds none. A record knows no
numbers, so a body is final before any number is known:

- a line's record is the members of its data behind `run_id` and `line_number`: `"line":"…",…}`;
- any other event's record is its type, a space and its data: `run:created {…}`.

From about 1 KiB on a body is compressed, where that pays; `codec` says how. The numbers stand in the
segment and are put in front of the records when they are read (`frames`, `datas`): the bytes are the same
whether an event is delivered live or read back, from memory, Redis or Postgres.

Lines of one run that trickled in may be merged afterwards. A merged segment's lines are consecutive, its
event numbers are not: `pieces` says which they are, and when each piece was committed. It spans at most
`MAX_SPAN` numbers, so that a reader of numbers knows how far it has to look for one that overlaps.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import NamedTuple
from uuid import UUID

import orjson

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LOG_TYPE = "agent:log"
PLAIN, ZSTD, BAD = 0, 1, 255
"""Codecs. A body that is packed in another way gets another number, so this is the format's version too. The
last one is never stored: it marks a part of a segment that can't be read."""
COMPRESS_BYTES = 1024
"""Records from this size on are compressed: below, they stay readable for anyone who looks with psql."""
MAX_RECORDS = 1_000
"""Records of a segment at most."""
MAX_BYTES = 256 * 1024
"""Records of a segment at most, in bytes; a longer record is a segment of its own."""
MAX_SPAN = 5_000
"""Numbers from the first to the last of a merged segment at most."""

LEVELS = {
    level: 1 << place
    for place, level in enumerate(("trace", "debug", "info", "warning", "error", "critical"))
}
"""The bit of each level."""
OTHER_LEVEL, NO_LEVEL = 64, 128
"""The bits of a level that we have no name for, and of lines without one."""
LAST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, since 1970."""
MAX_AGENTS = 32
"""Agents that a segment names; of more it says nothing, and is looked into."""

_OPTIONS: Mapping[int, int] = {
    zstd.CompressionParameter.compression_level: 1,
    zstd.CompressionParameter.checksum_flag: 1,
}


class Damaged(Exception):
    """A stored segment that can't be read; the message says which and why."""


class Event(NamedTuple):
    """One event that isn't a log line, before it has a number. `data` is one line of JSON."""

    type: str
    data: bytes
    run_id: UUID | None = None


class Lines(NamedTuple):
    """Consecutive log lines of one run before they have event numbers: their records, joined."""

    run_id: UUID
    records: bytes
    length: int
    """How many."""
    levels: int = NO_LEVEL
    agents: frozenset[str] = frozenset()
    first_line: int | None = None
    """The line number of the first; None: the commit takes the run's next ones."""


class Segment(NamedTuple):
    """See the module. `first` is 0 until the segment is numbered, and `first_line` for no log lines."""

    run_id: UUID | None
    is_log: bool
    length: int
    """How many records."""
    size: int
    """Bytes of the records."""
    codec: int
    body: bytes
    first: int = 0
    first_line: int = 0
    levels: int | None = None
    agents: frozenset[str] | None = None

    @property
    def last(self) -> int:
        return self.first + self.length - 1

    @property
    def last_line(self) -> int:
        return self.first_line + self.length - 1


class Piece(NamedTuple):
    """Consecutive records of a merged segment: the number of the first, how many, and when they were
    committed, in milliseconds since 1970."""

    first: int
    length: int
    at_ms: int


# ---------------------------------------------------------------------------------- making them


def level_bit(level: str | None) -> int:
    """The bit of a line's level."""
    return NO_LEVEL if level is None else LEVELS.get(level, OTHER_LEVEL)


def of(emitted: Iterable[Event | Lines]) -> list[Segment]:
    """The segments of what one commit emits, in its order. They are not numbered yet; `first_line` is
    set where the line numbers are known."""
    return list(one_by_one(emitted))


def one_by_one(emitted: Iterable[Event | Lines]) -> Iterator[Segment]:
    """The same, each packed as it is asked for: a caller with many lines lets others have turns between."""
    open_lines: list[Lines] = []
    open_events: list[Event] = []
    held = 0
    for item in emitted:
        if isinstance(item, Lines):
            yield from _close_events(open_events)
            if open_lines and not (_continues(open_lines, item) and _fits(held, item)):
                yield from _close_lines(open_lines)
            held = item.length + (held if open_lines else 0)
            open_lines.append(item)
        else:
            yield from _close_lines(open_lines)
            if open_events and (
                item.run_id != open_events[-1].run_id or len(open_events) == MAX_RECORDS
            ):
                yield from _close_events(open_events)
            open_events.append(item)
    yield from _close_events(open_events)
    yield from _close_lines(open_lines)


def _continues(lines: Sequence[Lines], item: Lines) -> bool:
    last = lines[-1]
    if last.first_line is None or item.first_line is None:
        return item.run_id == last.run_id and item.first_line is last.first_line
    return item.run_id == last.run_id and item.first_line == last.first_line + last.length


def _fits(held: int, item: Lines) -> bool:
    """Whether lines join those before them. Where a segment would be more than full, one that is half full
    or more stays as it is: to cut what was joined costs more than a row."""
    return held + item.length <= MAX_RECORDS or held < MAX_RECORDS // 2


def _close_events(events: list[Event]) -> Iterator[Segment]:
    if events:
        records = [b"%b %b" % (event.type.encode(), event.data) for event in events]
        for part in _cut(records):
            yield _packed(events[0].run_id, False, b"\n".join(part), len(part))
        events.clear()


def _close_lines(lines: list[Lines]) -> Iterator[Segment]:
    if not lines:
        return
    first_line = lines[0].first_line or 0
    levels, agents = _known(lines)
    records = lines[0].records if len(lines) == 1 else b"\n".join([one.records for one in lines])
    number = sum(one.length for one in lines)
    if number <= MAX_RECORDS and len(records) <= MAX_BYTES:
        parts = [(records, number)]
    else:
        parts = [(b"\n".join(part), len(part)) for part in _cut(records.split(b"\n"))]
    for body, length in parts:
        yield _packed(lines[0].run_id, True, body, length, first_line, levels, agents)
        first_line += length if first_line else 0
    lines.clear()


def _known(lines: Sequence[Lines]) -> tuple[int, frozenset[str] | None]:
    """The levels and agents of lines. None for the agents where they are too many, or a name has a character
    that Postgres can't hold or that separates names on their way there: a filter then looks at the lines."""
    levels, agents = 0, frozenset[str]()
    for one in lines:
        levels |= one.levels
        agents |= one.agents
    if len(agents) > MAX_AGENTS or any("\0" in agent or "\n" in agent for agent in agents):
        return levels, None
    return levels, agents


def _cut(records: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """The records in parts that fit into a segment."""
    start = size = 0
    for place, record in enumerate(records):
        if place > start and (place - start == MAX_RECORDS or size + len(record) > MAX_BYTES):
            yield records[start:place]
            start, size = place, 0
        size += len(record) + 1
    yield records[start:]


def _packed(
    run_id: UUID | None,
    is_log: bool,
    records: bytes,
    length: int,
    first_line: int = 0,
    levels: int | None = None,
    agents: frozenset[str] | None = None,
) -> Segment:
    codec, body = pack(records)
    return Segment(run_id, is_log, length, len(records), codec, body, 0, first_line, levels, agents)


def pack(records: bytes) -> tuple[int, bytes]:
    """The codec and body of records."""
    if len(records) >= COMPRESS_BYTES:
        packed = zstd.compress(records, options=_OPTIONS)
        if len(packed) < len(records):
            return ZSTD, packed
    return PLAIN, records


# ---------------------------------------------------------------------------------- reading them


def unpack(segment: Segment) -> bytes:
    """The records, joined. Raises `Damaged`."""
    if segment.codec == PLAIN:
        records = segment.body
    elif segment.codec == ZSTD:
        records = _decompressed(segment)
    else:
        is_bad = segment.codec == BAD
        raise _damaged(segment, "can't be read" if is_bad else f"unknown codec {segment.codec}")
    if len(records) != segment.size:
        raise _damaged(segment, f"{len(records):,} bytes, not {segment.size:,}")
    if records.count(b"\n") != segment.length - 1:
        raise _damaged(segment, f"{records.count(10) + 1} records, not {segment.length}")
    if segment.codec == PLAIN and not _is_sound(segment, records):
        raise _damaged(segment, "its records aren't JSON")
    return records


def check(segment: Segment) -> None:
    """Raises `Damaged` for a segment whose records can't be read one by one."""
    if not _is_sound(segment, unpack(segment)):
        raise _damaged(segment, "its records aren't JSON")


def _is_sound(segment: Segment, records: bytes) -> bool:
    """Whether uncompressed records can be parsed: zstd has a checksum, they have none, and one of them would
    spoil the answer or the stream that all others are in."""
    try:
        if segment.is_log:
            parsed = orjson.loads(b"[{%b]" % records.replace(b"\n", b",{"))
            return len(parsed) == segment.length
        for record in records.split(b"\n"):
            type, _, data = record.partition(b" ")
            if not type.isascii() or not isinstance(orjson.loads(data), dict):
                return False
    except orjson.JSONDecodeError:
        return False
    return True


def _decompressed(segment: Segment) -> bytes:
    try:
        decompressor = zstd.ZstdDecompressor()
        records: bytes = decompressor.decompress(segment.body, max_length=max(1, segment.size + 1))
    except zstd.ZstdError as error:
        raise _damaged(segment, str(error)) from None
    if not decompressor.eof:
        raise _damaged(segment, "the body ends too early")
    return records


def _damaged(segment: Segment, reason: str) -> Damaged:
    whose = f" of run {segment.run_id}" if segment.run_id else ""
    lines = f", lines {segment.first_line}…{segment.last_line}" if segment.is_log else ""
    return Damaged(f"events {segment.first}…{segment.last}{whose}{lines}: {reason}")


def split(segment: Segment) -> list[bytes]:
    """The records one by one. Raises `Damaged`."""
    return unpack(segment).split(b"\n")


_LOG_FRAME = b'id: %%d\nevent: agent:log\ndata: {"run_id":"%b","line_number":%%d,%%b\n\n'


def frames(segment: Segment) -> bytes:
    """The SSE frames of a numbered segment: the one place where numbers are put in front. Raises
    `Damaged`."""
    records = unpack(segment).split(b"\n")
    if segment.is_log:
        # One template for all lines: half the time of putting each together as text.
        frame = _LOG_FRAME % str(segment.run_id).encode()
        numbers = zip(count(segment.first), count(segment.first_line), records)
        return b"".join([frame % members for members in numbers])
    made = []
    for seq, record in enumerate(records, segment.first):
        type, _, data = record.partition(b" ")
        made.append(b"id: %d\nevent: %b\ndata: %b\n\n" % (seq, type, data))
    return b"".join(made)


def datas(segment: Segment) -> list[tuple[str, bytes]]:
    """Type and data of each event of a numbered segment. Raises `Damaged`."""
    if segment.is_log:
        head = b'{"run_id":"%b","line_number":' % str(segment.run_id).encode()
        return [
            (LOG_TYPE, b"%b%d,%b" % (head, line, record))
            for line, record in enumerate(split(segment), segment.first_line)
        ]
    return [
        (type.decode(), data)
        for type, _, data in (record.partition(b" ") for record in split(segment))
    ]


def cut(segment: Segment, after: int, upto: int) -> Segment | None:
    """The part of a numbered segment above the number `after` and up to `upto`; None where there is
    none. The part of a damaged one is damaged."""
    if segment.first > after and segment.last <= upto:
        return segment
    skip = max(0, after + 1 - segment.first)
    length = min(segment.last, upto) - segment.first + 1 - skip
    return _part(segment, _split(segment), skip, length) if length > 0 else None


def _split(segment: Segment) -> Sequence[bytes] | None:
    """The records, or None where they can't be read."""
    try:
        return split(segment)
    except Damaged:
        return None


def _part(segment: Segment, records: Sequence[bytes] | None, skip: int, length: int) -> Segment:
    first_line = segment.first_line + skip if segment.is_log else 0
    part = segment._replace(first=segment.first + skip, first_line=first_line, length=length)
    if records is None:
        return part._replace(codec=BAD)
    body = b"\n".join(records[skip : skip + length])
    return part._replace(size=len(body), codec=PLAIN, body=body)


# ---------------------------------------------------------------------------------- merged ones


def merge(parts: Sequence[tuple[Segment, int]]) -> tuple[Segment, tuple[Piece, ...]]:
    """One segment of several, each given with the time of its commit in milliseconds. They are log
    lines of one run, consecutive, in order; `MAX_RECORDS`, `MAX_BYTES` and `MAX_SPAN` are the caller's to
    keep. Raises `Damaged`."""
    first = parts[0][0]
    records = b"\n".join([unpack(segment) for segment, _ in parts])
    codec, body = pack(records)
    known = [segment.agents for segment, _ in parts if segment.agents is not None]
    agents = frozenset[str]().union(*known) if len(known) == len(parts) else None
    bits = [segment.levels for segment, _ in parts]
    levels = None
    if None not in bits:
        levels = 0
        for bit in bits:
            levels |= bit or 0
    merged = Segment(
        first.run_id,
        True,
        sum(segment.length for segment, _ in parts),
        len(records),
        codec,
        body,
        first.first,
        first.first_line,
        levels,
        agents if agents is None or len(agents) <= MAX_AGENTS else None,
    )
    return merged, tuple(Piece(segment.first, segment.length, at) for segment, at in parts)


def split_pieces(segment: Segment, pieces: Sequence[Piece]) -> list[Segment]:
    """The segments that were merged, numbered; those of a damaged one are damaged."""
    records = _split(segment)
    if sum(piece.length for piece in pieces) != segment.length:
        records = None
    parts: list[Segment] = []
    skip = 0
    for piece in pieces:
        parts.append(_part(segment, records, skip, piece.length)._replace(first=piece.first))
        skip += piece.length
    return parts


def encode_pieces(pieces: Sequence[Piece]) -> bytes:
    """Pieces as they are stored: three numbers each (the gap in numbers to the piece before, how many,
    the milliseconds since the piece before), in groups of seven bits, the lowest first."""
    encoded = bytearray()
    seq, at = pieces[0].first, 0
    for piece in pieces:
        for number in (piece.first - seq, piece.length, piece.at_ms - at):
            while number > 127:
                encoded.append(number & 127 | 128)
                number >>= 7
            encoded.append(number)
        seq, at = piece.first + piece.length, piece.at_ms
    return bytes(encoded)


_NUMBER = re.compile(rb"[\x80-\xff]*[\x00-\x7f]")


def decode_pieces(encoded: bytes, first: int, last: int, length: int) -> tuple[Piece, ...]:
    """The pieces of a merged segment of `length` lines, from number `first` to `last`. Raises `Damaged`."""
    numbers = [
        sum((byte & 127) << 7 * place for place, byte in enumerate(group))
        for group in _NUMBER.findall(encoded)
    ]
    which = f"events {first}…{last}: the pieces of the segment"
    if len(numbers) % 3 or not numbers or encoded[-1] > 127:
        raise Damaged(f"{which} are cut short")
    pieces: list[Piece] = []
    seq, at = first, 0
    for gap, number, later in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True):
        seq, at = seq + gap, at + later
        pieces.append(Piece(seq, number, at))
        seq += number
    if (seq - 1, sum(numbers[1::3])) != (last, length) or at > LAST_MS or 0 in numbers[1::3]:
        raise Damaged(f"{which} don't add up to {length} lines")
    return tuple(pieces)
