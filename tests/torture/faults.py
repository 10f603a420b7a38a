"""What the nemesis does. Each fault is real, heals what it broke, and answers with evidence that it
bit: what a process's own history shows. One without evidence raises, and the run fails."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import asyncpg
import httpx
import redis

from tests.torture.cluster import Cluster
from tests.torture.programs import Service, state_of
from tests.torture.readers import Reader
from tests.torture.writers import FileWriter

RESTART_SECONDS = 180.0
JUNK_BYTES = 8_000
OUTPUT_LIMIT = 256 * 1024


class NoEvidence(Exception):
    """The fault didn't bite."""


@dataclass
class Stage:
    """What there is to break. A fault holds the locks of what it breaks."""

    cluster: Cluster
    readers: Sequence[Reader]
    files: Sequence[FileWriter]
    chance: random.Random
    locks: dict[str, asyncio.Lock] = field(default_factory=dict)
    long_outages: bool = False
    """Whether some outages of Redis last half a minute."""
    recovering: set[asyncio.Task[None]] = field(default_factory=set)
    """Services that were started again and don't listen yet; nobody else breaks them meanwhile."""

    def lock(self, name: str) -> asyncio.Lock:
        return self.locks.setdefault(name, asyncio.Lock())

    def any_of(self, services: Sequence[Service]) -> Service:
        """One of them, rather one that nobody is breaking."""
        free = [each for each in services if not self.lock(each.name).locked()]
        return self.chance.choice(free or services)

    @contextlib.asynccontextmanager
    async def restarting(self, target: Service) -> AsyncIterator[None]:
        """Holds the service for the block, which ends and starts it, and until it listens again."""
        lock = self.lock(target.name)
        await lock.acquire()
        try:
            yield
        except BaseException:
            lock.release()
            raise
        task = asyncio.create_task(self._recover(target, lock))
        self.recovering.add(task)
        task.add_done_callback(self.recovering.discard)

    async def _recover(self, target: Service, lock: asyncio.Lock) -> None:
        """A process waits for its backing services before it listens; they may be away just now."""
        try:
            while not await asyncio.to_thread(target.listens):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        except RuntimeError:
            return  # It ended: whoever supervises it says so, and starts it again.
        finally:
            lock.release()


Fault = Callable[[Stage], Awaitable[str]]
FAULTS: dict[str, Fault] = {}


def fault(kind: str) -> Callable[[Fault], Fault]:
    """Names a kind of fault."""

    def register(function: Fault) -> Fault:
        FAULTS[kind] = function
        return function

    return register


def must(condition: object, what: str) -> None:
    if not condition:
        raise NoEvidence(what)


# ---------------------------------------------------------------------- services


@fault("api killed")
async def api_killed(stage: Stage) -> str:
    return await _killed(stage, stage.any_of(stage.cluster.apis))


@fault("hub killed")
async def hub_killed(stage: Stage) -> str:
    return await _killed(stage, stage.any_of(stage.cluster.hubs))


@fault("tailer killed")
async def tailer_killed(stage: Stage) -> str:
    return await _killed(stage, stage.any_of(stage.cluster.tailers))


async def _killed(stage: Stage, target: Service) -> str:
    async with stage.restarting(target):
        before = target.pid
        code = target.kill()
        await asyncio.sleep(stage.chance.uniform(0, 1))
        target.start()
        must(code == -signal.SIGKILL and target.pid != before, f"{target.name} ended by itself")
        return f"{target.name} {before}, exit {code}, now {target.pid}"


@fault("hub drained")
async def hub_drained(stage: Stage) -> str:
    return await _drained(stage, stage.any_of(stage.cluster.hubs))


@fault("api drained")
async def api_drained(stage: Stage) -> str:
    return await _drained(stage, stage.any_of(stage.cluster.apis))


async def _drained(stage: Stage, target: Service) -> str:
    async with stage.restarting(target):
        began = time.monotonic()
        code = await asyncio.to_thread(target.terminate, 30.0)
        seconds = time.monotonic() - began
        target.start()
        must(code == 0, f"{target.name} ended with {code} upon SIGTERM")
        return f"{target.name} exit 0 after {seconds:.1f} s"


@fault("api stopped")
async def api_stopped(stage: Stage) -> str:
    return await _stopped(stage, stage.any_of(stage.cluster.apis), stage.chance.uniform(0.5, 3))


@fault("hub stopped")
async def hub_stopped(stage: Stage) -> str:
    return await _stopped(stage, stage.any_of(stage.cluster.hubs), stage.chance.uniform(0.5, 5))


@fault("tailer stopped")
async def tailer_stopped(stage: Stage) -> str:
    return await _stopped(stage, stage.any_of(stage.cluster.tailers), stage.chance.uniform(0.5, 4))


@fault("ingester stopped")
async def ingester_stopped(stage: Stage) -> str:
    """Long enough for another process to take over: the old one is fenced when it wakes up."""
    leaders = [each for each in stage.cluster.apis if await _is_leading(stage, each)]
    target = leaders[0] if leaders else stage.any_of(stage.cluster.apis)
    return await _stopped(stage, target, 7.0 if leaders else 1.0)


async def _is_leading(stage: Stage, api: Service) -> bool:
    return (
        await metric(stage.cluster, api, 'runcast_ingest_leading{stream="runcast:ingest"}') == 1.0
    )


async def _stopped(stage: Stage, target: Service, seconds: float) -> str:
    async with stage.lock(target.name):
        pid = target.pid
        target.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
            state = state_of(pid)
        finally:
            target.signal(signal.SIGCONT)
        must(state == "T", f"{target.name} was in state {state!r}")
        return f"{target.name} {pid} in state T for {seconds:.1f} s"


async def metric(cluster: Cluster, target: Service, name: str) -> float | None:
    """A metric of a process, summed over its labels unless they are named; None where it can't be read."""
    headers = {"Authorization": f"Bearer {cluster.token}"}
    try:
        async with httpx.AsyncClient(timeout=2.0) as client:
            answer = await client.get(f"{target.url}/metrics", headers=headers)
    except httpx.TransportError:
        return None
    lines = [line.rpartition(" ") for line in answer.text.splitlines()]
    found = [value for named, _, value in lines if name in (named, named.split("{")[0])]
    return sum(map(float, found)) if found else None


# ---------------------------------------------------------------------- Redis


@fault("redis restarted")
async def redis_restarted(stage: Stage) -> str:
    async with stage.lock("redis"):
        node = stage.cluster.redis.primary
        before = _run_id(stage)
        code = await asyncio.to_thread(node.stop)
        await asyncio.to_thread(node.start)
        return _other_run(stage, before, f"exit {code}")


@fault("redis killed")
async def redis_killed(stage: Stage) -> str:
    async with stage.lock("redis"):
        node = stage.cluster.redis.primary
        before = _run_id(stage)
        is_long = stage.long_outages and stage.chance.random() < 0.1
        seconds = 30.0 if is_long else stage.chance.uniform(0.2, 4)
        code = node.kill()
        await asyncio.sleep(seconds)
        await asyncio.to_thread(node.start)
        return _other_run(stage, before, f"exit {code}, away for {seconds:.1f} s")


@fault("redis emptied")
async def redis_emptied(stage: Stage) -> str:
    async with stage.lock("redis"):
        with stage.cluster.redis.primary.client() as client:
            keys = client.dbsize()
            client.flushall()
        must(keys, "Redis was empty before")
        return f"{keys} keys gone"


@fault("redis paused")
async def redis_paused(stage: Stage) -> str:
    async with stage.lock("redis"):
        node = stage.cluster.redis.primary
        seconds = stage.chance.uniform(0.5, 6)
        node.child.send_signal(signal.SIGSTOP)  # type: ignore[union-attr]
        try:
            await asyncio.sleep(seconds)
            state = state_of(node.pid)
        finally:
            node.child.send_signal(signal.SIGCONT)  # type: ignore[union-attr]
        must(state == "T", f"Valkey was in state {state!r}")
        return f"{node.pid} in state T for {seconds:.1f} s"


@fault("redis cut the link")
async def redis_cut_the_link(stage: Stage) -> str:
    """A hub that stands still while much is published: Valkey ends its link for the output buffer."""
    hub = stage.any_of(stage.cluster.hubs)
    async with stage.lock("redis"), stage.lock(hub.name):
        node = stage.cluster.redis.primary
        pid = hub.pid
        hub.signal(signal.SIGSTOP)
        try:
            cut = await asyncio.to_thread(overflow, stage.cluster)
        finally:
            hub.signal(signal.SIGCONT)
        must(cut, "no client was ended for its output buffer")
        return f"{cut} clients of {node.pid} ended, {hub.name} {pid} among them"


def overflow(cluster: Cluster) -> int:
    """Publishes until Valkey ends a subscriber for its output buffer; answers how many it ended."""
    with cluster.redis.primary.client() as client:
        before = client.info("stats")["client_output_buffer_limit_disconnections"]
        client.config_set("client-output-buffer-limit", f"pubsub {OUTPUT_LIMIT} {OUTPUT_LIMIT} 1")
        script = "for i = 1, 50 do redis.call('SPUBLISH', KEYS[1], ARGV[1]) end"
        deadline = time.monotonic() + 4.0
        cut = 0
        while not cut and time.monotonic() < deadline:
            for channel in client.execute_command("PUBSUB", "SHARDCHANNELS", "runcast:{hub:*"):
                client.eval(script, 1, channel, "?" * JUNK_BYTES)
            cut = client.info("stats")["client_output_buffer_limit_disconnections"] - before
        client.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")
        return int(cut)


@fault("redis failed over")
async def redis_failed_over(stage: Stage) -> str:
    async with stage.lock("redis"):
        had, wrote = await asyncio.to_thread(
            stage.cluster.redis.fail_over, stage.chance.uniform(0.3, 1.5)
        )
        must(wrote > had, "the replica lagged by nothing")
        return f"to a copy {wrote - had} bytes older"


def _run_id(stage: Stage) -> str:
    with stage.cluster.redis.primary.client() as client:
        return str(client.info("server")["run_id"])


def _other_run(stage: Stage, before: str, told: str) -> str:
    after = _run_id(stage)
    must(after != before, "Valkey is still the same run")
    return f"{told}, run {before[:8]} → {after[:8]}"


# ---------------------------------------------------------------------- Postgres


@fault("postgres restarted")
async def postgres_restarted(stage: Stage) -> str:
    async with stage.lock("postgres"):
        before = stage.cluster.postgres.pid
        await asyncio.to_thread(stage.cluster.postgres.stop)
        await asyncio.sleep(stage.chance.uniform(0, 2))
        await asyncio.to_thread(stage.cluster.postgres.start)
        after = stage.cluster.postgres.pid
        must(after != before, "Postgres is still the same process")
        return f"{before} → {after}"


@fault("postgres crashed")
async def postgres_crashed(stage: Stage) -> str:
    async with stage.lock("postgres"):
        connection = await stage.cluster.connect()
        try:
            victim = stage.cluster.postgres.crash()
            await _until(connection.is_closed, 10)
            must(connection.is_closed(), "other connections lived on")
        finally:
            connection.terminate()
        await takes_connections(stage)
        return f"backend {victim} killed, all connections ended"


@fault("postgres paused")
async def postgres_paused(stage: Stage) -> str:
    async with stage.lock("postgres"):
        seconds = stage.chance.uniform(0.5, 4)
        pids = stage.cluster.postgres.pause()
        try:
            await asyncio.sleep(seconds)
            states = {state_of(pid) for pid in pids}
        finally:
            stage.cluster.postgres.resume(pids)
        must("T" in states, f"states {states}")
        return f"{len(pids)} processes in state T for {seconds:.1f} s"


@fault("postgres full")
async def postgres_full(stage: Stage) -> str:
    """All connections are taken, and the services' own ended: they can't come back."""
    async with stage.lock("postgres"):
        held: list[asyncpg.Connection] = []
        try:
            refused = await take_all(stage.cluster, held)
            await asyncio.sleep(stage.chance.uniform(0.5, 3))
        finally:
            for connection in held:
                connection.terminate()
        must(refused, "there was always another connection")
        return f"{len(held)} connections held, then: {refused}"


async def take_all(cluster: Cluster, held: list[asyncpg.Connection]) -> str:
    """Takes every connection that is free, and those of the services too, which it ends.

    Answers how the next one was refused. The caller ends what it holds.
    """
    for _ in range(3):
        await _take_free(cluster, held)
        await held[0].execute(
            """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE application_name LIKE 'runcast%' AND pid <> pg_backend_pid()"""
        )
    return await _take_free(cluster, held)


async def _take_free(cluster: Cluster, held: list[asyncpg.Connection]) -> str:
    try:
        while True:
            held.append(await cluster.connect())
    except asyncpg.TooManyConnectionsError as error:
        return str(error)


@fault("postgres's clock jumped")
async def clock_jumped(stage: Stage) -> str:
    """Postgres's clock, from which all times of events come: by hours, forwards or back."""
    async with stage.lock("postgres"):
        connection = await stage.cluster.connect()
        try:
            hours = stage.chance.uniform(-11, 11)
            before = await connection.fetchval("SELECT now()")
            await stage.cluster.shift_clock(connection, hours)
            after = await connection.fetchval("SELECT now()")
        finally:
            connection.terminate()
        jumped = (after - before).total_seconds()
        must(abs(jumped) > 1, "the clock stood where it was")
        return f"{jumped / 3600:+.1f} h"


@fault("service's clock jumped")
async def service_clock_jumped(stage: Stage) -> str:
    """The wall clock of one process, by up to a day; it stays so until the next jump, and over restarts."""
    target = stage.any_of([*stage.cluster.apis, *stage.cluster.hubs, *stage.cluster.tailers])
    seconds = stage.chance.choice([-1, 1]) * stage.chance.uniform(3600, 86_400)
    async with stage.lock(target.name):
        before = await _told_time(target)
        target.set_clock(seconds)
        await asyncio.sleep(1.5)  # A server says the time anew every second.
        jumped = await _told_time(target) - before
    must(abs(jumped) > 60, f"the clock of {target.name} went on as before")
    return f"{target.name} is {seconds / 3600:+.1f} h off, jumped by {jumped / 3600:+.1f} h"


async def _told_time(target: Service) -> float:
    """What time a process tells the world that it is."""
    async with httpx.AsyncClient(timeout=2.0) as client:
        answer = await client.get(f"{target.url}/health")
    return parsedate_to_datetime(answer.headers["date"]).timestamp()


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.02)


async def takes_connections(stage: Stage) -> None:
    """Waits until Postgres does."""
    async with asyncio.timeout(RESTART_SECONDS):
        while True:
            with contextlib.suppress(asyncpg.PostgresError, OSError):
                connection = await stage.cluster.connect()
                await connection.close()
                return
            await asyncio.sleep(0.1)


# ---------------------------------------------------------------------- disks and clients


@fault("disk full")
async def disk_full(stage: Stage) -> str:
    writer = stage.chance.choice(stage.files)
    must(writer.child is not None, f"{writer.name} has not begun")
    async with stage.lock(writer.name):
        size = writer.fill_disk(stage.chance.randrange(50, 400))
        try:
            await _until(lambda: writer.log.stat().st_size >= size, 5)
            await asyncio.sleep(stage.chance.uniform(0.3, 2))
            grown = writer.log.stat().st_size
        finally:
            writer.empty_disk()
        must(grown == size, f"the log grew to {grown}, beyond {size}")
        return f"{writer.name} stood at {size} bytes"


@fault("readers cut")
async def readers_cut(stage: Stage) -> str:
    chosen = stage.chance.sample(list(stage.readers), max(1, len(stage.readers) // 3))
    number = sum(reader.cut() for reader in chosen)
    must(number, "no reader was connected")
    return f"{number} connections torn"


@fault("readers stalled")
async def readers_stalled(stage: Stage) -> str:
    chosen = stage.chance.sample(list(stage.readers), max(1, len(stage.readers) // 4))
    seconds = stage.chance.uniform(1, 4)
    streams = [reader.stream for reader in chosen if reader.stream and not reader.is_away]
    must(streams, "no reader was connected")
    await asyncio.gather(*(reader.stall(seconds) for reader in chosen if not reader.is_away))
    return f"{len(streams)} readers read nothing for {seconds:.1f} s"


@fault("readers vanished")
async def readers_vanished(stage: Stage) -> str:
    """Half-open: the client is gone, and its connection neither reads nor ends for a while."""
    chosen = stage.chance.sample(list(stage.readers), max(1, len(stage.readers) // 6))
    left = [stream for reader in chosen if (stream := reader.vanish()) is not None]
    must(left, "no reader was connected")
    await asyncio.sleep(stage.chance.uniform(2, 5))
    for stream in left:
        stream.close()
    return f"{len(left)} connections left open"


EXPECTED = (
    redis.RedisError,
    asyncpg.PostgresError,
    httpx.TransportError,
    OSError,
    TimeoutError,
    NoEvidence,
    RuntimeError,
)
"""How a fault fails that didn't bite, or met another one that it couldn't bear."""
