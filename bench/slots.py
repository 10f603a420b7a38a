"""A Redis Cluster of three primaries and three replicas: how long an event takes from the API to another
process's hub, at rest and after each fault, and whether one is lost.

    python -m bench.slots [--seconds 10] [--only killed,moved]

Two API processes, two hubs, twelve projects that lie on all primaries, a reader of each at either hub. At
rest each event is sent when the one before has come. Around a fault an event of some project is due every
20 ms; the time in which it is back is that of the last event that took longer than 50 ms, counted from the
fault. The users are those of deploy/redis-users.acl, and the servers' own log of refusals has to stay empty.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
import orjson
import uvloop
from bench.server import machine
from tests.redis_cluster import RedisCluster
from tests.torture.cluster import Cluster

from runcast_server.eventlog.bus import Keys

PROJECTS = 12
EACH = 10
WARM = 2
DUE_SECONDS = 0.02
MARK_SECONDS = 0.05
REST_SECONDS = 1.0
GIVE_UP_SECONDS = 60.0
BACK_SECONDS = 5.0


@dataclass
class Measured:
    """Events on their way, and how long each took to each hub."""

    cluster: Cluster
    http: httpx.AsyncClient
    projects: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    sent: dict[str, float] = field(default_factory=dict)
    """When each message was sent."""
    heard: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """When it came, and how long that took, by hub."""
    numbers: dict[tuple[int, str], list[int]] = field(default_factory=dict)
    """The numbers that each reader got."""
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    async def prepare(self) -> None:
        api = self.cluster.apis[0].url
        for number in range(PROJECTS):
            made = await self.http.post(f"{api}/projects", json={"name": f"p{number}"})
            project = made.raise_for_status().json()["id"]
            run = await self.http.post(f"{api}/projects/{project}/runs", json={})
            self.projects.append(project)
            self.runs.append(run.json()["id"])

    async def read(self, hub: int, project: str, is_open: asyncio.Event) -> None:
        url = f"{self.cluster.hubs[hub].url}/projects/{project}/events?subscribe_logs=all"
        numbers = self.numbers.setdefault((hub, project), [])
        async with self.http.stream("GET", url, timeout=None) as answer:
            number = 0
            async for line in answer.aiter_lines():
                if line.startswith("event: connected"):
                    is_open.set()
                elif line.startswith("id: "):
                    number = int(line[4:])
                elif line.startswith("data: ") and '"line"' in line:
                    self._note(orjson.loads(line[6:])["line"])
                    numbers.append(number)

    def _note(self, text: str) -> None:
        now = time.monotonic()
        if text in self.sent:
            self.heard.setdefault(text, []).append((now, now - self.sent[text]))
            self.moved.set()

    async def send(self, place: int) -> str:
        """One line of one project, by either API; what it says."""
        text = f"m{len(self.sent)}"
        self.sent[text] = time.monotonic()
        api = self.cluster.apis[len(self.sent) % 2].url
        url = f"{api}/runs/{self.runs[place % PROJECTS]}/logs"
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await self.http.post(
                    url, json={"message": text}, headers={"Idempotency-Key": text}
                )
                if answer.status_code == 201:
                    return text
            await asyncio.sleep(0.05)

    async def until_heard(self, texts: list[str]) -> None:
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while any(len(self.heard.get(text, ())) < 2 for text in texts):
                self.moved.clear()
                await self.moved.wait()

    async def at_rest(self, each: int) -> list[float]:
        """How long events took, one after the other, to the slower of both hubs."""
        took = []
        for place in range(PROJECTS * each):
            text = await self.send(place)
            await self.until_heard([text])
            took.append(max(seconds for _, seconds in self.heard[text]))
        return took

    async def around(self, fault: Callable[[], Awaitable[None]], seconds: float) -> str:
        """Sends for this long, with a fault after a second; what became of it."""
        sending: list[asyncio.Task[str]] = []
        struck = asyncio.create_task(_later(fault))
        began = time.monotonic()
        place = 0
        while time.monotonic() - began < seconds:
            sending.append(asyncio.create_task(self.send(place)))
            place += 1
            await asyncio.sleep(began + place * DUE_SECONDS - time.monotonic())
        at = await struck
        texts = [await each for each in sending]
        await self.until_heard(texts)
        found = [(self.sent[text], max(s for _, s in self.heard[text])) for text in texts]
        late = [
            sent + took - at for sent, took in found if took > MARK_SECONDS and sent + took > at
        ]
        worst = max(took for _, took in found)
        after = sorted(took for sent, took in found if sent > at + BACK_SECONDS)
        return (
            f"back after {max(late, default=0.0):4.1f} s, worst {worst * 1e3:6.0f} ms, "
            f"{BACK_SECONDS:g} s later p50 {_ms(after, 0.5)}, p99 {_ms(after, 0.99)}"
        )

    def check(self) -> str:
        """Whether every reader got every event once and in order."""
        lost = sum(2 - len(self.heard.get(text, ())) for text in self.sent)
        torn = [
            key
            for key, numbers in self.numbers.items()
            if numbers != list(range(numbers[0], numbers[-1] + 1))
        ]
        return f"{len(self.sent)} events to 2 hubs: {lost} lost, {len(torn)} readers with a hole or a repeat"


def _ms(took: list[float], part: float) -> str:
    return f"{took[int(len(took) * part)] * 1e3:.1f} ms"


async def _later(fault: Callable[[], Awaitable[None]]) -> float:
    await asyncio.sleep(REST_SECONDS)
    at = time.monotonic()
    await fault()
    return at


def _faults(slots: RedisCluster, project: str) -> dict[str, Callable[[], Awaitable[None]]]:
    channel = Keys.of(UUID(project)).live

    async def planned() -> None:
        await asyncio.to_thread(slots.fail_over, slots.holder(channel))

    async def moved() -> None:
        await asyncio.to_thread(slots.move_slot, channel)

    async def cut() -> None:
        for node in slots.primaries:
            node.ask("CLIENT", "KILL", "TYPE", "pubsub")
            node.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    async def killed() -> None:
        slots.holder(channel).kill()

    async def returned() -> None:
        await asyncio.to_thread(slots.settle)

    return {"planned": planned, "moved": moved, "cut": cut, "killed": killed, "returned": returned}


@contextlib.asynccontextmanager
async def _reading(measured: Measured) -> AsyncIterator[None]:
    opened: list[asyncio.Event] = []
    async with asyncio.TaskGroup() as group:
        tasks = []
        for hub in range(2):
            for project in measured.projects:
                opened.append(asyncio.Event())
                tasks.append(group.create_task(measured.read(hub, project, opened[-1])))
        await asyncio.gather(*(each.wait() for each in opened))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def measure(cluster: Cluster, seconds: float, only: list[str]) -> None:
    assert cluster.slots is not None
    headers = {"Authorization": f"Bearer {cluster.token}"}
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(headers=headers, timeout=20, limits=limits) as http:
        measured = Measured(cluster, http)
        await measured.prepare()
        on = {cluster.slots.holder(Keys.of(UUID(each)).live).port for each in measured.projects}
        print(f"{PROJECTS} projects on {len(on)} primaries")
        async with _reading(measured):
            await measured.at_rest(WARM)
            took = sorted(await measured.at_rest(EACH))
            print(f"{'at rest':9} p50 {_ms(took, 0.5)}, p99 {_ms(took, 0.99)}", flush=True)
            for name, fault in _faults(cluster.slots, measured.projects[0]).items():
                if not only or name in only:
                    print(f"{name:9} {await measured.around(fault, seconds)}", flush=True)
        print(measured.check())
        print(f"refused by the users' rules: {cluster.slots.denied() or 'nothing'}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="around each fault")
    parser.add_argument("--only", default="", help="planned,moved,cut,killed,returned")
    options = parser.parse_args()
    print(machine())
    root = Path(tempfile.mkdtemp(prefix="runcast-slots-"))
    cluster = Cluster(root, apis=2, hubs=2, tailers=0, has_slots=True)
    try:
        cluster.start()
        only = options.only.split(",") if options.only else []
        uvloop.run(measure(cluster, options.seconds, only))
    finally:
        cluster.stop()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
