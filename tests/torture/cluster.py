"""The product as it is deployed: two APIs, two hubs, a tailer, Postgres and a pair of Valkeys, or a cluster
of six, each a process of its own on loopback, below one directory."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg

from runcast._support import redis_client
from runcast_server.process import credentials, migrate
from tests.redis_cluster import RedisCluster
from tests.torture.programs import Postgres, RedisPair, Service, service, wait

HEARTBEAT_SECONDS = 1.0
TAIL_PROJECT = "files"


SHIFTED_CLOCK = """
CREATE SCHEMA shifted;
CREATE TABLE shifted.clock AS SELECT interval '0' AS shift;
CREATE FUNCTION shifted.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    'SELECT pg_catalog.now() + shift FROM shifted.clock';
CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    'SELECT pg_catalog.clock_timestamp() + shift FROM shifted.clock';
GRANT USAGE ON SCHEMA shifted TO PUBLIC;
GRANT SELECT ON shifted.clock TO PUBLIC;
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path = shifted, pg_catalog, public', current_database());
END $$;
ALTER FUNCTION take_numbers SET search_path = shifted, pg_catalog, public;
ALTER FUNCTION take_lines SET search_path = shifted, pg_catalog, public;
"""
"""Found before Postgres's own functions by whoever doesn't name a schema, that is by the product."""


class Cluster:
    """Everything that runs. `start` and `stop` block; the rest is for the nemesis and the clients."""

    def __init__(
        self,
        root: Path,
        *,
        apis: int = 2,
        hubs: int = 2,
        tailers: int = 1,
        has_slots: bool = False,
    ) -> None:
        self.root = root
        self.runs_dir = root / "runs"
        self.postgres = Postgres(root)
        self.redis = RedisPair(root)
        self.slots = RedisCluster(root) if has_slots else None
        """In the place of the pair, where it's set."""
        self.token = ""
        self._counts = {"api": apis, "hub": hubs, "tailer": tailers}
        self.services: dict[str, Service] = {}

    @property
    def apis(self) -> list[Service]:
        return self._of("api")

    @property
    def hubs(self) -> list[Service]:
        return self._of("hub")

    @property
    def tailers(self) -> list[Service]:
        return self._of("tailer")

    def _of(self, command: str) -> list[Service]:
        return [each for name, each in self.services.items() if name.startswith(command)]

    def start(self, **environment: str) -> None:
        """Starts the servers, migrates, starts the services; returns when all take connections."""
        try:
            self._start(environment)
        except BaseException:
            self.stop()
            raise

    def _start(self, environment: dict[str, str]) -> None:
        self.runs_dir.mkdir(parents=True)
        with ThreadPoolExecutor() as threads:
            redis = self.slots or self.redis
            for started in (threads.submit(self.postgres.start), threads.submit(redis.start)):
                started.result()
        migrate.up(self.postgres.url)
        self.token = asyncio.run(self._prepare())
        for command, count in self._counts.items():
            for number in range(1, count + 1):
                name = f"{command}-{number}"
                made = self.environment(**environment)
                if self.slots is not None:  # as the user that is shipped for it
                    made["RUNCAST_REDIS_URL"] = self.slots.url(command)
                self.services[name] = service(name, self.root, made)
        for each in self.services.values():
            each.start()
        for each in self.services.values():
            wait(each.listens, f"{each.name} takes connections")

    async def _prepare(self) -> str:
        """An administrator's key; and a clock that can be shifted, in front of Postgres's own."""
        connection = await self.connect()
        await connection.execute(SHIFTED_CLOCK)
        await connection.close()
        return await credentials.admin_token(self.postgres.url, None)

    async def shift_clock(self, connection: asyncpg.Connection, hours: float) -> None:
        """From now on Postgres's clock is so many hours off."""
        await connection.execute(
            "UPDATE shifted.clock SET shift = make_interval(secs => $1)", hours * 3600
        )

    @property
    def redis_url(self) -> str:
        """By which the services and writers reach Redis."""
        return self.slots.url() if self.slots else self.redis.url

    @contextlib.contextmanager
    def redis_client(self) -> Iterator[Any]:
        """A client of it, for keys wherever they lie."""
        client = redis_client.connect(self.redis_url)
        try:
            yield client
        finally:
            redis_client.close(client)

    def environment(self, **more: str) -> dict[str, str]:
        """What the services are started with."""
        kept = {name: "" for name in os.environ if name.startswith("RUNCAST_")}
        return {
            **kept,
            "RUNCAST_DATABASE_URL": self.postgres.url,
            "RUNCAST_REDIS_URL": self.redis_url,
            "RUNCAST_INGEST_STREAMS": "4" if self.slots else "1",
            "RUNCAST_DATABASE_POOL_SIZE": "6",
            "RUNCAST_DATA": str(self.root / "data"),
            "RUNCAST_RUNS_DIR": str(self.runs_dir),
            "RUNCAST_TAIL_PROJECT": TAIL_PROJECT,
            "RUNCAST_SSE_HEARTBEAT_INTERVAL_S": str(HEARTBEAT_SECONDS),
            "RUNCAST_SSE_MAX_CONNECTIONS_PER_KEY": "0",
            "RUNCAST_EVENT_CHANNEL_BUFFER": "1000",
            "RUNCAST_START_WAIT_S": "120",
            "RUNCAST_LOG_FORMAT": "json",
            **more,
        }

    def stop(self) -> dict[str, int | None]:
        """Ends everything that was started; answers the services' exit codes."""
        with ThreadPoolExecutor() as threads:
            for each in self.services.values():
                threads.submit(each.end)
        codes = {
            name: each.child.returncode if each.child else None
            for name, each in self.services.items()
        }
        (self.slots or self.redis).end()
        self.postgres.stop()
        return codes

    async def connect(self) -> asyncpg.Connection:
        """A superuser's connection to the database."""
        return await asyncpg.connect(self.postgres.url, timeout=10)
