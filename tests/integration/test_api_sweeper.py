"""What a crash left behind is published, a history that went back is noticed, silence is judged."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from runcast_api.artifacts.store import ArtifactStore
from runcast_api.logs.closing import Closer
from runcast_api.maintenance.sweeper import Sweeper
from runcast_api.runs.liveness import Judge
from runcast_server.db import acquire
from runcast_server.eventlog import frames
from runcast_server.eventlog.bus import Head
from runcast_server.eventlog.frames import Block
from runcast_server.eventlog.log import EventLog, Transaction
from runcast_server.eventlog.publisher import Publisher
from tests.integration.rest import Rest, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio


class Crashed(Publisher):
    """A process that dies between the commit and the publish, every time."""

    def add(self, project_id: UUID, block: Block) -> None:
        pass


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        yield rest


@pytest.fixture
def sweeper(rest: Rest, tmp_path: Path) -> Sweeper:
    pool, bus = rest.resources.database.log, rest.resources.bus
    return Sweeper(pool, bus, Publisher(bus, pool), ArtifactStore(tmp_path.as_uri()))


async def head(rest: Rest, project: str) -> Head | None:
    [found] = await rest.resources.bus.heads([UUID(project)])
    return found


async def lose(rest: Rest, project: str, number: int) -> None:
    """Commits so many events that nobody publishes."""
    bus, pool = rest.resources.bus, rest.resources.database.log
    eventlog = EventLog(pool, Crashed(bus, pool))

    async def change(transaction: Transaction) -> None:
        transaction.emit(UUID(project), *[frames.event("x:lost", {"n": n}) for n in range(number)])

    await eventlog.commit(UUID(project), change)


async def test_events_that_nobody_published_are_published(rest: Rest, sweeper: Sweeper) -> None:
    project = await rest.project()
    await rest.run()

    async def is_published() -> bool:
        found = await head(rest, project)
        return found is not None and found.seq == 1

    await until(is_published)
    await lose(rest, project, 5)
    await sweeper.sweep()
    await sweeper.sweep()
    found = await head(rest, project)
    assert found is not None
    assert found.seq == 6
    [block] = await rest.resources.bus.read(UUID(project), 1)
    assert (block.first, block.last) == (2, 6)


async def test_redis_that_was_emptied_learns_the_head_again(rest: Rest, sweeper: Sweeper) -> None:
    project = await rest.project()
    await lose(rest, project, 3)
    for _ in range(4):
        await sweeper.sweep()
    found = await head(rest, project)
    assert found is not None
    assert found.seq == 3


async def test_a_history_that_went_back_gets_another_identity(rest: Rest, sweeper: Sweeper) -> None:
    project = await rest.project()
    for _ in range(3):
        await rest.run()

    async def is_published() -> bool:
        found = await head(rest, project)
        return found is not None and found.seq == 3

    await until(is_published)
    before = await head(rest, project)
    assert before is not None
    async with acquire(rest.resources.database.log) as connection:
        await connection.execute("UPDATE project_counters SET last_seq = 1")
    await sweeper.sweep()
    after = await head(rest, project)
    assert after is not None
    assert after.seq == 1
    assert after.epoch != before.epoch
    async with acquire(rest.resources.database.log) as connection:
        assert await connection.fetchval("SELECT epoch FROM project_counters") == after.epoch
    assert await rest.resources.bus.read(UUID(project), 0) == []


async def test_the_sweeper_leaves_what_is_on_its_way(rest: Rest, sweeper: Sweeper) -> None:
    """At its first look it can't know whether a publish is under way."""
    project = await rest.project()
    await rest.resources.bus.seed(UUID(project), await epoch(rest), 0)
    await lose(rest, project, 2)
    await sweeper.sweep()
    found = await head(rest, project)
    assert found is not None
    assert found.seq == 0


async def epoch(rest: Rest) -> int:
    async with acquire(rest.resources.database.log) as connection:
        found: int = await connection.fetchval("SELECT epoch FROM project_counters")
        return found


async def test_partitions_are_made_and_old_ones_dropped(rest: Rest, sweeper: Sweeper) -> None:
    project = await rest.project()
    run = await rest.run()
    await rest.admin.post(f"/runs/{run}/logs", json=[{"message": "x"}] * 10)
    async with acquire(rest.resources.database.log) as connection:
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        has = "SELECT has_partition($1::text::regclass, $2)"
        await sweeper.keep_partitions()
        assert await connection.fetchval(has, "segments", tomorrow)
        # Everything until tomorrow counts as older than this retention.
        sweeper.runtime_days = -3
        await sweeper.keep_partitions()
        assert not await connection.fetchval(has, "runtime_events", tomorrow)
    readiness = await rest.service.ready()
    assert "tomorrow" in readiness.failing["postgres"]
    assert (await rest.admin.get(f"/runs/{run}/logs")).json()["logs"] != []
    assert project


async def test_liveness_follows_what_is_heard(rest: Rest) -> None:
    await rest.project()
    run = await rest.run(status="running")
    silent = await rest.run(status="running")
    pool = rest.resources.database.log
    judge = Judge(pool, rest.resources.eventlog, 30.0, time.monotonic() - 3600)

    async def liveness(*, heard_s: float, promised_s: float | None = None) -> str:
        async with acquire(pool) as connection:
            await connection.execute(
                """UPDATE runs SET heard_at = now() - make_interval(secs => $2),
                       expected_at = now() + make_interval(secs => $3) WHERE id = ANY($1)""",
                [UUID(run), UUID(silent)],
                heard_s,
                promised_s,
            )
        await judge.judge()
        return str((await rest.admin.get(f"/runs/{run}")).json()["liveness"])

    assert await liveness(heard_s=1000) == "ok"  # nobody promised anything yet
    assert (await rest.admin.post(f"/runs/{run}/heartbeat")).status_code == 200
    assert await liveness(heard_s=59) == "ok"
    assert await liveness(heard_s=61) == "stalled"
    assert await liveness(heard_s=301) == "lost"
    assert await liveness(heard_s=1) == "ok"
    assert await liveness(heard_s=200, promised_s=5) == "ok"
    assert await liveness(heard_s=50, promised_s=-1) == "stalled"
    await rest.admin.post(f"/runs/{run}/logs", json={"message": "here"})
    await judge.judge()
    assert (await rest.admin.get(f"/runs/{run}")).json()["liveness"] == "ok"
    assert (await rest.admin.get(f"/runs/{silent}")).json()["liveness"] == "ok"
    assert (await rest.admin.get(f"/runs/{run}")).json()["status"] == "running"
    told = [event["data"] for event in await rest.events(types="run:liveness_changed")]
    changes = [(data["old_liveness"], data["new_liveness"]) for data in told]
    assert changes == [
        ("ok", "stalled"),
        ("stalled", "lost"),
        ("lost", "ok"),
        ("ok", "stalled"),
        ("stalled", "ok"),
    ]


async def test_a_project_that_was_deleted_or_is_held_delays_no_other(rest: Rest) -> None:
    """Liveness and closing go on with the projects after it, in whatever order they come."""
    pool, eventlog = rest.resources.database.log, rest.resources.eventlog
    runs = {}
    for name in ("a", "deleted", "held", "z"):
        await rest.project(name)
        runs[name] = await rest.run(name, status="running")
        await rest.admin.post(f"/runs/{runs[name]}/heartbeat")
    message = {"type": "lines", "source": "s", "first_line": 1, "first_offset": 0, "lines": ["a"]}
    for run in runs.values():
        await rest.admin.post(f"/runs/{run}/logs", json=message)
    async with acquire(pool) as connection:
        await connection.execute("UPDATE runs SET heard_at = now() - interval '1 hour'")
    assert (await rest.admin.delete("/projects/deleted")).status_code == 204
    judge = Judge(pool, eventlog, 30.0, time.monotonic() - 3600)
    async with acquire(pool) as holder, holder.transaction():
        await holder.execute("SELECT FROM runs WHERE id = $1 FOR UPDATE", UUID(runs["held"]))
        await judge.judge()
        assert {name: await liveness_of(rest, runs[name]) for name in ("a", "held", "z")} == {
            "a": "lost",
            "held": "ok",
            "z": "lost",
        }
    await judge.judge()
    assert await liveness_of(rest, runs["held"]) == "lost"
    for name in ("a", "held", "z"):
        await rest.admin.post(f"/runs/{runs[name]}/cancel")
    await Closer(pool, eventlog, silent=timedelta(0)).close()
    for name in ("a", "held", "z"):
        assert len(await rest.events(name, types="log:closed")) == 1


async def liveness_of(rest: Rest, run: str) -> str:
    return str((await rest.admin.get(f"/runs/{run}")).json()["liveness"])


async def test_a_log_that_nobody_will_end_is_closed(rest: Rest) -> None:
    await rest.project()
    run, going = await rest.run(status="running"), await rest.run(status="running")
    message = {"type": "lines", "source": "s", "first_line": 1, "first_offset": 0, "lines": ["a"]}
    for each in (run, going):
        await rest.admin.post(f"/runs/{each}/logs", json=message)
    await rest.admin.post(f"/runs/{run}/cancel")
    pool, eventlog = rest.resources.database.log, rest.resources.eventlog
    await Closer(pool, eventlog).close()
    assert await rest.events(types="log:closed") == []
    for _ in range(2):
        await Closer(pool, eventlog, silent=timedelta(0)).close()
    [closed] = await rest.events(types="log:closed")
    assert closed["data"] == {
        "run_id": run,
        "source": "s",
        "lines": 1,
        "bytes": 2,
        "reason": "abandoned",
    }
    more = message | {"first_line": 2, "first_offset": 2}
    await rest.admin.post(f"/runs/{run}/logs", json=more)
    assert len(await rest.events(types="log:reopened")) == 1


async def test_a_server_that_was_down_blames_nobody(rest: Rest) -> None:
    await rest.project()
    run = await rest.run(status="running")
    await rest.admin.post(f"/runs/{run}/heartbeat")
    pool = rest.resources.database.log
    async with acquire(pool) as connection:
        await connection.execute("UPDATE runs SET heard_at = now() - interval '1 hour'")
    judge = Judge(pool, rest.resources.eventlog, 30.0, time.monotonic())
    await judge.judge()
    assert (await rest.admin.get(f"/runs/{run}")).json()["liveness"] == "ok"


async def test_a_clock_that_was_set_blames_nobody(rest: Rest) -> None:
    """What Postgres's clock says of silence counts only while it goes as fast as ours."""
    await rest.project()
    run = await rest.run(status="running")
    await rest.admin.post(f"/runs/{run}/heartbeat")
    pool, ahead = rest.resources.database.log, 0.0
    judge = Judge(
        pool,
        rest.resources.eventlog,
        30.0,
        time.monotonic() - 3600,
        clock=lambda: time.monotonic() + ahead,
    )
    await judge.judge()
    async with acquire(pool) as connection:
        await connection.execute("UPDATE runs SET heard_at = now() - interval '1 hour'")
    ahead = -3600.0  # as if ours had stood still while an hour passed for Postgres
    for _ in range(3):
        await judge.judge()
    assert await rest.events(types="run:liveness_changed") == []
    judge.listens_since -= 3600
    await judge.judge()
    assert (await rest.admin.get(f"/runs/{run}")).json()["liveness"] == "lost"


async def test_a_running_service_is_ready_and_heals_by_itself(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, redis_url, tmp_path, is_running=True) as rest:
        project = await rest.project()
        await rest.run()
        await lose(rest, project, 4)

        async def is_healed() -> bool:
            found = await head(rest, project)
            return found is not None and found.seq == 5

        await until(is_healed)
        readiness = await rest.service.ready()
        assert (readiness.failing, readiness.degraded) == ({}, {})


async def test_a_demo_plays_its_twelve_events(rest: Rest) -> None:
    await rest.project()
    run = await rest.run()
    started = await rest.admin.post(f"/runs/{run}/demo?interval_s=0.01")
    assert started.status_code == 202

    async def is_played() -> bool:
        kinds = [event["type"] for event in await rest.events()]
        return (kinds.count("agent:log"), kinds.count("artifact:created")) == (12, 3)

    await until(is_played)
    artifacts = (await rest.admin.get(f"/runs/{run}")).json()["artifacts"]
    assert {artifact["step_name"] for artifact in artifacts} == {"idea", "topic_critic", "outline"}
    assert all(isinstance(artifact["content"], dict) for artifact in artifacts)
    again = await rest.admin.post(f"/runs/{run}/demo?interval_s=60")
    assert again.status_code == 202
    await asyncio.wait_for(rest.service.drain(1.0), 5)
