"""A cluster of real processes to break one part of, with a reader whose history is judged.

For `test_faults_*`: each test of a module uses the module's cluster, in a project of its own, and
leaves it whole. What is looked for beyond loss: that nothing but what was broken is felt, and that it
passes by itself in the time that the documents say.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.torture import truth
from tests.torture.checker import Verdict, check
from tests.torture.cluster import Cluster
from tests.torture.history import History, Wanted
from tests.torture.programs import Service
from tests.torture.readers import Reader
from tests.waiting import DEADLINE_SECONDS, until

from runcast._support.ids import uuid7


@contextlib.contextmanager
def running(*, apis: int, hubs: int, tailers: int, **environment: str) -> Iterator[Cluster]:
    """A cluster in a directory with a short path, as sockets need it; ended whatever happens."""
    root = Path(tempfile.mkdtemp(prefix="runcast-faults-"))
    cluster = Cluster(root, apis=apis, hubs=hubs, tailers=tailers)
    try:
        cluster.start(**environment)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(root, ignore_errors=True)


_numbers = itertools.count(1)


@dataclass
class Stage:
    """One project on a cluster, with a run, and readers of it."""

    cluster: Cluster
    http: httpx.AsyncClient
    project: str = ""
    run: str = ""
    readers: list[Reader] = field(default_factory=list)
    written: int = 0

    async def prepare(self) -> None:
        slug = f"p{next(_numbers)}"
        made = await self.http.post(f"{self.api.url}/projects", json={"name": slug, "slug": slug})
        assert made.status_code == 201, made.text
        self.project = made.json()["id"]
        made = await self.http.post(
            f"{self.api.url}/projects/{slug}/runs", json={"status": "running"}
        )
        assert made.status_code == 201, made.text
        self.run = made.json()["id"]

    @property
    def api(self) -> Service:
        return self.cluster.apis[0]

    async def post(
        self, number: int = 1, *, api: Service | None = None, in_steps: bool = False
    ) -> httpx.Response:
        """That many log lines in one request, as it is answered; whatever that is. One with a key of its own
        takes a transaction of several statements (`in_steps`)."""
        first = self.written + 1
        self.written += number
        entries = [{"message": f"~http-0:{n}~"} for n in range(first, first + number)]
        key = {"Idempotency-Key": str(uuid7())} if in_steps else {}
        url = f"{(api or self.api).url}/runs/{self.run}/logs"
        return await self.http.post(url, json=entries, headers=key)

    async def write(self, number: int = 1, *, api: Service | None = None) -> None:
        """That many log lines, stored."""
        answer = await self.post(number, api=api)
        assert answer.status_code == 201, answer.text

    async def ready(self, service: Service) -> tuple[int, dict[str, Any]]:
        """What `/ready` of a process answers."""
        answer = await self.http.get(f"{service.url}/ready")
        return answer.status_code, answer.json()

    def reader(self, name: str = "reader", *, hubs: list[Service] | None = None) -> Reader:
        """One who wants everything, at these hubs; started by `reading`."""
        chosen = hubs or self.cluster.hubs
        reader = Reader(
            History(name, "all", self.project, Wanted("all")),
            f"/projects/{self.project}/events",
            self.cluster.token,
            lambda: [hub.port for hub in chosen],
            random.Random(name),
            {"subscribe_logs": "all"},
        )
        self.readers.append(reader)
        return reader

    async def head(self) -> int:
        """The newest number that Postgres has."""
        connection = await self.cluster.connect()
        try:
            return int(
                await connection.fetchval(
                    "SELECT last_seq FROM project_counters WHERE project_id = $1::text::uuid",
                    self.project,
                )
            )
        finally:
            await connection.close()

    async def delivered(self) -> float:
        """Waits until every reader has everything; answers after how many seconds."""
        head = await self.head()
        return await until(
            lambda: all((reader.position or 0) >= head for reader in self.readers),
            f"all readers at {head}: {[reader.position for reader in self.readers]}",
        )

    async def judge(self) -> list[Verdict]:
        """Every reader's history, compared with Postgres."""
        connection = await self.cluster.connect()
        try:
            rows = await truth.load(connection, self.project)
        finally:
            await connection.close()
        held = truth.Truth(rows)
        return [check(reader.history, held) for reader in self.readers]

    async def is_whole(self) -> None:
        """Everything was delivered to everyone, once and in order."""
        await self.delivered()
        for verdict in await self.judge():
            assert verdict.is_clean, verdict
            assert verdict.checked >= self.written


@contextlib.asynccontextmanager
async def stage(cluster: Cluster) -> AsyncIterator[Stage]:
    """A project of its own on the cluster."""
    headers = {"Authorization": f"Bearer {cluster.token}"}
    async with httpx.AsyncClient(headers=headers, timeout=20.0) as http:
        made = Stage(cluster, http)
        await made.prepare()
        yield made


@contextlib.asynccontextmanager
async def reading(*readers: Reader) -> AsyncIterator[None]:
    """The readers, connected, for the length of the block."""
    tasks = [asyncio.create_task(reader.run()) for reader in readers]
    try:
        for reader in readers:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await reader.has_connected.wait()
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
