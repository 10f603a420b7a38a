"""A chain: segments with consecutive numbers of one project's history, as they travel through Redis.

It is a small table, which says whose segments these are, and their bodies, compressed as they are stored. A
hub routes on the table, and puts the frames together once (`frames.render`), when someone wants them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from runcast_server.eventlog import segments as segments_
from runcast_server.eventlog.segments import Segment
from runcast_server.tracing import spans
from runcast_server.tracing.spans import Cause

VERSION = 2

_HEADER = struct.Struct(">BQQqI")  # version, first, last, epoch, number of segments
_SEGMENT = struct.Struct(
    ">BB16sQIII"
)  # is log, codec, run (zero: none), first line, length, size, bytes
_NO_RUN = bytes(16)


@dataclass(frozen=True, slots=True)
class Chain:
    """Events `first`…`last`, without a hole."""

    epoch: int
    first: int
    last: int
    segments: Sequence[Segment]
    causes: tuple[Cause, ...] = ()
    """Whose traces go on with it, in this process: they are not packed."""

    @property
    def size(self) -> int:
        """Bytes of the bodies."""
        return sum(len(segment.body) for segment in self.segments)

    @property
    def lines(self) -> int:
        """How many of its events are log lines."""
        return sum(segment.length for segment in self.segments if segment.is_log)

    @property
    def frames(self) -> bytes:
        """All frames. Raises `Damaged`."""
        return b"".join([segments_.frames(segment) for segment in self.segments])


def of(epoch: int, segments: Sequence[Segment]) -> Chain:
    """The chain of numbered segments, of which there is at least one."""
    return Chain(epoch, segments[0].first, segments[-1].last, segments)


def join(chains: Sequence[Chain]) -> Chain:
    """One chain of several that follow each other."""
    if len(chains) == 1:
        return chains[0]
    joined = of(chains[0].epoch, [segment for chain in chains for segment in chain.segments])
    return caused(joined, [cause for chain in chains for cause in chain.causes])


def caused(chain: Chain, causes: Sequence[Cause]) -> Chain:
    """The chain with what it comes of, where that is traced."""
    return replace(chain, causes=tuple(causes[: spans.MOST])) if causes else chain


def pack_table(chain: Chain) -> bytes:
    """The table: what a hub needs to route it."""
    header = _HEADER.pack(VERSION, chain.first, chain.last, chain.epoch, len(chain.segments))
    return header + b"".join(
        [
            _SEGMENT.pack(
                one.is_log,
                one.codec,
                one.run_id.bytes if one.run_id else _NO_RUN,
                one.first_line,
                one.length,
                one.size,
                len(one.body),
            )
            for one in chain.segments
        ]
    )


def pack_bodies(chain: Chain) -> bytes:
    """The bodies, one after the other."""
    return b"".join([segment.body for segment in chain.segments])


def unpack(packed: bytes) -> Chain:
    """The chain whose table and bodies are `packed`.

    Raises `ValueError` for another version or a message that is cut short: the reader then takes the
    events from Postgres instead of guessing.
    """
    if len(packed) < _HEADER.size:
        raise ValueError("a chain is longer than this")
    version, first, last, epoch, number = _HEADER.unpack_from(packed)
    if version != VERSION:
        raise ValueError(f"a chain of version {version}")
    if number == 0:
        raise ValueError("a chain of no segments")
    end = _HEADER.size + number * _SEGMENT.size
    if len(packed) < end:
        raise ValueError("a chain whose table is cut short")
    segments: list[Segment] = []
    seq = first
    for is_log, codec, run, line, length, size, stored in _SEGMENT.iter_unpack(
        packed[_HEADER.size : end]
    ):
        run_id = None if run == _NO_RUN else UUID(bytes=run)
        body = packed[end : end + stored]
        segments.append(Segment(run_id, bool(is_log), length, size, codec, body, seq, line))
        seq += length
        end += stored
    if seq != last + 1 or len(packed) != end:
        raise ValueError("a chain that isn't as long as its table says")
    return Chain(epoch, first, last, segments)
