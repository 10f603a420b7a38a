"""Events as bytes: the SSE frame, and the block in which numbered frames travel.

An event is encoded once, by its writer, as the two lines `event:` and `data:`. When its number is
known, `id:` is put in front, and from then on the same bytes go through Redis, a hub's memory and
every socket. A block is a run of consecutively numbered frames with a small table in front that says
which of them are log lines, and of which run, so that a hub routes without parsing JSON.

The field syntax is the one of the HTML standard, section 9.2.6 ("Interpreting an event stream"):
a name, a colon, a space, the value, a line feed; an empty line ends the frame.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import orjson

LOG_TYPE = "agent:log"
FRAME_END = b"\n\n"
BLOCK_VERSION = 1

_HEADER = struct.Struct(">BQQqI")  # version, first, last, epoch, number of segments
_SEGMENT = struct.Struct(">B16sQII")  # is log, run (zero: none), first number, count, bytes
_NO_RUN = bytes(16)


class Event(NamedTuple):
    """One event before it has a number. `data` is one line of JSON, encoded once."""

    type: str
    data: bytes
    run_id: UUID | None = None
    line_number: int | None = None

    @property
    def is_log(self) -> bool:
        """Whether this is a log line, which only subscribers of its run receive."""
        return self.line_number is not None


class Lines(NamedTuple):
    """Consecutive log lines of one run before they have event numbers, as the data of their events."""

    run_id: UUID
    first: int
    """The line number of the first one."""
    datas: Sequence[str]


class Segment(NamedTuple):
    """Consecutive frames of one run and one kind within a block."""

    is_log: bool
    run: bytes
    """The run's 16 bytes; empty where no run is concerned."""
    first: int
    number: int
    size: int


@dataclass(frozen=True, slots=True)
class Block:
    """Frames `first`…`last` of one project's history, without a hole.

    `frames` is empty where a block travels as its table alone (see `bus`).
    """

    epoch: int
    first: int
    last: int
    segments: Sequence[Segment]
    frames: bytes


def event(type: str, data: dict[str, Any], *, run_id: UUID | None = None) -> Event:
    """An event whose data is `data`, with `run_id` in front where a run is concerned."""
    members = data if run_id is None else {"run_id": str(run_id)} | data
    return Event(type, orjson.dumps(members), run_id)


def frame(seq: int, type: str, data: bytes) -> bytes:
    """The SSE frame of the event numbered `seq`."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (seq, type.encode(), data)


def control(type: str, data: dict[str, Any], *, id: int | None = None) -> bytes:
    """A control frame. It carries no id, except where it moves the client's position (`gap`)."""
    position = b"" if id is None else b"id: %d\n" % id
    return b"%bevent: %b\ndata: %b\n\n" % (position, type.encode(), orjson.dumps(data))


def heartbeat(cursor: int) -> bytes:
    """A comment, and the client's own position: moves `Last-Event-ID`, dispatches nothing."""
    return b": hb\nid: %d\n\n" % cursor


def build(epoch: int, first: int, events: Iterable[Event]) -> Block:
    """The block of `events`, numbered from `first`."""
    frames: list[bytes] = []
    segments: list[Segment] = []
    seq = start = first
    size = 0
    current: tuple[bool, UUID | None] | None = None
    for type, data, run_id, line_number in events:
        key = (line_number is not None, run_id)
        if key != current:
            if current is not None:
                segments.append(_segment(current, start, seq - start, size))
            current, start, size = key, seq, 0
        encoded = b"id: %d\nevent: %b\ndata: %b\n\n" % (seq, type.encode(), data)
        frames.append(encoded)
        size += len(encoded)
        seq += 1
    if current is not None:
        segments.append(_segment(current, start, seq - start, size))
    return Block(epoch, first, seq - 1, segments, b"".join(frames))


def build_lines(epoch: int, first: int, events: Sequence[Event]) -> Block:
    """The block of log lines that are all of one run: the same as `build`, in half the time."""
    form = b"id: %%d\nevent: %b\ndata: %%b\n\n" % LOG_TYPE.encode()
    frames = b"".join([form % (seq, event.data) for seq, event in enumerate(events, first)])
    segment = _segment((True, events[0].run_id), first, len(events), len(frames))
    return Block(epoch, first, first + len(events) - 1, [segment], frames)


def build_texts(epoch: int, first: int, parts: Iterable[Lines]) -> Block:
    """The block of nothing but log lines, numbered from `first`: the same as `build` of their events, in
    a quarter of the time."""
    frames: list[bytes] = []
    segments: list[Segment] = []
    seq = first
    for run_id, _, datas in parts:
        texts = [
            f"id: {number}\nevent: {LOG_TYPE}\ndata: {data}\n\n"
            for number, data in enumerate(datas, seq)
        ]
        encoded = "".join(texts).encode()
        segments.append(Segment(True, run_id.bytes, seq, len(datas), len(encoded)))
        frames.append(encoded)
        seq += len(datas)
    return Block(epoch, first, seq - 1, segments, b"".join(frames))


def _segment(key: tuple[bool, UUID | None], first: int, count: int, size: int) -> Segment:
    is_log, run_id = key
    return Segment(is_log, run_id.bytes if run_id else b"", first, count, size)


def pack_table(block: Block) -> bytes:
    """The table of a block: what a hub needs to route it."""
    header = _HEADER.pack(BLOCK_VERSION, block.first, block.last, block.epoch, len(block.segments))
    rows = [
        _SEGMENT.pack(s.is_log, s.run or _NO_RUN, s.first, s.number, s.size) for s in block.segments
    ]
    return header + b"".join(rows)


def unpack(packed: bytes) -> Block:
    """The block whose table, and perhaps frames, are `packed`.

    Raises `ValueError` for another version or a message that is cut short: the reader then takes the
    events from Postgres instead of guessing.
    """
    if len(packed) < _HEADER.size:
        raise ValueError("a block is longer than this")
    version, first, last, epoch, count = _HEADER.unpack_from(packed)
    if version != BLOCK_VERSION:
        raise ValueError(f"a block of version {version}")
    end = _HEADER.size + count * _SEGMENT.size
    if len(packed) < end:
        raise ValueError("a block whose table is cut short")
    segments = [
        Segment(bool(is_log), b"" if run == _NO_RUN else run, start, number, size)
        for is_log, run, start, number, size in _SEGMENT.iter_unpack(packed[_HEADER.size : end])
    ]
    return Block(epoch, first, last, segments, packed[end:])


def cut(block: Block, after: int) -> Block:
    """The part of a block above the number `after`."""
    if after < block.first:
        return block
    segments: list[Segment] = []
    offset = position = 0
    for segment in block.segments:
        end = offset + segment.size
        if segment.first + segment.number - 1 <= after:
            position = end
        elif segment.first > after:
            segments.append(segment)
        else:
            drop = after - segment.first + 1
            position = _skip(block.frames, offset, drop)
            segments.append(
                Segment(
                    segment.is_log, segment.run, after + 1, segment.number - drop, end - position
                )
            )
        offset = end
    return Block(block.epoch, after + 1, block.last, segments, block.frames[position:])


def _skip(frames: bytes, start: int, count: int) -> int:
    """Where the frame begins that comes `count` frames after `start`."""
    for _ in range(count):
        start = frames.index(FRAME_END, start) + len(FRAME_END)
    return start


def split(block: Block, limit_bytes: int) -> list[Block]:
    """The block in pieces of at most `limit_bytes`; a longer frame stays whole."""
    frames = block.frames
    if len(frames) <= limit_bytes:
        return [block]
    pieces: list[Block] = []
    start, first = 0, block.first
    while start < len(frames):
        end = len(frames)
        if end - start > limit_bytes:
            found = frames.rfind(FRAME_END, start, start + limit_bytes)
            end = (found if found >= 0 else frames.index(FRAME_END, start)) + len(FRAME_END)
        last = _number_of_last(frames, start, end)
        segments = _between(block.segments, first, last, start, end)
        pieces.append(Block(block.epoch, first, last, segments, frames[start:end]))
        start, first = end, last + 1
    return pieces


def _number_of_last(frames: bytes, start: int, end: int) -> int:
    """The number of the last frame in bytes `start`…`end`: cheaper to read than frames are to count."""
    found = frames.rfind(FRAME_END, start, end - len(FRAME_END))
    begin = start if found < 0 else found + len(FRAME_END)
    return int(frames[begin + len(b"id: ") : frames.index(b"\n", begin)])


def _between(
    segments: Iterable[Segment], first: int, last: int, start: int, end: int
) -> list[Segment]:
    """What of a block's segments lies in its frames `first`…`last`, which are its bytes `start`…`end`."""
    within: list[Segment] = []
    offset = 0
    for segment in segments:
        begins, ends = max(segment.first, first), min(segment.first + segment.number - 1, last)
        if begins <= ends:
            size = min(offset + segment.size, end) - max(offset, start)
            number = ends - begins + 1
            within.append(Segment(segment.is_log, segment.run, begins, number, size))
        offset += segment.size
    return within
