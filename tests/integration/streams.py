"""A hub on real servers, and a reader of its streams, for tests."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
import jwt

from runcast._support.ids import uuid7
from runcast_hub import service as hub_service
from runcast_hub.app import App
from runcast_hub.hub import Hub
from runcast_server import settings as all_settings
from runcast_server.db import Urls, acquire, open_database
from runcast_server.eventlog import frames
from runcast_server.eventlog.bus import Bus
from runcast_server.eventlog.log import EventLog, Transaction
from runcast_server.eventlog.publisher import Publisher
from runcast_server.eventlog.segments import Lines
from runcast_server.process import process
from runcast_server.service import Resources, Service
from tests.integration import rows

SECRET = "a secret of thirty-two characters, at least"
DEADLINE_SECONDS = 15.0


@dataclass
class Served:
    """A hub that listens, and an event log like another process's: Redis is between them."""

    url: str
    resources: Resources
    log: EventLog
    admin_key: str
    stop: asyncio.Event
    hub: Hub

    async def project(self, slug: str | None = None) -> UUID:
        return await rows.project(self.resources.database, slug)

    async def run(self, project_id: UUID, status: str = "running") -> UUID:
        run_id = uuid7()
        async with acquire(self.resources.database.log) as connection:
            await connection.execute(
                """INSERT INTO runs (id, project_id, phase, steps, status, started_at)
                   VALUES ($1, $2, 'phase1', '{}', $3, now())""",
                run_id,
                project_id,
                status,
            )
        return run_id

    async def emit(self, project_id: UUID, count: int = 1, size: int = 1) -> None:
        """`count` events in one commit, each with about `size` bytes of data."""

        async def change(transaction: Transaction) -> None:
            for number in range(count):
                data = {"n": number, "fill": "x" * size}
                transaction.emit(project_id, frames.event("x:test", data))

        await self.log.commit(project_id, change)

    async def lines(self, project_id: UUID, run_id: UUID, count: int = 1, size: int = 1) -> None:
        """`count` log lines of a run in one commit."""

        async def change(transaction: Transaction) -> None:
            record = json.dumps({"line": "x" * size})[1:].encode()
            transaction.emit(project_id, Lines(run_id, b"\n".join([record] * count), count))

        await self.log.commit(project_id, change)

    def token(self, subject: str, **claims: Any) -> str:
        return jwt.encode({"sub": subject, **claims}, SECRET, algorithm="HS256")


@contextlib.asynccontextmanager
async def hub(
    database_url: str, redis_url: str, *, read_url: str | None = None, **hub_settings: Any
) -> AsyncIterator[Served]:
    """A hub in this process, on a port of its own."""
    settings = all_settings.ServerSettings(
        all_settings.ProcessSettings(port=0),
        all_settings.PostgresSettings(database_url=database_url),
        all_settings.RedisSettings(redis_url=redis_url),
        all_settings.AuthSettings(jwt_secret=SECRET),
        all_settings.ApiSettings(),
        all_settings.HubSettings(**hub_settings),
        all_settings.TailerSettings(),
        all_settings.TracingSettings(),
    )
    database = await open_database(Urls(database_url, read=read_url), requests=4, log=8)
    bus = Bus(redis_url)
    publisher, elsewhere = Publisher(bus, database.log), Publisher(bus, database.log)
    resources = Resources(settings, database, bus, EventLog(database.log, publisher))
    log = EventLog(database.log, elsewhere)
    key = await rows.admin_key(database)
    listener = process.listen(settings.process)
    stop, started = asyncio.Event(), asyncio.Event()
    hubs: list[Hub] = []

    def build(resources: Resources) -> Service:
        service = hub_service.build(resources)
        assert isinstance(service.app, App)
        hubs.append(service.app.hub)
        return service

    serving = asyncio.create_task(process.serve(resources, [build], listener, stop, started.set))
    await started.wait()
    try:
        yield Served(process.url_of(settings.process, listener), resources, log, key, stop, hubs[0])
    finally:
        stop.set()
        await serving
        listener.close()
        for eventlog, its in ((resources.eventlog, publisher), (log, elsewhere)):
            await eventlog.close()
            await its.close()
        await bus.close()
        await database.close()


@dataclass
class Frame:
    """One dispatched event or comment-with-id block of a stream."""

    event: str = ""
    data: Any = None
    id: int | None = None
    position: str = ""
    """The whole id, which of a combined stream says where all of its projects stand."""
    retry: int | None = None
    raw: bytes = b""


@dataclass
class Reader:
    """Reads one stream in the background and keeps all of its frames."""

    response: httpx.Response
    frames: list[Frame] = field(default_factory=list)
    has_ended: bool = False
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def run(self) -> None:
        buffer = b""
        try:
            async for piece in self.response.aiter_bytes():
                buffer += piece
                *whole, buffer = buffer.split(b"\n\n")
                async with self._changed:
                    self.frames += [parse(block) for block in whole]
                    self._changed.notify_all()
        except httpx.TransportError:
            pass
        async with self._changed:
            self.has_ended = True
            self._changed.notify_all()

    async def until(self, condition: Callable[["Reader"], bool]) -> "Reader":
        """Waits until `condition` holds; fails with what was seen after some seconds."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS), self._changed:
                await self._changed.wait_for(lambda: condition(self))
        except TimeoutError:
            seen = [(frame.event, frame.id) for frame in self.frames][-20:]
            raise AssertionError(f"not seen in time; the last frames: {seen}") from None
        return self

    async def ended(self) -> "Reader":
        return await self.until(lambda reader: reader.has_ended)

    def of(self, *types: str) -> list[Frame]:
        return [frame for frame in self.frames if frame.event in types]

    @property
    def ids(self) -> list[int]:
        """The numbers of the numbered events."""
        return [f.id for f in self.frames if f.id is not None and f.event not in ("", "gap")]


def parse(block: bytes) -> Frame:
    frame = Frame(raw=block + b"\n\n")
    for line in block.split(b"\n"):
        name, _, value = line.partition(b": ")
        match name:
            case b"event":
                frame.event = value.decode()
            case b"data":
                frame.data = json.loads(value)
            case b"id":
                frame.position = value.decode()
                frame.id = int(value.rpartition(b":")[2])
            case b"retry":
                frame.retry = int(value)
    return frame


@contextlib.asynccontextmanager
async def stream(
    served: Served,
    path: str,
    *,
    token: str | None = None,
    last_event_id: str | None = None,
    coding: str = "identity",
) -> AsyncIterator[Reader]:
    """An open stream. The answer must be 200."""
    headers = {"Authorization": f"Bearer {served.admin_key if token is None else token}"}
    if token == "":
        headers = {}
    headers["Accept-Encoding"] = coding
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    async with (
        httpx.AsyncClient(base_url=served.url, timeout=DEADLINE_SECONDS) as client,
        client.stream(
            "GET", path, headers=headers, timeout=httpx.Timeout(10, read=None)
        ) as response,
    ):
        assert response.status_code == 200, (await response.aread()).decode()
        reader = Reader(response)
        reading = asyncio.create_task(reader.run())
        try:
            yield reader
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading


async def refused(
    served: Served, path: str, *, token: str | None = None, last_event_id: str | None = None
) -> tuple[int, dict[str, Any]]:
    """Status and problem of a stream that isn't opened."""
    headers = {"Authorization": f"Bearer {token}"} if token != "" else {}
    if token is None:
        headers = {"Authorization": f"Bearer {served.admin_key}"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    async with httpx.AsyncClient(base_url=served.url, timeout=DEADLINE_SECONDS) as client:
        response = await client.get(path, headers=headers)
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()
