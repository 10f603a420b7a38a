"""Streams in gzip (RFC 1952), compressed once for all who take it.

A gzip file is a head, blocks of deflate and a foot. Blocks that end on a byte can be put together from
several compressors, as long as none refers to bytes that its reader was not sent. So each connection has its
own head and foot, and between them the same blocks as all others:

- What a stream is sent alone (its first frames, what it reads on from its cursor) is a block that refers to
  nothing before it, and is kept for a moment: who returns together reads the same chunks (`Blocks`).
- What all live subscribers of a filter are sent is one block for all of them, which may refer to what all of
  them were sent last (`Shared`). One that joins them has not been sent that: the next block then refers to
  nothing.

The foot holds a checksum of everything that one connection was sent. It is a remainder of division by a
polynomial, so that of a stretch that many have in common is taken once, and appended to each one's own when
it leaves (`moved_by`, after crc32_combine of zlib).
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from typing import Protocol

from runcast_server.process.http_protocol import as_chunk

HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"
"""An empty block, marked as the last one."""
LEVEL = 1
WINDOW_BITS = 13
MEMORY_LEVEL = 6
"""64 KiB for as long as a block is made. More compresses chunks of this size no better."""
HISTORY_BYTES = 1024
"""Of what was sent last, so much is referred to: events resemble those right before them. Of lone lines of
220 bytes 16 % are sent with it, 80 % without; four times as much gains nothing."""
KEPT_BYTES = 4 * 1024 * 1024


def block(data: bytes, history: bytes = b"") -> bytes:
    """The data as blocks that end on a byte, referring to nothing before them but `history`."""
    if history:
        deflate = zlib.compressobj(
            LEVEL, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, history
        )
    else:
        deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL)
    return deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)


class Blocks:
    """Blocks of one hub that were made a moment ago, by their data."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._size = 0

    def of(self, data: bytes) -> bytes:
        """The data as a block that refers to nothing."""
        made = self._kept.get(data)
        if made is None:
            made = self._kept[data] = block(data)
            self._size += len(data) + len(made)
            while self._size > KEPT_BYTES:
                old, its = self._kept.popitem(last=False)
                self._size -= len(old) + len(its)
        else:
            self._kept.move_to_end(data)
        return made


class Gzip:
    """What one connection was sent: the checksum and the size that its foot says."""

    __slots__ = ("blocks", "crc", "has_begun", "joined_at", "size")

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.crc = 0
        self.size = 0
        self.joined_at = 0
        """How much those whom it joined had been sent in common before."""
        self.has_begun = False

    def alone(self, data: bytes) -> bytes:
        """What is sent to this connection alone, encoded."""
        return self.counted(data, self.blocks.of(data))

    def counted(self, data: bytes, made: bytes) -> bytes:
        """The block of this data, with the head where it is the first."""
        self.crc = zlib.crc32(data, self.crc)
        self.size += len(data)
        if self.has_begun:
            return made
        self.has_begun = True
        return HEAD + made

    def foot(self) -> bytes:
        """The end of the file."""
        return (
            _LAST_BLOCK
            + self.crc.to_bytes(4, "little")
            + (self.size & 0xFFFFFFFF).to_bytes(4, "little")
        )


class Member(Protocol):
    """A live subscriber that takes gzip."""

    gzip: Gzip | None
    bytes_before: int


class Shared:
    """The live subscribers of one filter that take gzip. What one is sent in common with the others is added
    to its own sums when it leaves."""

    __slots__ = ("_crc", "_history", "_size", "handed_bytes", "live")

    def __init__(self) -> None:
        self.live: dict[Member, asyncio.Transport] = {}
        self._history = b""
        self._crc = self._size = self.handed_bytes = 0

    def join(self, member: Member, transport: asyncio.Transport) -> None:
        """Makes one live: the next block refers to nothing."""
        self.live[member] = transport
        self._history = b""
        member.bytes_before -= self.handed_bytes
        if (gzip := member.gzip) is not None:
            # The sums are linear: what was here before it came is taken out again at the end.
            gzip.crc ^= self._crc
            gzip.joined_at = self._size

    def part(self, member: Member) -> bool:
        """Takes one out; whether it was live."""
        if self.live.pop(member, None) is None:
            return False
        member.bytes_before += self.handed_bytes
        if (gzip := member.gzip) is not None:
            size = self._size - gzip.joined_at
            gzip.crc = moved_by(gzip.crc, size) ^ self._crc
            gzip.size += size
        return True

    def encoded(self, data: bytes) -> bytes:
        """The data as the chunk that all of them are sent."""
        made = block(data, self._history)
        self._history = (self._history + data)[-HISTORY_BYTES:]
        self._crc = zlib.crc32(data, self._crc)
        self._size += len(data)
        self.handed_bytes += len(made)
        return as_chunk(made)


_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31
"""The polynomial 1: the lowest power stands in the highest bit."""


def _times(a: int, b: int) -> int:
    """The product of two polynomials, modulo that of CRC-32."""
    product = 0
    bit = _ONE
    while bit:
        if a & bit:
            product ^= b
        b = (b >> 1) ^ _POLYNOMIAL if b & 1 else b >> 1
        bit >>= 1
    return product


def _powers() -> tuple[int, ...]:
    """x to the power of 8, 16, 32 …: what moves a checksum by 1, 2, 4 … bytes."""
    power = _ONE >> 8
    found = []
    for _ in range(64):
        found.append(power)
        power = _times(power, power)
    return tuple(found)


_BY_BYTES = _powers()


def moved_by(crc: int, size: int) -> int:
    """A checksum's share in that of the same data followed by `size` further bytes."""
    for power in _BY_BYTES:
        if not size or not crc:
            break
        if size & 1:
            crc = _times(power, crc)
        size >>= 1
    return crc
