"""What an answer holds is given back at its end, not when Python's collector comes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from runcast_api.http import lasting, ranges
from runcast_api.http.closing import Streamed
from runcast_server.errors import Unauthenticated

pytestmark = pytest.mark.anyio


class Held:
    """Pieces, and whether the generator that makes them is still open."""

    def __init__(self) -> None:
        self.is_open = False

    async def pieces(self) -> AsyncIterator[bytes]:
        self.is_open = True
        try:
            while True:
                yield b"piece"
        finally:
            self.is_open = False


async def revoked() -> None:
    raise Unauthenticated("the right to read this has ended")


async def test_an_answer_whose_right_has_ended_gives_back_what_it_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lasting, "LOOK_SECONDS", 0.0)
    held = Held()
    sent = lasting.while_allowed(revoked, held.pieces())
    # The error that is kept keeps the frame, and what it names, from the collector.
    with pytest.raises(Unauthenticated) as kept:
        await anext(sent)
    assert not held.is_open, kept


async def test_a_part_gives_back_what_it_held_before_the_rest_is_made() -> None:
    held = Held()
    sent = ranges.cut(held.pieces(), 0, 3)
    assert [piece async for piece in sent] == [b"pie"]
    assert not held.is_open


async def test_an_answer_that_is_given_up_gives_back_what_it_held() -> None:
    held = Held()

    async def send(message: Message) -> None:
        if message.get("body"):
            raise OSError("the reader went away")

    async def receive() -> Message:
        raise AssertionError("no one asks for the body")

    scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
    with pytest.raises(ClientDisconnect) as kept:
        await Streamed(held.pieces())(scope, receive, send)
    assert not held.is_open, kept
