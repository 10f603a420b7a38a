"""What one project, key, event or worker does wrong costs that one alone: its neighbours notice nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from runcast_api.ingest.ingester import HUNG_SECONDS
from runcast_api.logs import entries as log_entries
from runcast_api.logs import upload
from runcast_api.maintenance.due_work import DueWork, Timed
from runcast_api.otlp.silence import Silence
from runcast_api.questions.expiry import Expiry
from runcast_api.runtime import sink as runtime_sink
from runcast_api.runtime.feed import RuntimeFeed
from runcast_api.runtime.sink import RuntimeSink
from runcast_api.runtime.workers import WorkerStatusNew
from runcast_api.storage.compaction import Compactor
from runcast_api.storage.policy import Bounds
from runcast_api.storage.quotas import Quotas
from runcast_api.storage.retention import Keeper
from runcast_api.usage.budgets import Budgets
from runcast_api.webhooks import signing
from runcast_hub.connection_limits import Leases
from runcast_hub.peers import REGISTRY
from runcast_server import db_sessions
from runcast_server.auth import rate_limits
from runcast_server.db import acquire
from runcast_server.eventlog import frames
from runcast_server.eventlog.bus import Bus, Head, Keys
from runcast_server.loops import Loop
from tests import chained, turns
from tests.integration import ingesting, streams
from tests.integration.receivers import receiving
from tests.integration.rest import Rest, serving
from tests.integration.streams import stream
from tests.integration.test_leadership import process
from tests.integration.test_questions import ask
from tests.integration.test_runtime import event, report
from tests.integration.test_webhooks import deliveries, dispatcher, hook, make_due, send, tick
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rest(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rest]:
    monkeypatch.setattr(db_sessions, "SESSION", {**db_sessions.SESSION, "lock_timeout": "200ms"})
    async with serving(database_url, redis_url, tmp_path) as served:
        yield served


@contextlib.asynccontextmanager
async def locked(database_url: str, slug: str) -> AsyncIterator[None]:
    """Someone holds a lock on a project, and doesn't let go."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute(
                """SELECT FROM projects p JOIN project_counters c ON c.project_id = p.id
                   WHERE p.slug = $1 FOR UPDATE""",
                slug,
            )
            yield
    finally:
        await connection.close()


# ---------------------------------------------------------------------- projects


async def test_a_locked_project_keeps_no_other_one_waiting(rest: Rest, database_url: str) -> None:
    pool, log = rest.resources.database.log, rest.resources.eventlog
    for slug in ("aa", "bb"):
        await rest.project(slug)
        for _ in range(4):
            run = await rest.run(
                slug, status="running", budget={"max_tokens": 1, "action": "cancel"}
            )
            await ask(rest, run, expires_in_s=0.01)
            await rest.admin.patch(
                f"/runs/{run}", json={"usage": {"requests": 1, "input_tokens": 9}}
            )
            await rest.admin.post(f"/runs/{run}/logs", json={"message": "m"})
    async with acquire(pool) as connection:
        await connection.execute(
            """INSERT INTO otlp_runs (run_id, project_id, closes_at)
               SELECT id, project_id, now() FROM runs"""
        )

    async def be_silent() -> None:
        async with acquire(pool) as connection:
            await connection.execute("UPDATE runs SET heard_at = now() - interval '1 hour'")

    old = timedelta(days=-9)
    looks: list[Callable[[], Awaitable[None]]] = [
        Expiry(pool, log).expire,
        Budgets(pool, log).look,
        Silence(pool, log).end,
        Compactor(pool, old, old).compact,
        Keeper(pool, Bounds(1, None, None, None), reject_days=1, audit_days=1).measure,
    ]
    async with locked(database_url, "aa"):
        for look in looks:
            await be_silent()
            await look()

    async def of(slug: str) -> list[Any]:
        async with acquire(pool) as connection:
            return list(
                await connection.fetchrow(
                    """SELECT (SELECT count(*) FROM questions WHERE project_id = p.id AND state = 'open'),
                              (SELECT count(*) FROM runs WHERE project_id = p.id AND finished_at IS NULL),
                              (SELECT count(*) FROM otlp_runs WHERE project_id = p.id),
                              (SELECT count(*) FROM segment_compaction WHERE project_id = p.id),
                              (SELECT count(*) FROM project_storage WHERE project_id = p.id)
                       FROM projects p WHERE slug = $1""",
                    slug,
                )
            )

    assert await of("bb") == [0, 0, 0, 1, 1]
    assert (await of("aa"))[:3] == [4, 4, 4]
    for look in looks[2:]:
        await be_silent()
        await look()
    assert (await of("aa"))[1:] == [0, 0, 1, 1]


async def test_a_locked_table_delays_no_work_of_other_kinds(rest: Rest, database_url: str) -> None:
    async def nothing() -> None:
        pass

    tables = ("tasks", "questions", "runs")
    kinds = [
        Timed(
            f"SELECT FROM pg_class WHERE NOT EXISTS (SELECT FROM {name})", Loop(name, nothing, 1.0)
        )
        for name in tables
    ]
    work = DueWork.of(rest.resources.database.log, kinds)
    owner = await asyncpg.connect(database_url)
    try:
        async with owner.transaction():
            await owner.execute("LOCK TABLE questions")
            await work.look()
    finally:
        await owner.close()
    assert [timed.loop._is_wanted for timed in kinds] == [True, False, True]
    await work.look()
    assert kinds[1].loop._is_wanted


async def test_each_run_with_a_budget_has_its_turn(rest: Rest) -> None:
    await rest.project()
    budget = {"max_tokens": 10, "action": "cancel"}
    made = [await rest.run(status="running", budget=budget) for _ in range(5)]
    usage = {"usage": {"requests": 1, "input_tokens": 11}}
    await rest.admin.patch(f"/runs/{made[-1]}", json=usage)
    budgets = Budgets(rest.resources.database.log, rest.resources.eventlog, batch=2)
    for _ in range(3):
        await budgets.look()
    assert (await rest.admin.get(f"/runs/{made[-1]}")).json()["status"] == "cancelled"
    await rest.admin.patch(f"/runs/{made[0]}", json=usage)
    await budgets.look()
    assert (await rest.admin.get(f"/runs/{made[0]}")).json()["status"] == "cancelled"


async def test_lines_of_other_projects_count_when_one_cannot_be_counted(rest: Rest) -> None:
    odd, good = uuid4(), uuid4()
    counters = rate_limits.storage(rest.resources.bus)
    quotas = Quotas(rest.resources.database.log, counters, Bounds(None, None, None, None))
    quotas._rates = {odd: -1, good: 3}
    quotas._uncounted.update({odd: 4, good: 4})
    await quotas.report()
    assert quotas.refusal(good) is not None


# ---------------------------------------------------------------------- what is told and sent


async def test_a_burst_of_runtime_events_hides_none_that_come_later(rest: Rest) -> None:
    feed = RuntimeFeed(rest.resources.database.log, 5.0)
    told: list[str] = []
    feed._tell = lambda _, data: told.append(data["reason_code"])  # type: ignore[method-assign]
    await feed._tell_events()
    for start in (0, 600):
        await report(rest, *(event(reason_code=f"n{n}") for n in range(start, start + 600)))
    await feed._tell_events()
    await report(rest, event(reason_code="LATER"))
    await feed._tell_events()
    assert sorted(told) == sorted([*(f"n{n}" for n in range(1200)), "LATER"])


async def test_statuses_of_workers_that_wait_are_bounded(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_sink, "MAX_STATUSES", 3)
    sink = RuntimeSink(rest.resources.database.log)
    for number in range(5):
        for status in ("IDLE", "RUNNING"):
            new = WorkerStatusNew.model_validate({"agent_type": "r", "status": status})
            sink.put_status(f"w{number}", new)
    await sink._flush()
    shown = (await rest.admin.get("/admin/runtime/status")).json()["workers"]
    assert {(one["worker_id"], one["status"]) for one in shown} == {
        (f"w{number}", "RUNNING") for number in range(3)
    }


async def test_an_event_that_cannot_be_sent_keeps_no_other_one_from_its_receiver(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rest.project()
    body = signing.body

    def written(told: Any, *given: Any) -> bytes:
        if told["data"].get("n") == 1:
            raise ValueError("odd")
        return body(told, *given)

    monkeypatch.setattr(signing, "body", written)
    async with receiving() as receiver:
        made = await hook(rest, receiver, "x:tick")
        await tick(rest, await rest.run(status="running"), 1000)
        await send(rest)
        await make_due(rest)
        await until(lambda: len(receiver.got) >= 20, "its neighbours to arrive")
        await dispatcher(rest).stop()
        ids = [got.headers["webhook-id"] for got in receiver.got]
        assert len(ids) == len(set(ids)), "a neighbour was cut off and sent again"
        async with acquire(rest.resources.database.log) as connection:
            error = await connection.fetchval(
                "SELECT error FROM webhook_deliveries WHERE error LIKE '%odd%'"
            )
    assert error is not None
    assert await deliveries(rest, made)


# ---------------------------------------------------------------------- the ingester


async def test_an_idle_ingester_holds_no_connection_while_redis_does_not_answer(
    database_url: str, redis_url: str
) -> None:
    """There may be as many streams as the pool has connections, and requests need some, too."""
    async with ingesting.opened(database_url, redis_url) as ingest:
        ingester, pool = ingest.ingesters()[0], ingest.database.log
        in_use: list[int] = []

        class Slow:
            async def last_id(self) -> str:
                in_use.append(pool.get_size() - pool.get_idle_size())
                return "1-0"

        slow: Any = Slow()
        await ingester._position(slow)
        assert in_use == [0]


async def test_an_ingester_that_ended_unasked_begins_again_and_one_that_hangs_is_told(
    database_url: str, redis_url: str
) -> None:
    async with ingesting.opened(database_url, redis_url) as ingest:
        run_id = await ingest.run(await ingest.project())
        message = {"type": "agent:log", "run_id": str(run_id), "data": {"message": "m"}}
        async with process(ingest, streams=1) as (leadership, loop):
            await until(lambda: len(leadership.streams) == 2, "both streams to be led")
            for led in leadership._led.values():
                led.task.cancel()
            loop.soon()
            await ingest.send(message)
            await until(lambda: ingest.lines(run_id), "the line")
            assert leadership.trouble is None
            for led in leadership._led.values():
                led.ingester._came_round_at -= 10 * HUNG_SECONDS
            assert "no sign of life" in (leadership.trouble or "")


async def test_a_stream_of_another_kind_hides_no_other_stream(
    database_url: str, redis_url: str
) -> None:
    async with ingesting.opened(database_url, redis_url) as ingest:
        run_id = await ingest.run(await ingest.project())
        message = f'{{"type":"agent:log","run_id":"{run_id}","data":{{"message":"m"}}}}'
        await ingest.bus.client.set("runcast:{ingest:3}", "no stream")
        await ingest.bus.client.xadd("runcast:{ingest:5}", {"m": message})
        async with process(ingest, streams=1):
            await until(lambda: ingest.lines(run_id), "the line of the stream beside it")


# ---------------------------------------------------------------------- keys in Redis


async def test_keys_of_another_kind_are_dropped_and_their_project_is_live_again(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        keys, client = Keys.of(project_id), served.resources.bus.client
        odd: list[Callable[[], Awaitable[Any]]] = [
            lambda: client.set(keys.head, "no hash"),
            lambda: client.hset(keys.head, mapping={"epoch": "e", "seq": "s", "bytes": "b"}),
            lambda: client.hset(keys.head, mapping={"bytes": "b"}),
            lambda: client.hdel(keys.head, "seq"),
            lambda: client.set(keys.stream, "no stream"),
            lambda: client.xadd(keys.stream, {"odd": "entry"}, id=f"{2**64 - 1}-{2**64 - 1}"),
        ]
        await client.set(REGISTRY, "no list")
        await served.hub.control.register()
        assert await served.hub.control._living() == {served.hub.id}
        path = f"/projects/{project_id}/events"
        async with stream(served, path) as reader:
            for number, spoil in enumerate(odd):
                await client.delete(keys.head, keys.stream)
                await served.emit(project_id)
                await spoil()
                await served.emit(project_id)
                await served.emit(project_id)
                await reader.until(lambda r, n=number: r.ids == list(range(1, 3 * n + 4)))

                async def is_whole(last: int = 3 * number + 3) -> bool:
                    [head] = await served.resources.bus.heads([project_id])
                    return head is not None and head.seq == last

                await until(is_whole, "Redis to have what Postgres has")


async def test_a_head_that_is_none_hides_no_other_one(redis_url: str) -> None:
    bus, odd, numberless, good = Bus(redis_url), uuid4(), uuid4(), uuid4()
    try:
        await bus.client.set(Keys.of(odd).head, "no hash")
        await bus.client.hset(Keys.of(numberless).head, mapping={"epoch": "x", "seq": "y"})
        await bus.seed(good, 7, 3)
        assert await bus.heads([odd, numberless, good]) == [None, None, Head(7, 3)]
        for project_id in (odd, numberless):
            await bus.seed(project_id, 7, 0)
            chain = chained.chain(7, 1, [frames.event("x:a", {})])
            assert (await bus.publish(project_id, chain)).verdict == "published"
    finally:
        await bus.close()


async def test_a_caller_s_odd_key_keeps_no_limit_of_others_from_holding(redis_url: str) -> None:
    bus = Bus(redis_url)
    one, other = Leases(bus, "one"), Leases(bus, "other")
    try:
        await bus.client.set("runcast:lease:odd", "no hash")
        await bus.client.hset("runcast:lease:wild", "ghost", "no numbers")
        taken = await asyncio.gather(*(one.take(name, 1) for name in ("odd", "wild", "good")))
        assert taken == [True, True, True]
        assert not bus.is_avoided
        refused = await asyncio.gather(*(other.take(name, 1) for name in ("odd", "wild", "good")))
        assert refused == [False, False, False]
        await bus.client.set("runcast:lease:odd", "no hash again")
        await one.renew()
        assert not bus.is_avoided
        assert not await other.take("odd", 1)
    finally:
        await one.close()
        await other.close()
        await bus.close()


@pytest.mark.parametrize("kind", ["json", "x-ndjson"])
async def test_a_body_of_many_entries_lets_others_have_their_turns(
    rest: Rest, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    encode = log_entries.encode

    def noting(*given: Any) -> log_entries.Encoded:
        seen.append(counted.number)
        return encode(*given)

    monkeypatch.setattr(log_entries, "encode", noting)
    await rest.project("p")
    run = await rest.run("p")
    entries = [b'{"message":"x"}'] * 3_000
    body = b"\n".join(entries) if kind == "x-ndjson" else b"[%b]" % b",".join(entries)
    async with turns.counted() as counted:
        stored = await rest.admin.post(
            f"/runs/{run}/logs",
            content=body,
            headers={"Content-Type": f"application/{kind}"},
        )
    assert stored.json()["accepted"] == len(seen) == 3_000
    assert max(Counter(seen).values()) <= upload.TURN_ENTRIES


class Asked(Leases):
    """Notes what each question was answered."""

    answers: tuple[bool, ...] = ()

    async def _ask(self, name: str, limit: int) -> bool:
        answer = await super()._ask(name, limit)
        self.answers += (answer,)
        return answer


async def test_a_stream_that_waits_for_a_place_gets_it_from_redis(redis_url: str) -> None:
    """The limit is known as long as it waits, also when the last stream of its caller has gone: otherwise
    the round of all callers fails, and Redis counts as away."""
    bus = Bus(redis_url)
    one = Asked(bus, "one")
    try:
        assert await one.take("ann", 1)
        waiting = asyncio.create_task(one.take("ann", 1, wait_seconds=60))
        await until(lambda: one.answers == (True, False), "the first question's answer")
        await one.give_back("ann")
        assert await waiting
        assert not bus.is_avoided
        given_up = asyncio.create_task(one.take("bob", 1, wait_seconds=60))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait((given_up,))
        await until(lambda: not one._asked and not one._writing, "the round to end")
        assert one._limits == {"ann": 1}, "who gave up is forgotten"
    finally:
        await one.close()
        await bus.close()
