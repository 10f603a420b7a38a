"""Visitors of projects that have no other readers: their rooms are opened and closed all the time.

Each visitor waits for a line that is written while it is there; one that doesn't hear it was in a room that
nothing is fed into. Every other visitor is a slow one that is its room's first: most of a long backfill is
still on its way to it when the line comes, for longer than empty rooms are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.torture.readers import SLOW_BUFFER_BYTES, Reader
from tests.torture.writers import Http

ROOMS = 4
BACKFILL_LINES = 3_000
PAUSE_SECONDS = (1.0, 14.0)
"""Around the ten seconds after which a hub closes a room that is empty."""
PATIENCE_SECONDS = 90.0
SLOW_NAP = (0.1, 1.5)

MakeReader = Callable[[str, str, dict[str, str]], Reader]
"""A reader of all logs by its name, its project's slug and the query of its stream."""


@dataclass
class Rooms:
    """The projects, who writes in them, and whether each visitor heard what it came for."""

    http: Http
    chance: random.Random
    make: MakeReader
    visitors: list[Reader] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _runs: dict[str, str] = field(default_factory=dict)

    async def prepare(self, prefix: str) -> dict[str, str]:
        """Makes the projects, each with a long log; their ids by their slugs."""
        ids: dict[str, str] = {}
        for number in range(ROOMS):
            slug = f"{prefix}-room-{number}"
            await self.http.send("POST", "/projects", {"slug": slug, "name": slug})
            ids[slug] = (await self.http.send("GET", f"/projects/{slug}"))["id"]
            made = await self.http.send(
                "POST", f"/projects/{slug}/runs", {"status": "running"}, key=slug
            )
            self._runs[slug] = made["id"]
            for part in range(BACKFILL_LINES // 500):
                entries = [{"message": f"{part} {line} " + "x" * 120} for line in range(500)]
                path = f"/runs/{made['id']}/logs"
                await self.http.send("POST", path, entries, key=f"{slug}:{part}")
        return ids

    async def run(self) -> None:
        """Visits until cancelled."""
        async with asyncio.TaskGroup() as group:
            for slug in self._runs:
                group.create_task(self._keep_visiting(slug))

    async def _keep_visiting(self, slug: str) -> None:
        number = 0
        while True:
            number += 1
            await self._visit(slug, number)
            await asyncio.sleep(self.chance.uniform(*PAUSE_SECONDS))

    async def _visit(self, slug: str, number: int) -> None:
        said = f"visit {slug} {number}."
        heard = asyncio.Event()
        is_slow = number % 2 == 0
        query = {"log_tail": str(BACKFILL_LINES)} if is_slow else {}
        reader = self.make(f"visitor-{slug}-{number}", slug, query)
        reader.history.ended_early = True
        reader.watch = lambda block: heard.set() if said.encode() in block else None
        if is_slow:
            reader.receive_buffer, reader.nap = SLOW_BUFFER_BYTES, SLOW_NAP
        self.visitors.append(reader)
        visiting = asyncio.create_task(reader.run())
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await reader.has_connected.wait()
                path = f"/runs/{self._runs[slug]}/logs"
                await self.http.send("POST", path, {"message": said}, key=f"{slug}:visit:{number}")
                await heard.wait()
        except TimeoutError:
            opened = reader.history.connections
            self.complaints.append(
                f"{reader.history.name} heard nothing of what was written ({opened} connections)"
            )
        finally:
            visiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await visiting
