"""Live delivery and everything between hubs on a Redis Cluster, with the users that are shipped for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
import pytest
import redis

from runcast.publisher import AsyncPublisher
from runcast_hub import hub as hubs
from runcast_server.eventlog.bus import Bus, Keys
from runcast_tailer import service as tailer_service
from tests.integration import rest, streams
from tests.integration.rest import Rest
from tests.integration.streams import Reader, Served
from tests.redis_cluster import RedisCluster
from tests.waiting import until

pytestmark = pytest.mark.anyio

PROJECTS = 8
STREAMS = 4


@dataclass
class Stage:
    """An API, a tailer and two hubs on the cluster, with a reader of each project."""

    api: Rest
    first: Served
    second: Served
    projects: list[str] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    written: int = 0

    async def write(self, number: int = 1) -> None:
        """This many lines in each project."""

        async def one(run: str) -> None:
            for _ in range(number):
                answer = await self.api.admin.post(f"/runs/{run}/logs", json={"message": "m"})
                assert answer.status_code == 201, answer.text

        await asyncio.gather(*map(one, self.runs))
        self.written += number

    async def heard(self) -> None:
        """Every reader has every line, once and in order, on the connection that it opened."""
        for reader in self.readers:
            await reader.until(lambda r: len(r.of("agent:log")) >= self.written)
            lines = [frame.data["line_number"] for frame in reader.of("agent:log")]
            assert lines == list(range(1, self.written + 1))
            assert reader.ids == list(range(reader.ids[0], reader.ids[-1] + 1))
            assert not reader.of("gap", "bye")

    async def are_linked(self) -> None:
        await until(
            lambda: self.first.hub.link.is_up and self.second.hub.link.is_up, "both hubs' links"
        )


@pytest.fixture
async def stage(
    slots: RedisCluster, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Stage]:
    """What isn't heard live isn't heard: comparing with Postgres happens only when a link says that it may
    have missed something."""
    for name in ("COMPARE_SECONDS", "BLIND_COMPARE_SECONDS"):
        monkeypatch.setattr(hubs, name, 3600.0)
    async with (
        rest.serving(
            database_url, slots.url("api"), tmp_path, is_running=True, ingest_streams=STREAMS
        ) as api,
        streams.hub(database_url, slots.url("hub")) as first,
        streams.hub(database_url, slots.url("hub")) as second,
        contextlib.AsyncExitStack() as stack,
    ):
        stage = Stage(api, first, second)
        await stage.are_linked()
        for number in range(PROJECTS):
            project = await api.project(f"p{number}")
            stage.runs.append(await api.run(project, status="running"))
            served = (first, second)[number % 2]
            path = f"/projects/{project}/events?subscribe_logs=all"
            stage.readers.append(await stack.enter_async_context(streams.stream(served, path)))
            stage.projects.append(project)
        yield stage


def holders(slots: RedisCluster, projects: list[str]) -> set[int]:
    return {slots.holder(Keys.of(UUID(project)).live).port for project in projects}


async def test_every_part_works_on_a_cluster_with_no_more_than_its_user_may(
    stage: Stage, slots: RedisCluster, database_url: str, tmp_path: Path
) -> None:
    assert len(holders(slots, stage.projects)) == 3
    await stage.write(3)
    await stage.heard()
    # Hubs ask each other: a connection that the other one holds, and a list of all.
    [connected] = stage.readers[1].of("connected")
    headers = {"Authorization": f"Bearer {stage.first.admin_key}"}
    async with httpx.AsyncClient(base_url=stage.first.url, headers=headers) as client:
        path = f"/connections/{connected.data['connection_id']}"
        changed = await client.patch(path, json={"subscribe_logs": "all"})
        assert changed.status_code == 200, changed.text
        listed = (await client.get("/admin/connections")).json()
        assert listed["total"] == PROJECTS
        assert (await client.get("/ready")).json()["degraded"] == {}
    ready = await stage.api.service.ready()
    assert (ready.failing, ready.degraded) == ({}, {})
    # From a worker and from a file.
    [run, project] = [stage.runs[0], stage.projects[0]]
    for publisher in (
        AsyncPublisher(slots.url("worker"), streams=STREAMS),
        AsyncPublisher(slots.url("worker")),
    ):
        async with publisher:
            await publisher.log(run, "from a worker")
    await stage.readers[0].until(lambda r: said(r).count("from a worker") == 2)
    made = await stage.api.run(project, key="followed", status="running")
    async with rest.serving(
        database_url, slots.url("tailer"), tmp_path, tail_project="p0", ingest_streams=STREAMS
    ) as beside:
        folder = tmp_path / "runs" / "followed"
        folder.mkdir(parents=True)
        (folder / "logs.txt").write_text("from a file\n")
        async with tailer_service.build(beside.resources).running():
            await stage.readers[0].until(lambda r: "from a file" in said(r))
    assert made
    await stage.api.admin.delete(f"/projects/{project}")
    await stage.readers[0].ended()
    assert slots.denied() == []


def said(reader: Reader) -> list[str]:
    return [frame.data["line"] for frame in reader.of("agent:log")]


async def planned(slots: RedisCluster, project: str) -> None:
    await asyncio.to_thread(slots.fail_over, slots.holder(Keys.of(UUID(project)).live))


async def moved(slots: RedisCluster, project: str) -> None:
    await asyncio.to_thread(slots.move_slot, Keys.of(UUID(project)).live)


async def cut(slots: RedisCluster, _: str) -> None:
    for node in slots.primaries:
        node.ask("CLIENT", "KILL", "TYPE", "pubsub")


async def killed(slots: RedisCluster, project: str) -> None:
    slots.holder(Keys.of(UUID(project)).live).kill()


async def test_links_follow_the_cluster_and_no_event_is_missed_or_doubled(
    stage: Stage, slots: RedisCluster
) -> None:
    channels = [Keys.of(UUID(project)).live for project in stage.projects]

    async def are_subscribed() -> bool:
        """Each channel, at the server that holds it now."""
        try:
            holders = [(slots.holder(channel), channel) for channel in channels]
            return all(
                holder.ask("PUBSUB", "SHARDNUMSUB", channel)[1] == 1 for holder, channel in holders
            )
        except redis.exceptions.RedisError:
            return False

    await stage.write()
    await stage.heard()
    for change in (planned, moved, cut, killed):
        await change(slots, stage.projects[0])
        await stage.write(2)
        await until(
            are_subscribed, f"every channel to be subscribed again after: {change.__name__}"
        )
        await stage.are_linked()
        await stage.write(2)
        await stage.heard()
    assert slots.denied() == []


async def test_a_hub_has_a_connection_and_a_probe_at_each_primary(
    slots: RedisCluster, database_url: str
) -> None:
    """One probe for all would notice only the server that it happens to lie on."""
    async with streams.hub(database_url, slots.url("hub")) as served:
        nodes = served.hub.link._nodes
        await until(lambda: served.hub.link.is_up, "the link")
        assert {port for _, port in nodes} == {node.port for node in slots.primaries}
        for (_, port), node in nodes.items():
            assert slots.holder(node._probe).port == slots.holder(node._probe_key).port == port


async def test_more_calls_than_connections_wait_for_one(slots: RedisCluster) -> None:
    bus = Bus(slots.url("hub"))
    try:
        ids = [UUID(int=number) for number in range(400)]
        answers = await asyncio.gather(*(bus.heads([each]) for each in ids))
        assert answers == [[None]] * 400
        answers = await asyncio.gather(*(bus.read(each, 0) for each in ids))
        assert answers == [[]] * 400
    finally:
        await bus.close()
