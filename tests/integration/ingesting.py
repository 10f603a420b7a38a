"""An ingester on real servers, and what it has stored, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from pydantic import SecretStr

from runcast._support.ids import uuid7
from runcast.contract import INGEST_STREAM, TAILER_STREAM
from runcast_api.ingest.batches import Applier
from runcast_api.ingest.handlers import handlers
from runcast_api.ingest.ingester import Ingester
from runcast_server import tasks
from runcast_server.db import Database, acquire, open_database
from runcast_server.eventlog import history
from runcast_server.eventlog.bus import Bus
from runcast_server.eventlog.log import EventLog
from runcast_server.eventlog.publisher import Publisher
from tests import stored_events
from tests.integration import rows
from tests.stored_events import StoredEvent
from tests.waiting import until


@dataclass
class Ingest:
    """One process that ingests, and its connections."""

    database: Database
    bus: Bus
    log: EventLog
    applier: Applier
    tailers: Applier

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Ingester]:
        """Both of them, as a process has them; the one of the workers' stream is given."""
        ingesters = self.ingesters()
        running = [asyncio.create_task(ingester.run()) for ingester in ingesters]
        try:
            yield ingesters[0]
        finally:
            await tasks.end(*running)

    def ingesters(self) -> list[Ingester]:
        return [
            Ingester(self.bus, self.database.log, applier)
            for applier in (self.applier, self.tailers)
        ]

    async def project(self, slug: str = "demo") -> UUID:
        return await rows.project(self.database, slug)

    async def run(self, project_id: UUID, key: str | None = None, status: str = "running") -> UUID:
        run_id = uuid7()
        async with acquire(self.database.log) as connection:
            await connection.execute(
                """INSERT INTO runs (id, project_id, key, phase, steps, status, started_at)
                   VALUES ($1, $2, $3, 'phase1', '{idea,outline}', $4, now())""",
                run_id,
                project_id,
                key,
                status,
            )
        return run_id

    async def send(self, *messages: dict[str, Any] | bytes) -> list[bytes]:
        ids = []
        for message in messages:
            raw = message if isinstance(message, bytes) else json.dumps(message).encode()
            ids.append(await self.bus.client.xadd(INGEST_STREAM, {"m": raw}))
        return ids

    async def rows(self, query: str, *values: Any) -> list[Any]:
        async with acquire(self.database.log) as connection:
            return list(await connection.fetch(query, *values))

    async def events(self, project_id: UUID) -> list[tuple[str, dict[str, Any]]]:
        """All events in order; their numbers are checked to be 1, 2, 3 …"""
        async with acquire(self.database.log) as connection:
            found = await stored_events.of_project(connection, project_id)
        assert [event.seq for event in found] == list(range(1, len(found) + 1))
        return [(event.type, orjson.loads(event.data)) for event in found]

    async def of_run(self, run_id: UUID) -> list[StoredEvent]:
        """The run's events in order."""
        async with acquire(self.database.log) as connection:
            return await stored_events.of_run(connection, run_id)

    async def lines(self, run_id: UUID) -> list[str]:
        """The run's lines in order; their numbers are checked to be 1, 2, 3 …"""
        found = [event for event in await self.of_run(run_id) if event.line_number is not None]
        assert [event.line_number for event in found] == list(range(1, len(found) + 1))
        return [orjson.loads(event.data)["line"] for event in found]

    async def seed(self, project_id: UUID) -> None:
        """Lets Redis know the project's head, as if it had always been there."""
        [row] = await self.rows(
            "SELECT epoch, last_seq FROM project_counters WHERE project_id = $1", project_id
        )
        await self.bus.seed(project_id, row["epoch"], row["last_seq"])

    async def published(self, project_id: UUID) -> None:
        """Waits until Redis holds all of the project's events, with the frames that Postgres gives."""
        await until(lambda: self._is_published(project_id))

    async def _is_published(self, project_id: UUID) -> bool:
        blocks = await self.bus.read(project_id, 0)
        if not blocks:
            return False
        async with acquire(self.database.log) as connection:
            whole = await history.chain(connection, project_id, blocks[0].epoch, 0, 10_000)
        return whole is not None and b"".join(block.frames for block in blocks) == whole.frames

    async def rejects(self) -> list[tuple[str, str]]:
        rows = await self.rows("SELECT reason, message FROM ingest_rejects ORDER BY id")
        return [(row[0], row[1]) for row in rows]

    async def drained(self) -> None:
        """Waits until every message is done with and removed."""
        await until(lambda: self._is_drained())

    async def _is_drained(self) -> bool:
        return not await self.bus.client.xlen(INGEST_STREAM) + await self.bus.client.xlen(
            TAILER_STREAM
        )


@contextlib.asynccontextmanager
async def opened(
    database_url: str, redis_url: str, *, secret: str | None = None
) -> AsyncIterator[Ingest]:
    database = await open_database(database_url, requests=2, log=8)
    bus = Bus(redis_url)
    publisher = Publisher(bus, database.log)
    log = EventLog(database.log, publisher)
    appliers = [
        Applier(stream, log, handlers(line_bytes=65_536), SecretStr(secret) if secret else None)
        for stream in (INGEST_STREAM, TAILER_STREAM)
    ]
    try:
        yield Ingest(database, bus, log, *appliers)
    finally:
        await log.close()
        await publisher.close()
        await bus.close()
        await database.close()


def lines(
    run_id: UUID, texts: list[str], *, first: int = 1, offset: int = 0, **more: Any
) -> dict[str, Any]:
    return {
        "type": "lines",
        "run_id": str(run_id),
        "source": "logs.txt",
        "generation": 1,
        "first_line": first,
        "first_offset": offset,
        "lines": texts,
    } | more
