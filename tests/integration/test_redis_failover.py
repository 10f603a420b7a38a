"""Planned failovers of one Redis: the old primary lives on as a replica, and nothing closes connections to
it."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import pytest
import redis

from runcast.publisher import AsyncPublisher, Publisher
from runcast_hub import hub as hubs
from runcast_server.embedded import valkey
from runcast_server.eventlog.bus import Bus
from tests import servers
from tests.forwarder import forwarding
from tests.integration import rest, streams
from tests.torture.programs import RedisPair, free_port, wait
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def pair() -> Iterator[RedisPair]:
    with servers.directory() as root:
        made = RedisPair(root)
        try:
            made.start()
            yield made
        finally:
            made.end()


@contextlib.asynccontextmanager
async def served(
    url: str, database_url: str, tmp_path: Path
) -> AsyncIterator[tuple[rest.Rest, streams.Served, streams.Reader, str]]:
    async with (
        rest.serving(database_url, url, tmp_path, is_running=True) as api,
        streams.hub(database_url, url) as hub,
    ):
        project = await api.project("demo")
        run = await api.run(project, status="running")
        async with streams.stream(hub, f"/projects/{project}/events?subscribe_logs=all") as reader:
            yield api, hub, reader, run


async def write(api: rest.Rest, run: str, reader: streams.Reader, line: str) -> None:
    answer = await api.admin.post(f"/runs/{run}/logs", json={"message": line})
    assert answer.status_code == 201
    await reader.until(lambda r: line in [frame.data["line"] for frame in r.of("agent:log")])


async def test_a_demoted_primary_is_left_for_the_new_one(
    pair: RedisPair, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "COMPARE_SECONDS", 3600.0)
    async with forwarding(pair.primary.port) as address:
        url = f"redis://:{pair.primary.password}@127.0.0.1:{address.port}/0"
        async with served(url, database_url, tmp_path) as (api, hub, reader, run):
            await write(api, run, reader, "before")
            pair.swap_roles()
            # The address still leads to the old primary: said by both, and late instead of lost.
            await until(lambda: not hub.hub.link.is_up, "the hub leaves the demoted server")
            assert "read-only" in (hub.hub.link.trouble or "")
            assert "read-only" in (await api.service.ready()).degraded["redis"]
            await write(api, run, reader, "meanwhile")
            address.target = pair.primary.port
            await until(lambda: hub.hub.link.is_up, "the hub has its link again")
            bus, head = Bus(url), 0
            try:
                for number in range(5):
                    await write(api, run, reader, f"after {number}")
                [found] = await bus.heads([UUID(reader.of("connected")[0].data["project_id"])])
                head = found.seq if found else 0
            finally:
                await bus.close()
            assert head == reader.ids[-1]
            assert (await api.service.ready()).degraded == {}
            assert reader.ids == list(range(reader.ids[0], reader.ids[-1] + 1))


@contextlib.contextmanager
def sentinel(directory: Path, pair: RedisPair, name: str) -> Iterator[int]:
    """A sentinel that decides alone; its port."""
    port = free_port()
    directory.mkdir()
    configuration = directory / "sentinel.conf"
    configuration.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {directory}\nrequirepass watcher\n"
        f"sentinel monitor {name} 127.0.0.1 {pair.primary.port} 1\n"
        f"sentinel auth-pass {name} {pair.primary.password}\n"
        f"sentinel down-after-milliseconds {name} 1000\n"
        f"sentinel failover-timeout {name} 5000\n"
    )
    with (directory / "log").open("wb") as output:
        child = subprocess.Popen(
            [valkey.binary(), configuration, "--sentinel"], stdout=output, stderr=output
        )
    try:
        with redis.Redis(port=port, password="watcher", retry=None) as client:

            def knows() -> bool:
                try:
                    return bool(client.sentinel_master(name)["num-slaves"] == 1)
                except redis.RedisError:
                    assert child.poll() is None, (directory / "log").read_text()
                    return False

            wait(knows, "the sentinel knows the replica")
        yield port
    finally:
        child.kill()
        child.wait()


async def test_sentinels_name_the_primary(
    pair: RedisPair, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "COMPARE_SECONDS", 3600.0)
    with sentinel(tmp_path / "sentinel", pair, "mymaster") as port:
        # The first of the sentinels named is not there.
        url = (
            f"redis+sentinel://:{pair.primary.password}@127.0.0.1:1,127.0.0.1:{port}/mymaster"
            "?sentinel_password=watcher"
        )
        async with served(url, database_url, tmp_path) as (api, hub, reader, run):
            await write(api, run, reader, "before")
            with redis.Redis(port=port, password="watcher") as client:
                client.sentinel_failover("mymaster")

                def is_done() -> bool:
                    found = client.sentinel_master("mymaster")["port"]
                    return bool(found == pair.replica.port)

                await until(is_done, "the sentinel to fail over")
            pair.primary, pair.replica = pair.replica, pair.primary
            await write(api, run, reader, "meanwhile")
            pair.replica.kill()
            await until(lambda: hub.hub.link.is_up, "the hub's link to the new primary")
            for number in range(3):
                await write(api, run, reader, f"after {number}")
            with Publisher(url) as publisher:
                await asyncio.to_thread(publisher.log, run, "from a worker")
            async with AsyncPublisher(url) as other:
                await other.log(run, "from another")
            await reader.until(lambda r: len(r.of("agent:log")) == 7)
            assert (await api.service.ready()).degraded == {}
            assert reader.ids == list(range(reader.ids[0], reader.ids[-1] + 1))
