"""Events as bytes: the SSE frame, and the block of frames that a hub hands out.

An event is encoded once, by its writer. When its number is known it is put in front (`segments.frames`). A
block is consecutively numbered frames with a small table that says which of them are log lines, and of which
run, so that a hub routes without parsing JSON.

The field syntax is the one of the HTML standard, section 9.2.6 ("Interpreting an event stream"):
a name, a colon, a space, the value, a line feed; an empty line ends the frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import structlog

from runcast_server.eventlog import segments
from runcast_server.eventlog.chains import Chain
from runcast_server.eventlog.segments import LOG_TYPE, Damaged, Event, Lines, Segment

__all__ = ["LOG_TYPE", "Event", "Lines"]

FRAME_END = b"\n\n"

log = structlog.get_logger()


class Section(NamedTuple):
    """Consecutive frames of one run and one kind within a block."""

    is_log: bool
    run: bytes
    """The run's 16 bytes; empty where no run is concerned."""
    first: int
    number: int
    size: int


@dataclass(frozen=True, slots=True)
class Block:
    """Frames `first`…`last` of one project's history, without a hole."""

    epoch: int
    first: int
    last: int
    sections: Sequence[Section]
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


def of(segment: Segment) -> bytes:
    """The frames of a numbered segment.

    Of a damaged one as many frames without an event, which move the client's position, and in the last one a
    `gap` that says what was lost: so a count of frames is right, and no client meets a silent hole.
    """
    try:
        return segments.frames(segment)
    except Damaged as error:
        log.error("segment.damaged", error=str(error))
        refetch = [f"/runs/{segment.run_id}/logs"] if segment.is_log else []
        told = {
            "from": segment.first,
            "to": segment.last,
            "reason": "damaged",
            "refetch": refetch,
        }
        fillers = [b"id: %d\n\n" % seq for seq in range(segment.first, segment.last)]
        return b"".join([*fillers, control("gap", told, id=segment.last)])


def render(chain: Chain) -> Block:
    """The frames of a chain; of damaged segments those that say so (`of`)."""
    return _block(chain, [of(segment) for segment in chain.segments])


def render_intact(chain: Chain) -> Block:
    """The frames of a chain of which there is another copy. Raises `Damaged` where this one can't be read."""
    return _block(chain, [segments.frames(segment) for segment in chain.segments])


def _block(chain: Chain, made: Sequence[bytes]) -> Block:
    sections = [
        Section(
            one.is_log, one.run_id.bytes if one.run_id else b"", one.first, one.length, len(data)
        )
        for one, data in zip(chain.segments, made, strict=True)
    ]
    return Block(chain.epoch, chain.first, chain.last, sections, b"".join(made))


def holds_event(block: Block, marks: Iterable[bytes]) -> bool:
    """Whether a block holds an event other than a line with one of `marks`. Lines aren't searched."""
    start = 0
    for section in block.sections:
        end = start + section.size
        if not section.is_log and any(block.frames.find(mark, start, end) >= 0 for mark in marks):
            return True
        start = end
    return False


def cut(block: Block, after: int) -> Block:
    """The part of a block above the number `after`."""
    if after < block.first:
        return block
    sections: list[Section] = []
    offset = position = 0
    for section in block.sections:
        end = offset + section.size
        if section.first + section.number - 1 <= after:
            position = end
        elif section.first > after:
            sections.append(section)
        else:
            drop = after - section.first + 1
            position = _skip(block.frames, offset, drop)
            sections.append(
                Section(
                    section.is_log, section.run, after + 1, section.number - drop, end - position
                )
            )
        offset = end
    return Block(block.epoch, after + 1, block.last, sections, block.frames[position:])


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
        sections = _between(block.sections, first, last, start, end)
        pieces.append(Block(block.epoch, first, last, sections, frames[start:end]))
        start, first = end, last + 1
    return pieces


def _number_of_last(frames: bytes, start: int, end: int) -> int:
    """The number of the last frame in bytes `start`…`end`: cheaper to read than frames are to count."""
    found = frames.rfind(FRAME_END, start, end - len(FRAME_END))
    begin = start if found < 0 else found + len(FRAME_END)
    return int(frames[begin + len(b"id: ") : frames.index(b"\n", begin)])


def _between(
    sections: Iterable[Section], first: int, last: int, start: int, end: int
) -> list[Section]:
    """What of a block's sections lies in its frames `first`…`last`, which are its bytes `start`…`end`."""
    within: list[Section] = []
    offset = 0
    for section in sections:
        begins, ends = max(section.first, first), min(section.first + section.number - 1, last)
        if begins <= ends:
            size = min(offset + section.size, end) - max(offset, start)
            number = ends - begins + 1
            within.append(Section(section.is_log, section.run, begins, number, size))
        offset += section.size
    return within
