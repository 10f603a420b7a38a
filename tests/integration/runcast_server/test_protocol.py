"""What a client may send before it has asked for anything; and what a stream hears of its connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.waiting import until
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runcast_server.process import header_limits, slow_refusals
from runcast_server.process.header_limits import BoundedHeads
from runcast_server.process.http_protocol import Outlet, Protocol, as_chunk, take_outlet

pytestmark = pytest.mark.anyio


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@contextlib.asynccontextmanager
async def connected(
    served: ASGIApp = application,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    config = uvicorn.Config(served, port=0, http=Protocol, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving


async def test_one_connection_serves_many_requests() -> None:
    async with connected() as (reader, writer):
        for _ in range(3):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 30_000 + b"\r\n\r\n")
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 204")


@pytest.mark.parametrize("piece", [b"X-A: b\r\n" * 1000, b"a" * 8000])
async def test_a_head_without_end_is_cut_off(piece: bytes) -> None:
    async with connected() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                writer.write(piece)
                await writer.drain()
        with contextlib.suppress(ConnectionError):
            assert (await reader.read()).startswith((b"HTTP/1.1 400", b""))
        assert writer.transport.is_closing() or reader.at_eof()


async def test_a_head_of_many_fields_is_refused_before_it_was_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The parser stops at the bound: what comes behind costs nothing."""
    seen: list[bytes] = []
    kept = HttpToolsProtocol.on_header

    def on_header(self: HttpToolsProtocol, name: bytes, value: bytes) -> None:
        seen.append(name)
        kept(self, name, value)

    monkeypatch.setattr(HttpToolsProtocol, "on_header", on_header)
    async with connected() as (reader, writer):
        allowed = b"X-A: b\r\n" * (header_limits.MAX_HEADERS - 1)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + allowed + b"\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        seen.clear()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 2_000 + b"\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
    assert len(seen) == header_limits.MAX_HEADERS


async def test_who_sends_many_malformed_heads_is_answered_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(slow_refusals, "PER_SECOND", 1)
    later: list[float] = []
    kept = BoundedHeads._refuse

    async with connected() as (reader, writer):
        port = writer.get_extra_info("peername")[1]
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def noted(seconds: float, callback: Any, *arguments: Any) -> Any:
            if getattr(callback, "__func__", None) is kept:
                later.append(seconds)
                seconds = 0
            return call_later(seconds, callback, *arguments)

        monkeypatch.setattr(loop, "call_later", noted, raising=False)
        for _ in range(3):
            reader, writer_too = await asyncio.open_connection("127.0.0.1", port)
            writer_too.write(b"nothing of the kind\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 400")
            writer_too.close()
    assert later == sorted(later)
    assert len(later) == 2


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
TWO_WAYS = (
    b"Content-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    b"Content-Length: 0\r\nContent-Length: 39\r\n\r\n",
    b"Content-Length: 0, 39\r\n\r\n",
    b"Content-Length: +0\r\n\r\n",
    b"Content-Length : 0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    b"X-A: b\r\n Content-Length: 39\r\n\r\n",
    b"X-A: b\rContent-Length: 39\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n",
    b"Transfer-Encoding: chunked\r\n\r\n1;\nxx\r\na\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n-1\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 39\r\n\r\n",
)
"""Requests that end in one place for one reader, and in another place for another one."""


async def test_no_request_ends_in_two_places() -> None:
    """A gateway would take the rest for the body, and we for a request of the next client."""
    seen: list[str] = []

    async def note(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["path"])
        while (await receive()).get("more_body"):
            pass
        await application(scope, receive, send)

    async with connected(note) as (_, first):
        for fields in TWO_WAYS:
            reader, writer = await asyncio.open_connection(*first.get_extra_info("peername"))
            writer.write(b"POST /outer HTTP/1.1\r\nHost: x\r\n" + fields + SMUGGLED)
            writer.write_eof()
            assert b"HTTP/1.1 400" in await reader.read(), fields
            writer.close()
    assert "/smuggled" not in seen


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"


async def test_a_field_behind_the_body_is_no_header() -> None:
    """Not one that says who asks, nor where from."""
    seen: list[Any] = []

    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        seen.extend(scope["headers"])
        await application(scope, receive, send)

    async with connected(read) as (reader, writer):
        writer.write(CHUNKED + b"0\r\nHost: y\r\nAuthorization: Bearer z\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
    assert [name for name, _ in seen] == [b"host", b"transfer-encoding"]


@pytest.mark.parametrize("piece", [b"0\r\nX-Long: ", b"0\r\nX: y\r\n", b"1;", b"1;x="])
async def test_what_stands_around_the_pieces_of_a_body_is_bounded(piece: bytes) -> None:
    async def read(_: Scope, receive: Receive, __: Send) -> None:
        while (await receive()).get("more_body"):
            pass

    async with connected(read) as (reader, writer):
        writer.write(CHUNKED + piece)
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                writer.write(b"X-A: b\r\n" * 1000 if b"y" in piece else b"a" * 8000)
                await writer.drain()
        assert writer.transport.is_closing() or reader.at_eof() or b"400" in await reader.read(20)


async def test_who_asks_for_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_limits, "HEAD_SECONDS", 0.2)
    async with connected() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost:")
        assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_one_address_has_only_some_connections_that_ask_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(header_limits, "SILENT_PER_ADDRESS", 3)
    monkeypatch.setattr(header_limits, "LOCAL", frozenset())
    async with connected() as (_, writer), contextlib.AsyncExitStack() as open_ones:

        async def another() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            port = writer.get_extra_info("peername")[1]
            made = await asyncio.open_connection("127.0.0.1", port)
            open_ones.callback(made[1].close)
            return made

        second, third, fourth = [await another() for _ in range(3)]
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(fourth[0].read(), 10) == b""
        third[1].write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await third[0].readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        # It has spoken: there is a place again.
        for reader, its in (await another(), second):
            its.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")


class Streaming:
    """An application with one stream, which writes to its outlet and notes what it is told."""

    def __init__(self) -> None:
        self.outlet: Outlet | None = None
        self.full = 0
        self.lost = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        self.outlet = take_outlet(scope)
        self.outlet.stream = self
        await self.lost.wait()

    def on_full(self) -> None:
        self.full += 1

    def on_lost(self) -> None:
        self.lost.set()


async def test_a_stream_writes_chunks_to_its_outlet() -> None:
    streaming = Streaming()
    async with connected(streaming) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"transfer-encoding: chunked" in await reader.readuntil(b"\r\n\r\n")
        assert streaming.outlet is not None
        streaming.outlet.transport.write(as_chunk(b"x" * 20))
        assert await reader.readexactly(26) == b"14\r\n" + b"x" * 20 + b"\r\n"
        assert streaming.full == 0


async def test_a_stream_hears_that_its_socket_is_full_and_that_its_client_is_gone() -> None:
    streaming = Streaming()
    async with connected(streaming) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await until(lambda: streaming.outlet is not None)
        outlet = streaming.outlet
        assert outlet is not None
        while not streaming.full:
            outlet.transport.write(as_chunk(b"x" * 60_000))
            await asyncio.sleep(0)
        assert outlet.flow.write_paused
        drained = asyncio.create_task(outlet.flow.drain())
        while not drained.done():
            await reader.read(1 << 20)
        assert not outlet.flow.write_paused
        writer.transport.abort()
        await asyncio.wait_for(streaming.lost.wait(), 10)
        assert outlet.transport.is_closing()
