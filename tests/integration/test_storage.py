"""Retention and quotas of a project: what is kept, what goes, what is refused, and what all of it takes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from runcast.contract import INGEST_STREAM
from runcast_api.storage.policy import Bounds
from runcast_api.storage.retention import Keeper
from runcast_server.db import acquire
from runcast_server.eventlog import erasure
from tests import aging
from tests.integration import ingesting
from tests.integration.rest import Rest, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio

NO_BOUNDS = Bounds(None, None, None, None)


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as served:
        yield served


def keeper(rest: Rest, bounds: Bounds = NO_BOUNDS) -> Keeper:
    return Keeper(rest.resources.database.log, bounds, reject_days=30, audit_days=30)


async def limit(rest: Rest, **limits: Any) -> None:
    changed = await rest.admin.patch("/projects/demo", json=limits)
    assert changed.status_code == 200, changed.text


async def storage(rest: Rest) -> dict[str, Any]:
    found: dict[str, Any] = (await rest.admin.get("/projects/demo/storage")).json()
    return found


async def owner_sql(rest: Rest, statement: str, *values: Any) -> str:
    """What an administrator does to the database by hand."""
    url = rest.resources.settings.postgres.database_url
    connection = await asyncpg.connect(url)
    try:
        return str(await connection.execute(statement, *values))
    finally:
        await connection.close()


async def made_older(rest: Rest, project: str, upto: int, *, days: int = 40) -> None:
    """Lets the project's events up to a number be so old: in another month."""
    url = rest.resources.settings.postgres.database_url
    connection = await asyncpg.connect(url)
    try:
        at = datetime.now(UTC) - timedelta(days=days)
        await aging.make_older(connection, UUID(project), upto, at)
    finally:
        await connection.close()


async def counted(rest: Rest) -> tuple[int, int, int]:
    """Bytes, lines and events by counting them all."""
    async with acquire(rest.resources.database.log) as connection:
        row = await connection.fetchrow(
            """SELECT coalesce(sum(octet_length(body)), 0)::bigint,
                      coalesce(sum(count) FILTER (WHERE first_line IS NOT NULL), 0)::bigint,
                      coalesce(sum(count), 0)::bigint FROM segments"""
        )
    return row[0], row[1], row[2]


async def kept(rest: Rest) -> tuple[int, int, int]:
    found = await storage(rest)
    assert found["is_complete"]
    return found["bytes"], found["lines"], found["events"]


async def test_an_owner_limits_a_project_within_the_bounds_of_the_server(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    bounds = {"retention_max_days": 90, "project_max_bytes": 10**9, "log_retention_days": 60}
    async with serving(database_url, redis_url, tmp_path, **bounds) as rest:
        owner, other = rest.person("owner"), rest.person("other")
        made = await rest.admin.post("/projects", json={"name": "d", "slug": "demo"}, headers=owner)
        assert made.json()["retention"] == {
            "days": None,
            "max_bytes": None,
            "keep_failed_days": None,
        }

        async def patch(body: Any, headers: dict[str, str] = owner) -> Any:
            return await rest.admin.patch("/projects/demo", json=body, headers=headers)

        changed = await patch({"retention": {"days": 30, "keep_failed_days": 90}})
        assert changed.json()["retention"] == {
            "days": 30,
            "max_bytes": None,
            "keep_failed_days": 90,
        }
        changed = await patch({"retention": {"days": None}, "quota": {"lines_per_minute": 5}})
        assert changed.json()["retention"]["keep_failed_days"] == 90
        assert (await storage(rest))["retention"]["days"] == 60
        assert (await storage(rest))["quota"] == {"max_bytes": 10**9, "lines_per_minute": 5}
        for body, field in (
            ({"retention": {"days": 91}}, "body.retention.days"),
            ({"quota": {"max_bytes": 10**9 + 1}}, "body.quota.max_bytes"),
            (
                {"retention": {"days": 50, "keep_failed_days": 49}},
                "body.retention.keep_failed_days",
            ),
            ({"retention": {"days": 0}}, "body.retention.days"),
            ({"quota": {"lines": 1}}, "body.quota.lines"),
        ):
            refused = await patch(body)
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)
        assert (await patch({"retention": {"days": 91}}, rest.person("x"))).status_code == 404
        await limit(rest, retention={"days": 91, "keep_failed_days": 91})
        await rest.admin.put(
            f"/projects/demo/members/{await user_id(rest, other)}", json={"role": "editor"}
        )
        assert (await patch({"retention": {"days": 1}}, other)).status_code == 403
        assert (await rest.admin.get("/projects/demo/storage", headers=other)).is_success
        noted = (await rest.admin.get("/admin/audit?action=project_limits_changed")).json()
        assert noted["total"] == 3


async def user_id(rest: Rest, headers: dict[str, str]) -> str:
    me = (await rest.admin.get("/auth/me", headers=headers)).json()
    return str(me["user"]["id"] if "user" in me else me["id"])


async def test_what_a_project_takes_is_counted_once(rest: Rest) -> None:
    """By several at once, while it grows, and again where its history is another one."""
    await rest.project()
    assert await kept(rest) == (0, 0, 0)
    run = await rest.run()
    for _ in range(3):
        await rest.admin.post(f"/runs/{run}/logs", json=[{"message": "x" * 50}] * 500)
        await asyncio.gather(*[storage(rest) for _ in range(4)])
    await rest.admin.post(f"/runs/{run}/artifacts", json={"step_name": "idea", "content": "1234"})
    found = await storage(rest)
    assert (found["bytes"], found["lines"], found["events"]) == await counted(rest)
    assert (found["lines"], found["artifacts_bytes"]) == (1_500, 6)
    assert found["oldest_at"] == (await rest.events())[0]["at"]
    await owner_sql(rest, "UPDATE project_counters SET epoch = epoch + 1")
    assert await kept(rest) == await counted(rest)


async def test_the_size_is_right_after_what_is_erased(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several batches, of events and of lines."""
    monkeypatch.setattr(erasure, "BATCH", 10)
    await rest.project()
    run = await rest.run()
    for name in ("secret 1", "secret 2"):
        await rest.admin.patch(f"/runs/{run}", json={"name": name})
    await rest.admin.post(f"/runs/{run}/logs", json=[{"message": "x" * 500}] * 30)
    before = await kept(rest)
    assert before == await counted(rest)
    await rest.admin.post(f"/runs/{run}/logs/redact", json={"from_line": 2, "to_line": 29})
    assert await kept(rest) == await counted(rest)
    await rest.admin.delete(f"/runs/{run}")
    assert await kept(rest) == await counted(rest)
    assert (await kept(rest))[0] != before[0]
    async with acquire(rest.resources.database.log) as connection:
        text = await connection.fetchval(
            "SELECT string_agg(convert_from(body, 'UTF8'), '') FROM segments WHERE codec = 0"
        )
        assert await connection.fetchval("SELECT count(*) FROM erased_runs") == 0
    assert "secret" not in text


async def test_old_events_and_those_beyond_the_size_go_from_the_beginning(rest: Rest) -> None:
    project = await rest.project()
    run = await rest.run()
    for part in range(30):
        texts = [{"message": f"{part}: {n * 7919:050}"} for n in range(100)]
        await rest.admin.post(f"/runs/{run}/logs", json=texts)
    await made_older(rest, project, 1_101, days=100)
    await made_older(rest, project, 1_101, days=70)
    await made_older(rest, project, 501, days=100)
    await limit(rest, retention={"days": 60})
    await keeper(rest).measure()
    await keeper(rest).shorten()
    page = (await rest.admin.get("/projects/demo/events/history?limit=3")).json()
    numbers = [event["id"] for event in page["events"]]
    assert (page["floor"], numbers) == (1_101, [1_102, 1_103, 1_104])
    assert await kept(rest) == await counted(rest)
    first = (await rest.admin.get(f"/runs/{run}/logs?limit=1")).json()["logs"][0]
    assert first["id"] == 1_102
    async with acquire(rest.resources.database.log) as connection:
        months = await connection.fetch("SELECT month FROM segment_months")
        assert len(months) == 1, months

    most = (await storage(rest))["bytes"] // 2
    await limit(rest, retention={"max_bytes": most})
    await asyncio.gather(*[keeper(rest).shorten() for _ in range(3)])
    found = await storage(rest)
    assert most // 2 < found["bytes"] <= most
    assert (found["bytes"], found["lines"], found["events"]) == await counted(rest)
    # Numbers go on, also where nothing is left.
    await limit(rest, retention={"max_bytes": 1})
    await keeper(rest).shorten()
    assert await kept(rest) == (0, 0, 0)
    added = await rest.admin.post(f"/runs/{run}/logs", json={"message": "on"})
    assert (added.json()["id"], added.json()["line_number"]) == (3_002, 3_001)


async def test_lines_of_failed_runs_stay_for_longer(rest: Rest) -> None:
    project = await rest.project()
    runs = [await rest.run(status="running") for _ in range(2)]
    for number in range(10):
        await rest.admin.post(f"/runs/{runs[number % 2]}/logs", json={"message": str(number)})
    await rest.admin.patch(f"/runs/{runs[1]}", json={"status": "failed"})
    head = len(await rest.events())
    await made_older(rest, project, head - 2, days=40)
    await made_older(rest, project, 8, days=70)
    await limit(rest, retention={"days": 1, "keep_failed_days": 90})
    await keeper(rest).measure()
    await keeper(rest).shorten()

    async def lines() -> list[int]:
        logs = [(await rest.admin.get(f"/runs/{run}/logs")).json()["logs"] for run in runs]
        return [len(log) for log in logs]

    assert (await rest.admin.get("/projects/demo/events/history")).json()["floor"] == head - 2
    assert await lines() == [0, 5]
    assert await kept(rest) == await counted(rest)
    await limit(rest, retention={"keep_failed_days": 60})
    await keeper(rest).shorten()
    assert (await lines())[1] in range(1, 5)
    await limit(rest, retention={"keep_failed_days": None})
    await keeper(rest).shorten()
    assert await lines() == [0, 0]
    assert await kept(rest) == await counted(rest)


async def test_a_full_project_takes_changes_of_state_and_no_lines(rest: Rest) -> None:
    await rest.project()
    await rest.project("other")
    run, other = await rest.run(status="running"), await rest.run("other")
    path = f"/runs/{run}/logs"
    await rest.admin.post(path, json=[{"message": "x" * 100}] * 50)
    await limit(rest, quota={"max_bytes": 10})
    quotas = rest.service.app.state.api.quotas  # type: ignore[union-attr]
    await keeper(rest).measure()
    await quotas.refresh()
    lines = {
        "type": "lines",
        "source": "logs.txt",
        "first_line": 1,
        "first_offset": 0,
        "lines": ["a"],
    }
    stream = {"Content-Type": "application/x-ndjson"}
    for refused in (
        await rest.admin.post(path, json={"message": "x"}),
        await rest.admin.post(path, json=[{"message": "x"}]),
        await rest.admin.post(path, json=lines),
        await rest.admin.post(path, content=b'{"message":"x"}\n', headers=stream),
    ):
        assert refused.status_code == 429, refused.text
        assert refused.json()["type"] == "urn:runcast:problem:quota-exceeded"
        assert int(refused.headers["Retry-After"]) > 0
    spool = json.dumps({"type": "agent:log", "data": {"message": "in the spool"}})
    feed = lines | {"source": "spool.jsonl", "lines": [spool]}
    for taken in (
        await rest.admin.post(path, json=feed),
        await rest.admin.post(f"/runs/{run}/progress", json={"stage": "idea", "message": "m"}),
        await rest.admin.patch(f"/runs/{run}", json={"status": "completed"}),
        await rest.admin.post(f"/runs/{other}/logs", json={"message": "x"}),
    ):
        assert taken.is_success, taken.text
    await limit(rest, retention={"max_bytes": 9})
    await keeper(rest).shorten()
    await quotas.refresh()
    assert (await rest.admin.post(path, json={"message": "x"})).is_success


async def test_the_lines_of_a_minute_are_counted_whichever_way_they_come(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, redis_url, tmp_path, is_running=True) as rest:
        await rest.project()
        run = await rest.run()
        await limit(rest, quota={"lines_per_minute": 1_000})
        quotas = rest.service.app.state.api.quotas  # type: ignore[union-attr]
        await quotas.refresh()
        message = ingesting.lines(UUID(run), ["x"] * 600)
        await rest.resources.bus.client.xadd(INGEST_STREAM, {"m": json.dumps(message)})
        path = f"/runs/{run}/logs"
        await rest.admin.post(path, json=[{"message": "x"}] * 500)

        async def is_refused() -> bool:
            answer = await rest.admin.post(path, json={"message": "x"})
            if answer.status_code == 429:
                assert 0 < int(answer.headers["Retry-After"]) <= 60
            return answer.status_code == 429

        await until(is_refused, "the quota to be used up")
        for project in quotas._refused_until:
            quotas._refused_until[project] = 0.0  # the minute is over
        await quotas.refresh()
        assert not quotas.is_refusing


async def test_lines_of_a_full_project_wait_in_their_file(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """On the ingest stream: a source's cursor stays, single entries leave one reject, state is taken."""
    async with serving(database_url, redis_url, tmp_path, is_running=True) as rest:
        await rest.project()
        run = await rest.run()
        await rest.admin.post(f"/runs/{run}/logs", json=[{"message": "x" * 100}] * 50)
        quotas = rest.service.app.state.api.quotas  # type: ignore[union-attr]

        async def full(*, is_full: bool) -> None:
            await limit(rest, quota={"max_bytes": 10 if is_full else None})
            await keeper(rest).measure()
            await quotas.refresh()

        async def send(*messages: dict[str, Any]) -> None:
            client = rest.resources.bus.client
            for message in messages:
                await client.xadd(INGEST_STREAM, {"m": json.dumps(message)})

            async def is_empty() -> bool:
                return not await client.xlen(INGEST_STREAM)

            await until(is_empty)

        lines = ingesting.lines(UUID(run), ["from a file"])
        entry = {"type": "agent:log", "run_id": run, "data": {"message": "an entry"}}
        await full(is_full=True)
        point = {"type": "run:metrics", "run_id": run, "data": {"metrics": {"loss": 1}}}
        await send(lines, entry, entry, point, {"type": "x:state", "run_id": run, "data": {}})
        assert [event["type"] for event in await rest.events()][-1] == "x:state"
        assert len((await rest.admin.get(f"/runs/{run}/logs?limit=1000")).json()["logs"]) == 50
        rejects = (await rest.admin.get("/admin/ingest/rejects")).json()["rejects"]
        assert rejects
        assert all(reject["reason"].startswith("quota-exceeded") for reject in rejects)
        assert sum(int(reject["reason"].rpartition(" ")[2]) for reject in rejects) == 3
        assert (await rest.admin.get(f"/runs/{run}")).json()["metrics"] == {}
        await full(is_full=False)
        await send(lines)
        last = (await rest.admin.get(f"/runs/{run}/logs?tail=1")).json()["logs"]
        assert [line["message"] for line in last] == ["from a file"]


async def test_rejects_and_audit_entries_are_forgotten_at_their_age(rest: Rest) -> None:
    await owner_sql(
        rest,
        """INSERT INTO ingest_rejects (at, stream_id, reason, message)
           SELECT now() - make_interval(days => age), '1-1', 'r', 'm' FROM unnest('{1,29,31}'::int[]) age""",
    )
    await owner_sql(
        rest,
        """INSERT INTO audit_log (at, actor, action)
           SELECT now() - make_interval(days => age), 'a', 'old' FROM unnest('{1,29,31,900}'::int[]) age""",
    )
    await keeper(rest).forget()
    async with acquire(rest.resources.database.log) as connection:
        assert await connection.fetchval("SELECT count(*) FROM ingest_rejects") == 2
        with pytest.raises(asyncpg.RaiseError, match="30 days"):
            await connection.execute("SELECT forget_audit('1 day', 10)")
    assert (await rest.admin.get("/admin/audit?action=old")).json()["total"] == 2
