"""A process: its listener, its signals, and the order in which it ends."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from runcast_server import settings
from runcast_server.process import process
from runcast_server.service import Readiness, Service

pytestmark = pytest.mark.anyio


class Streams:
    """A service whose requests last until it is drained, and which writes down what happens to it."""

    def __init__(self, drain: Callable[[float], Awaitable[None]] | None = None) -> None:
        self.happened: list[str] = []
        self.opened = asyncio.Event()
        self.drained = asyncio.Event()
        self._drain = drain

    def build(self, resources: object) -> Service:
        return Service("hub", self.app, lambda scope: True, self.running, self.drain, self.ready)

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello\n", "more_body": True})
        self.opened.set()
        await self.drained.wait()
        await send({"type": "http.response.body", "body": b"bye\n"})
        self.happened.append("request ended")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.happened.append("runs")
        yield
        self.happened.append("work ended")

    async def drain(self, seconds: float) -> None:
        self.happened.append("drain")
        if self._drain is not None:
            await self._drain(seconds)
        self.drained.set()

    async def ready(self) -> Readiness:
        return Readiness()


class Serving:
    """`process.serve` with one service, on a port of its own."""

    def __init__(self, service: Streams, shutdown_grace_s: float = 1) -> None:
        read = settings.read(port=0, shutdown_grace_s=shutdown_grace_s)
        self.listener = process.listen(read.process)
        self.url = process.url_of(read.process, self.listener)
        self.stop = asyncio.Event()
        self.started = asyncio.Event()
        resources = SimpleNamespace(settings=read, database=SimpleNamespace(pools={}), tracer=None)
        self.task = asyncio.create_task(
            process.serve(resources, [service.build], self.listener, self.stop, self.started.set)
        )


async def test_streams_end_in_their_own_words_before_the_work_ends() -> None:
    service = Streams()
    serving = Serving(service)
    await serving.started.wait()
    async with (
        httpx.AsyncClient(base_url=serving.url) as client,
        client.stream("GET", "/") as stream,
    ):
        lines = stream.aiter_lines()
        assert await anext(lines) == "hello"
        serving.stop.set()
        assert [line async for line in lines] == ["bye"]
    await serving.task
    assert service.happened == ["runs", "drain", "request ended", "work ended"]


async def is_let_in(url: str) -> bool:
    try:
        async with httpx.AsyncClient(base_url=url) as another:
            return (await another.get("/health")).is_success
    except httpx.TransportError:
        return False  # refused, or ended as it waited to be accepted


async def test_from_the_signal_on_nobody_new_is_let_in() -> None:
    entered = asyncio.Event()
    let_go = asyncio.Event()

    async def drain(seconds: float) -> None:
        entered.set()
        await let_go.wait()

    serving = Serving(Streams(drain), shutdown_grace_s=20)
    await serving.started.wait()
    async with httpx.AsyncClient(base_url=serving.url) as client, client.stream("GET", "/"):
        serving.stop.set()
        await entered.wait()
        deadline = time.monotonic() + 10
        while await is_let_in(serving.url):
            assert time.monotonic() < deadline
        let_go.set()
    await serving.task


@pytest.mark.parametrize("fails", [True, False])
async def test_a_drain_that_fails_or_hangs_holds_nothing_up(fails: bool) -> None:
    async def drain(seconds: float) -> None:
        if fails:
            raise RuntimeError("no")
        await asyncio.Event().wait()

    service = Streams(drain)
    serving = Serving(service)
    await serving.started.wait()
    async with httpx.AsyncClient(base_url=serving.url) as client:
        with contextlib.suppress(httpx.RemoteProtocolError):
            async with client.stream("GET", "/"):
                serving.stop.set()
                await asyncio.wait_for(serving.task, 15)
    assert service.happened[-1] == "work ended"


async def test_a_port_that_is_taken_is_explained() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(process.StartError, match=f"port {port}: .*--port"):
            process.listen(settings.read(port=port).process)


async def test_a_host_that_is_not_ours_is_explained() -> None:
    with pytest.raises(process.StartError, match="can't listen on"):
        process.listen(settings.read(host="no-such-host.invalid").process)


@pytest.mark.parametrize(
    ("host", "begins"),
    [
        ("127.0.0.1", "http://127.0.0.1:"),
        ("0.0.0.0", "http://127.0.0.1:"),
        ("::1", "http://[::1]:"),
    ],
)
async def test_the_address_is_one_that_a_browser_takes(host: str, begins: str) -> None:
    read = settings.read(host=host, port=0).process
    with contextlib.closing(process.listen(read)) as listener:
        assert process.url_of(read, listener).startswith(begins)
        public = read.model_copy(update={"public_url": "https://runs.example.org/"})
        assert process.url_of(public, listener) == "https://runs.example.org"


async def test_a_service_that_is_not_installed_is_named() -> None:
    with pytest.raises(process.StartError, match="not installed: kitchen"):
        process.builders(["kitchen"])


async def test_the_first_signal_stops_and_its_echo_does_nothing() -> None:
    stop, later = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, later.set)
    try:
        with process.stopped_by_signals(stop):
            for each in (signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1):
                os.kill(os.getpid(), each)
            # The loop takes signals in their order: after this one both others were taken.
            await asyncio.wait_for(later.wait(), 60)
        assert stop.is_set()
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)


async def test_a_second_signal_in_earnest_cuts_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SAME_SIGNAL_SECONDS", 0.0)
    stop = asyncio.Event()

    async def work() -> None:
        with process.stopped_by_signals(stop):
            os.kill(os.getpid(), signal.SIGTERM)
            await stop.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.create_task(work()), 10)


async def test_work_is_given_up_when_asked_to_stop() -> None:
    stop = asyncio.Event()
    done: list[str] = []

    async def work() -> None:
        done.append("begun")
        await asyncio.Event().wait()

    asyncio.get_running_loop().call_soon(stop.set)
    assert not await process.unless_stopped(stop, work())
    assert done == ["begun"]


async def test_work_that_is_done_is_done_and_its_errors_are_its_own() -> None:
    async def fails() -> None:
        raise LookupError("its own")

    assert await process.unless_stopped(asyncio.Event(), asyncio.sleep(0))
    with pytest.raises(LookupError, match="its own"):
        await process.unless_stopped(asyncio.Event(), fails())
