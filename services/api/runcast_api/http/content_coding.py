"""Compressed request bodies: `Content-Encoding: gzip`.

What comes out is handed on in pieces of at most 64 KiB, so that whoever counts them stops a bomb after one
piece too much, however small what was sent.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from runcast_api.http.problems import BadRequest
from runcast_server.errors import Problem

PIECE_BYTES = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class UnsupportedCoding(Problem):
    """A body in a coding that isn't taken; `Accept-Encoding` names those that are."""

    status = 415
    type = "unsupported-coding"
    title = "The body's coding isn't supported"

    def headers(self) -> dict[str, str]:
        return {"Accept-Encoding": "gzip, identity"}


async def decoded(sent: AsyncIterator[bytes], coding: str) -> AsyncIterator[bytes]:
    """What was compressed. Raises `UnsupportedCoding`, and `BadRequest` for what isn't gzip, is cut off, or
    goes on behind its end."""
    if coding not in ("gzip", "x-gzip"):
        raise UnsupportedCoding(f"{coding[:50]!r} isn't taken; send gzip, or no Content-Encoding")
    inflater = zlib.decompressobj(_GZIP)
    async for chunk in sent:
        rest, piece = chunk, b""
        # A full piece may have left more behind than the input that it didn't take.
        while rest or len(piece) == PIECE_BYTES:
            if inflater.eof:
                inflater = zlib.decompressobj(
                    _GZIP
                )  # Members may follow each other (RFC 1952, 2.2).
            try:
                piece = inflater.decompress(rest, PIECE_BYTES)
            except zlib.error as error:
                raise BadRequest(f"the body isn't gzip: {error}") from None
            rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
            if piece:
                yield piece
    if not inflater.eof:
        raise BadRequest("the compressed body ends early")
