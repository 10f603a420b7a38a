"""Compressed request bodies: `Content-Encoding: gzip`.

What comes out is handed on in pieces of at most 64 KiB, so that the caller that counts them stops a bomb
after one piece too much, however small what was sent. What goes in is counted too: members and blocks of
gzip may hold nothing, and then nothing comes out that could be counted.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

from runcast_api.http.problems import BadRequest
from runcast_server.errors import Problem, TooLarge

PIECE_BYTES = 64 * 1024
MORE_BYTES = 64 * 1024
"""By how much a compressed body may be larger than what may come out of it."""
MEMBERS = 1000
"""Members of gzip in one body at most."""
_GZIP = 16 + zlib.MAX_WBITS


class UnsupportedCoding(Problem):
    """A body in a coding that isn't taken; `Accept-Encoding` names those that are."""

    status = 415
    type = "unsupported-coding"
    title = "The body's coding isn't supported"

    def headers(self) -> dict[str, str]:
        return {"Accept-Encoding": "gzip, identity"}


async def bounded(sent: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """A compressed body as it comes. Raises `TooLarge` where it can't be that of `limit` bytes any more."""
    size = 0
    async for chunk in sent:
        size += len(chunk)
        if size > limit + MORE_BYTES:
            raise TooLarge(f"the compressed body is larger than the {limit:,} bytes it may hold")
        yield chunk


async def decoded(sent: AsyncIterator[bytes], coding: str) -> AsyncIterator[bytes]:
    """What was compressed. Raises `UnsupportedCoding`, and `BadRequest` for what isn't gzip, is cut off, has
    more than `MEMBERS` members, or goes on behind its end. Lets others run between the pieces."""
    if coding not in ("gzip", "x-gzip"):
        raise UnsupportedCoding(f"{coding[:50]!r} isn't taken; send gzip, or no Content-Encoding")
    inflater = zlib.decompressobj(_GZIP)
    members = 1
    async for chunk in sent:
        rest, piece = chunk, b""
        # A full piece may have left more behind than the input that it didn't take.
        while rest or (len(piece) == PIECE_BYTES and not inflater.eof):
            if inflater.eof:
                # Members may follow each other (RFC 1952, section 2.2).
                members += 1
                if members > MEMBERS:
                    raise BadRequest(f"the body has more than {MEMBERS:,} members of gzip")
                inflater = zlib.decompressobj(_GZIP)
            try:
                piece = inflater.decompress(rest, PIECE_BYTES)
            except zlib.error as error:
                raise BadRequest(f"the body isn't gzip: {error}") from None
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            if piece:
                yield piece
            if rest:
                await asyncio.sleep(0)
    if not inflater.eof:
        raise BadRequest("the compressed body ends early")
