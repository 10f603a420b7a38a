"""Numbered segments, and the frames of them, without a database."""

from collections.abc import Iterable

from runcast_server.eventlog import chains, frames, segments
from runcast_server.eventlog.chains import Chain
from runcast_server.eventlog.frames import Block
from runcast_server.eventlog.segments import Event, Lines, Segment


def chain(epoch: int, first: int, emitted: Iterable[Event | Lines]) -> Chain:
    """What was emitted, numbered from `first`; lines that have no number are numbered from 1."""
    numbered: list[Segment] = []
    for one in segments.of(emitted):
        line = (one.first_line or 1) if one.is_log else 0
        numbered.append(one._replace(first=first, first_line=line))
        first += one.length
    return chains.of(epoch, numbered)


def block(epoch: int, first: int, emitted: Iterable[Event | Lines]) -> Block:
    """The frames of it."""
    return frames.render(chain(epoch, first, emitted))
