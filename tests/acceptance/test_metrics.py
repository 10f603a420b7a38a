"""One scripted run of a server, in which each of its metrics moves."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx
import jwt
import pytest
from redis.asyncio import Redis
from tests import registered
from tests.processes import Up
from tests.readers import Readers, reading
from tests.waiting import until

from runcast_server.db import open_database
from runcast_server.eventlog import frames
from runcast_server.eventlog.bus import Bus
from runcast_server.eventlog.log import EventLog, Transaction
from runcast_server.eventlog.publisher import Publisher

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(200)]

POLL_SECONDS = 0.2
SECRET = "a secret of at least thirty-two bytes"
ELSEWHERE = {"runcast_tailer_rewinds", "runcast_tailer_unacknowledged_bytes"}
"""What a tailer shows of a Redis that loses what it was sent; see the tests of windows and tailers."""
_SAMPLE = re.compile(r"^(runcast_\w+?)(?:_total|_count)?(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


class Watched:
    """Which metrics have been seen to be something else than zero."""

    def __init__(self, url: str) -> None:
        self.moved: set[str] = set()
        self._url = url

    async def watch(self) -> None:
        async with httpx.AsyncClient(base_url=self._url, timeout=30) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    text = (await client.get("/metrics")).text
                    self.moved |= {name for name, value in _SAMPLE.findall(text) if float(value)}
                await asyncio.sleep(POLL_SECONDS)

    async def by(self, action: Callable[[], Awaitable[None]], *names: str) -> None:
        """Repeats what makes them move."""

        async def done() -> bool:
            await action()
            return {f"runcast_{name}" for name in names} <= self.moved

        await until(done, " or ".join(names))

    async def until(self, *names: str) -> None:
        await until(lambda: {f"runcast_{name}" for name in names} <= self.moved, " or ".join(names))


class Script:
    """A server on the test's Postgres and Redis, its administrator's client, and its metrics."""

    def __init__(
        self, up: Up, client: httpx.AsyncClient, database_url: str, redis_url: str
    ) -> None:
        self.watched = Watched(up.url)
        self._up, self._client = up, client
        self._database_url, self._redis_url = database_url, redis_url
        self._redis = Redis.from_url(redis_url)
        self._project = self._run = ""

    async def post(self, path: str, body: Any = None) -> Any:
        answer = await self._client.post(path, json=body)
        assert answer.is_success, (path, answer.text)
        return answer.json()

    async def ordinary_work(self) -> None:
        """What happens on every day."""
        self._project = (await self.post("/projects", {"name": "p", "slug": "p"}))["id"]
        quota = {"quota": {"max_bytes": 1 << 30}}
        assert (await self._client.patch("/projects/p", json=quota)).is_success
        hook = {"url": "http://127.0.0.1:9/hook", "types": ["run:created"]}
        await self.post("/projects/p/webhooks", hook)
        await self.tell_someone()
        self._run = (await self.post("/projects/p/runs", {}))["id"]
        await self.say()
        task = await self.post("/projects/p/tasks", {"title": "t", "subtasks": [{"title": "s"}]})
        await self.post(f"/tasks/{task['id']}/activate")
        await self.post("/projects/p/subtasks/claim", {"worker_id": "w", "lease_s": 1})

    async def say(self) -> None:
        await self._client.post(f"/runs/{self._run}/logs", json={"message": "a line"})

    async def tell_someone(self) -> None:
        """A person's phone, which isn't there."""
        token = jwt.encode({"sub": "root", "role": "admin"}, SECRET, algorithm="HS256")
        person = {"Authorization": f"Bearer {token}"}
        phone = {"id": "phone", "kind": "ntfy", "url": "http://127.0.0.1:9/topic"}
        path = "/auth/me/notifications"
        body = {"rules": [], "targets": [phone]}
        assert (await self._client.put(path, json=body, headers=person)).is_success
        tried = {"target": "phone"}
        assert (await self._client.post(f"{path}/test", json=tried, headers=person)).is_success

    async def follow(self) -> None:
        """A file, and its lines."""
        await self.watched.until("tailer_followed_files", "tailer_open_files", "tailer_lines")

    async def too_many_streams(self) -> None:
        """One more than a key may have, and one that resumes after the end."""
        path = f"/projects/{self._project}/events"
        async with reading(Readers(self._up.url, path, self._up.headers), 5):
            await self.watched.until("hub_refused", "hub_connections", "hub_rooms")
            await self.say()
            await self.watched.until("hub_deliveries", "hub_delivery_seconds", "hub_ring_bytes")
        async with self._client.stream("GET", path, headers={"Last-Event-ID": "999999"}):
            await self.watched.until("hub_gaps")

    async def unread(self) -> None:
        """A client that reads nothing of what is much."""
        address = urlsplit(self._up.url)
        with socket.socket() as sleeper:
            sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.to_thread(sleeper.connect, (address.hostname, address.port))
            token = self._up.headers["Authorization"]
            path = f"/projects/{self._project}/events?subscribe_logs=all"
            head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n\r\n"
            sleeper.sendall(head.encode())

            async def shout() -> None:
                await self.post(f"/runs/{self._run}/logs", [{"message": "x" * 50_000}] * 10)

            await self.watched.by(shout, "hub_slow", "hub_lagging_connections")

    async def ingest(self) -> None:
        """A message that nobody understands, a stream that is emptied, and a leader that is not alone."""
        await self._redis.xadd("runcast:ingest", {"json": "{"})
        await self.watched.until("ingest_rejects", "ingest_messages", "ingest_delay_seconds")
        await self._redis.delete("runcast:ingest")
        await self.watched.until("ingest_stream_epochs")
        async with self._sql() as connection:
            await connection.execute("UPDATE ingest_cursor SET stream_epoch = stream_epoch + 1")
        await self.watched.until("ingest_fenced")

    async def forgetful_redis(self) -> None:
        """A Redis that was emptied, and one that is full."""
        await self._redis.flushall()
        await self.say()
        await self.watched.until("late_publishes", "jumps")
        await self._redis.config_set("maxmemory", 1)
        await self.watched.by(self.say, "failed_publishes", "degraded")
        await self._redis.config_set("maxmemory", 0)

    async def from_elsewhere(self) -> None:
        """Events of another process, of which the hub hears late: its link was cut."""
        database = await open_database(self._database_url, requests=2, log=2, accounts=2)
        bus = Bus(self._redis_url)
        publisher = Publisher(bus, database.log)
        log = EventLog(database.log, publisher)

        async def change(transaction: Transaction) -> None:
            transaction.emit(UUID(self._project), frames.event("x:test", {"n": 1}))

        path = f"/projects/{self._project}/events"

        async def commit_unheard() -> None:
            await self._redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            await log.commit(UUID(self._project), change)

        try:
            async with reading(Readers(self._up.url, path, self._up.headers), 1):
                await self.watched.by(commit_unheard, "hub_events_behind", "hub_holes_filled")
        finally:
            await log.close()
            await publisher.close()
            await bus.close()
            await database.close()

    async def runtime_without_its_table(self) -> None:
        """Runtime events that are stored, and some that can't be."""
        body = {"layer": "provider_runtime", "operation": "CALL", "reason_code": "OK"}
        body["entity_id"] = "openai/gpt"
        await self.post("/runtime/events", body)
        async with self._sql() as connection:
            await connection.execute("ALTER TABLE runtime_events RENAME TO elsewhere")
            await self.post("/runtime/events", body)
            await self.watched.until("runtime_write_failures", "runtime_events_dropped")
            await connection.execute("ALTER TABLE elsewhere RENAME TO runtime_events")

    async def busy_database(self) -> None:
        """Reads that wait for each other's connections."""
        async with self._sql() as connection, connection.transaction():
            await connection.execute("LOCK TABLE projects IN ACCESS EXCLUSIVE MODE")
            waiting = [asyncio.create_task(self._client.get("/projects")) for _ in range(8)]
            await self.watched.until("pool_timeouts")
        await asyncio.gather(*waiting, return_exceptions=True)

    async def read_only_database(self) -> None:
        """A standby behind the address."""
        name = urlsplit(self._database_url).path.removeprefix("/")
        async with self._sql() as connection:
            await connection.execute(
                f"ALTER DATABASE {name} SET default_transaction_read_only = on"
            )
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            await self.watched.until("failing", "loop_failures")

    async def close(self) -> None:
        await self._redis.config_set("maxmemory", 0)
        await self._redis.aclose()

    @contextlib.asynccontextmanager
    async def _sql(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self._database_url)
        try:
            yield connection
        finally:
            await connection.close()


@pytest.fixture
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="runcast-test-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


async def test_each_metric_moves_in_a_scripted_run(
    directory: Path, database_url: str, redis_url: str
) -> None:
    urls = ("--database-url", database_url, "--redis-url", redis_url)
    settings = {
        "RUNCAST_METRICS_PUBLIC": "true",
        "RUNCAST_DATABASE_POOL_SIZE": "3",
        "RUNCAST_JWT_SECRET": SECRET,
        "RUNCAST_SSE_MAX_CONNECTIONS_PER_KEY": "4",
    }
    up, run = Up.at(directory, *urls, **settings), directory / "runs" / "a-run"
    try:
        await asyncio.to_thread(up.start_ready)
        async with httpx.AsyncClient(base_url=up.url, headers=up.headers, timeout=60) as client:
            script = Script(up, client, database_url, redis_url)
            watching = asyncio.create_task(script.watched.watch())
            try:
                await script.ordinary_work()
                run.mkdir(parents=True)
                (run / "logs.txt").write_text("one\n")
                await script.follow()
                await script.too_many_streams()
                await script.unread()
                await script.ingest()
                await script.from_elsewhere()
                await script.forgetful_redis()
                await script.runtime_without_its_table()
                await script.busy_database()
                await script.read_only_database()
                names = set(registered.metrics()) - ELSEWHERE
                await until(
                    lambda: names <= script.watched.moved, str(names - script.watched.moved)
                )
            finally:
                watching.cancel()
                await script.close()
                missing = set(registered.metrics()) - ELSEWHERE - script.watched.moved
        assert not missing
    finally:
        up.cleanup()
