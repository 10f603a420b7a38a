"""Compressed bodies: where pieces and members end, and what is refused."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterable

import pytest
from starlette.requests import Request
from starlette.types import Message

from runcast_api.http import request_body
from runcast_api.http.content_coding import MEMBERS, MORE_BYTES, PIECE_BYTES, decoded
from runcast_api.http.problems import BadRequest
from runcast_server.errors import TooLarge

pytestmark = pytest.mark.anyio
NOTHING = gzip.compress(b"", mtime=0)
EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"


async def given(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def read(*parts: bytes) -> bytes:
    return b"".join([piece async for piece in decoded(given(parts), "gzip")])


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072])
async def test_a_body_may_end_with_a_full_piece(size: int) -> None:
    body = b"x" * size
    packed = gzip.compress(body)
    assert await read(packed) == body
    assert await read(packed[:-1], packed[-1:]) == body
    assert await read(packed + packed) == body * 2
    assert await read(packed, packed) == body * 2


async def test_a_body_that_ends_early_is_refused() -> None:
    with pytest.raises(BadRequest, match="ends early"):
        await read(gzip.compress(b"x" * PIECE_BYTES)[:-1])


async def test_a_body_has_only_some_members() -> None:
    assert await read(NOTHING * MEMBERS) == b""
    with pytest.raises(BadRequest, match="members"):
        await read(NOTHING * (MEMBERS + 1))


@pytest.mark.parametrize("unit", [EMPTY_BLOCK, NOTHING])
async def test_what_comes_in_is_bounded_where_nothing_comes_out(unit: bytes) -> None:
    part = unit * 500
    parts = [NOTHING[:10] if unit is EMPTY_BLOCK else NOTHING]

    async def receive() -> Message:
        parts.append(part)
        assert len(parts) < 1000, "the body is read without a bound"
        return {"type": "http.request", "body": parts[-2], "more_body": True}

    headers = [(b"content-encoding", b"gzip")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    with pytest.raises((TooLarge, BadRequest)):
        assert await request_body.read(request, 1000) == b"not read to an end"
    assert len(parts) * len(part) <= 2 * MORE_BYTES


async def test_others_run_while_a_body_is_read() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    await read(NOTHING * 200)
    other.cancel()
    assert turns >= 100
