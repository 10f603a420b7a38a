"""Runtime observability: reported by workers, best effort; seen by administrators, exactly."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from httpx_sse import aconnect_sse
from prometheus_client import REGISTRY

from runcast._support.ids import uuid7
from runcast.contract import INGEST_STREAM
from runcast_server.db import acquire
from tests.conftest import run_sql
from tests.integration.boards import Board, chain
from tests.integration.rest import Rest, listening, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio

Json = dict[str, Any]


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


@pytest.fixture
async def running(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path, is_running=True) as rest:
        await rest.project()
        yield rest


def event(**members: Any) -> Json:
    return {
        "layer": "provider_runtime",
        "operation": "CALL",
        "reason_code": "OK",
        "entity_id": "openai/gpt",
    } | members


async def report(rest: Rest, *events: Json) -> None:
    answer = await rest.admin.post("/runtime/events", json=list(events))
    assert answer.status_code == 202, answer.text
    assert answer.json() == {"accepted": len(events), "stored": len(events)}


async def get(rest: Rest, path: str, expect: int = 200, **params: Any) -> Json:
    answer = await rest.admin.get(path, params=params)
    assert answer.status_code == expect, answer.text
    found: Json = answer.json()
    return found


async def put_status(rest: Rest, worker: str, **members: Any) -> Json:
    body = {"agent_type": "runner", "status": "IDLE"} | members
    answer = await rest.admin.put(f"/workers/{worker}/status", json=body)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def test_events_are_stored_once_and_shown_as_they_were_reported(rest: Rest) -> None:
    reported = event(
        id=str(uuid7()),
        task_id=str(uuid4()),
        persona_id=str(uuid4()),
        worker_id="w1",
        metadata={"ms": 12, "nested": [{"a": None}]},
        occurred_at=(datetime.now(UTC) - timedelta(days=9)).isoformat(timespec="milliseconds"),
    )
    await report(rest, reported)
    await report(rest, reported)
    page = await get(rest, "/admin/runtime/events")
    [shown] = page["events"]
    assert shown["created_at"]
    del shown["created_at"]
    at = reported["occurred_at"].replace("+00:00", "Z")
    assert shown == reported | {"occurred_at": at}
    one = await rest.admin.post("/runtime/events", json=event())
    assert one.json() == {"accepted": 1, "stored": 1}


async def test_every_filter_and_their_pages(rest: Rest) -> None:
    task = str(uuid4())
    start = datetime.now(UTC) - timedelta(minutes=30)
    moments = [start + timedelta(seconds=n) for n in range(40)]
    await report(
        rest,
        *[
            event(
                layer=("tool_runtime", "execution")[n % 2],
                reason_code=f"R{n % 4}",
                entity_id=f"e{n % 5}",
                task_id=task if n % 8 == 0 else None,
                worker_id=f"w{n % 3}",
                metadata={"n": n},
                occurred_at=moment.isoformat(),
            )
            for n, moment in enumerate(moments)
        ],
    )
    wanted: list[tuple[Json, list[int]]] = [
        ({}, list(range(40))),
        ({"layer": "execution"}, [n for n in range(40) if n % 2]),
        ({"reason_code": "R3"}, [n for n in range(40) if n % 4 == 3]),
        ({"entity_id": "e2"}, [n for n in range(40) if n % 5 == 2]),
        ({"task_id": task}, [n for n in range(40) if n % 8 == 0]),
        ({"worker_id": "w1"}, [n for n in range(40) if n % 3 == 1]),
        ({"from": moments[10].isoformat()}, list(range(10, 40))),
        ({"to": moments[10].isoformat()}, list(range(10))),
        ({"worker_id": "w1", "reason_code": "R1"}, [1, 13, 25, 37]),
        ({"reason_code": "NOBODY"}, []),
    ]
    for params, expected in wanted:
        found: list[int] = []
        cursor: Json = {}
        while True:
            page = await get(rest, "/admin/runtime/events", limit=7, **params, **cursor)
            found += [each["metadata"]["n"] for each in page["events"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert found == expected[::-1], params


async def test_a_page_stays_right_while_events_arrive(rest: Rest) -> None:
    await report(rest, *[event(metadata={"n": n}) for n in range(6)])
    first = await get(rest, "/admin/runtime/events", limit=3)
    await report(rest, *[event(metadata={"n": n}) for n in range(6, 10)])
    params = {"limit": 3, "cursor": first["next_cursor"]}
    second = await get(rest, "/admin/runtime/events", **params)
    seen = [each["metadata"]["n"] for each in first["events"] + second["events"]]
    assert sorted(seen) == [0, 1, 2, 3, 4, 5]


async def test_bad_reports_and_bad_filters_are_refused(rest: Rest) -> None:
    deep: Json = {}
    for _ in range(40):
        deep = {"a": deep}
    for bad in (
        event(layer="nowhere"),
        event(operation="DANCE"),
        event(reason_code="has spaces"),
        event(entity_id=""),
        event(metadata={"bomb": "x" * 20_000}),
        event(metadata=deep),
        event(metadata={"nul": "\x00"}),
        event(metadata=[]),
        event(occurred_at="yesterday"),
        event(occurred_at="1999-01-01T00:00:00Z"),
        event(occurred_at="2999-01-01T00:00:00Z"),
        event(task_id="7"),
        event(surprise=1),
        [event(), event(layer="nowhere")],
        [event()] * 1001,
        "nonsense",
    ):
        answer = await rest.admin.post("/runtime/events", json=bad)
        assert answer.status_code == 422, (bad, answer.text)
    for _ in range(100):
        deep = {"a": deep}
    body = json.dumps(event(metadata=deep)).encode()
    assert (await rest.admin.post("/runtime/events", content=body)).status_code == 400
    assert (await get(rest, "/admin/runtime/events"))["events"] == []
    await report(rest, event(), event())
    page = await get(rest, "/admin/runtime/events", limit=1)
    for params in (
        {"from": "soon"},
        {"to": "2026-13-01"},
        {"from": "0001-01-01T00:00:00+14:00"},
        {"to": "9999-12-31T23:59:59-12:00"},
        {"layer": "nowhere"},
        {"task_id": "7"},
        {"limit": 0},
        {"cursor": "bm8"},
        {"cursor": page["next_cursor"], "layer": "execution"},
        {"from": "2026-02-01", "to": "2026-01-01"},
    ):
        await get(rest, "/admin/runtime/events", 422, **params)
    for state in ({"status": "SLEEPING"}, {"metadata": deep}, {"circuit_open": "maybe"}):
        body = {"agent_type": "runner", "status": "IDLE"} | state
        answer = await rest.admin.put("/workers/w1/status", content=json.dumps(body).encode())
        assert answer.status_code in (400, 422)


async def test_only_workers_report_and_only_administrators_look(rest: Rest) -> None:
    made = await rest.admin.post(
        "/projects/demo/keys", json={"name": "w", "role": "reporter", "scopes": ["worker"]}
    )
    assert made.status_code == 201, made.text
    plain = await rest.admin.post("/projects/demo/keys", json={"name": "p", "role": "owner"})
    worker, key = ({"Authorization": f"Bearer {each.json()['token']}"} for each in (made, plain))
    person = rest.person("somebody")
    status = {"agent_type": "runner", "status": "IDLE"}
    for headers, expected in ((worker, (202, 200)), (key, (403, 403)), (person, (403, 403))):
        sent = await rest.admin.post("/runtime/events", json=event(), headers=headers)
        put = await rest.admin.put("/workers/w1/status", json=status, headers=headers)
        assert (sent.status_code, put.status_code) == expected
        for path in ("runtime/status", "runtime/events", "runtime/tasks", "stream"):
            answer = await rest.admin.get(f"/admin/{path}", headers=headers)
            assert answer.status_code == 403, path
    nobody = await rest.admin.get("/admin/runtime/status", headers={"Authorization": ""})
    assert nobody.status_code == 401


async def test_a_breaker_that_opens_and_closes_is_told_once_each(rest: Rest) -> None:
    await put_status(rest, "w1")
    for is_open in (True, True, False, False, True):
        state = {"circuit_open": is_open, "circuit_reason": "5 failures" if is_open else None}
        await put_status(rest, "w1", status="DEGRADED" if is_open else "RUNNING", **state)
    await report(rest)
    page = await get(rest, "/admin/runtime/events", worker_id="w1")
    assert [each["reason_code"] for each in page["events"]][::-1] == [
        "BREAKER_OPENED",
        "BREAKER_CLOSED",
        "BREAKER_OPENED",
    ]
    assert page["events"][0]["metadata"] == {"circuit_reason": "5 failures"}
    glance = await get(rest, "/admin/runtime/status")
    assert glance["degraded"] == ["breaker_open"]
    assert (
        glance["degraded_by"][0] | {"worker_id": "w1", "reason": "5 failures"}
        == glance["degraded_by"][0]
    )


async def test_the_status_names_routes_stale_workers_and_counts(rest: Rest) -> None:
    board = Board(rest)
    assert (await get(rest, "/admin/runtime/status"))["last_event_at"] is None
    await put_status(rest, "w1", status="RUNNING", metadata={"expect_next_in_s": 60})
    await put_status(rest, "w2", metadata={"expect_next_in_s": 60})
    await put_status(rest, "gone", metadata={"expect_next_in_s": 60})
    await put_status(rest, "stopped", status="STOPPED")
    async with acquire(rest.resources.database.log) as connection:
        await connection.execute(
            """UPDATE worker_status SET last_heartbeat = now() - interval '10 minutes'
               WHERE worker_id IN ('gone', 'stopped')"""
        )
    for operation, model in (("CALL", "a"), ("FALLBACK", "b"), ("RETRY", "c")):
        route = {"provider": "p", "model": model}
        await report(rest, event(worker_id="w1", operation=operation, metadata=route))
    task = await board.task(*chain(3), {"title": "x"})
    await board.done(task["subtasks"][0])
    await board.claim()
    glance = await get(rest, "/admin/runtime/status")
    workers = {worker["worker_id"]: worker for worker in glance["workers"]}
    assert workers["w1"]["active_route"]["model"] == "b"
    assert workers["w1"]["active_route"]["operation"] == "FALLBACK"
    assert workers["w2"]["active_route"] is None
    assert {name for name, worker in workers.items() if worker["is_stale"]} == {"gone"}
    assert glance["degraded"] == ["worker_stale"]
    counts = {name: each["count"] for name, each in glance["queue"].items()}
    assert counts == {
        "PENDING": 1,
        "BLOCKED": 1,
        "RUNNING": 1,
        "IN_REVIEW": 0,
        "DONE": 1,
        "SKIPPED": 0,
        "FAILED": 0,
    }
    assert glance["last_event_at"] is not None


async def test_the_trend_is_against_an_hour_ago(rest: Rest) -> None:
    board = Board(rest)
    task = await board.task(*[{"title": f"t{n}"} for n in range(5)])
    async with acquire(rest.resources.database.log) as connection:
        for minutes, number in ((30, 40), (61, 30), (120, 20)):
            await connection.execute(
                """INSERT INTO queue_samples (at, status, number)
                   VALUES (now() - make_interval(mins => $1), 'PENDING', $2)""",
                minutes,
                number,
            )
    await board.done(task["subtasks"][0])
    queue = (await get(rest, "/admin/runtime/status"))["queue"]
    assert queue["PENDING"] == {"count": 4, "delta_1h": -26}
    assert queue["DONE"] == {"count": 1, "delta_1h": 1}


async def test_tasks_show_lease_reason_and_latest_event(rest: Rest) -> None:
    board = Board(rest)
    task = await board.task({"title": "a"}, {"title": "b"}, {"title": "c"}, {"title": "d"})
    a, b, c, _ = task["subtasks"]
    claimed = await board.claim("w1", lease_s=60)
    await board.move(b, "start")
    await board.move(b, "fail", reason="no luck")
    await board.move(c, "skip", reason="not needed")
    await report(rest, *[event(task_id=a["id"], reason_code=f"R{n}") for n in range(3)])
    page = await get(rest, "/admin/runtime/tasks")
    assert page["total"] == 4
    shown = {each["title"]: each for each in page["tasks"]}
    assert [each["title"] for each in page["tasks"]][:2] == ["c", "b"]
    assert shown["a"]["lease_expires_at"] == claimed["subtask"]["lease_expires_at"]
    assert shown["a"]["worker_id"] == "w1"
    assert shown["a"]["latest_event"]["reason_code"] == "R2"
    assert shown["b"]["error"] == "no luck"
    assert shown["c"]["skip_reason"] == "not needed"
    assert shown["d"]["latest_event"] is None
    failed = await get(rest, "/admin/runtime/tasks", status="FAILED")
    assert [each["title"] for each in failed["tasks"]] == ["b"]
    assert failed["total"] == 1
    first = await get(rest, "/admin/runtime/tasks", limit=3)
    last = await get(rest, "/admin/runtime/tasks", limit=3, cursor=first["next_cursor"])
    assert [each["title"] for each in first["tasks"] + last["tasks"]] == ["c", "b", "a", "d"]
    await get(rest, "/admin/runtime/tasks", 422, status="ODD")


async def test_what_is_stuck_is_named_with_its_reason(rest: Rest) -> None:
    board = Board(rest)
    for title in ("lost lease", "lost run", "forgotten", "fine"):
        await board.task({"title": title}, title=title)
    taken = [await board.claim(f"w{n}") for n in range(2)]
    async with acquire(rest.resources.database.log) as connection:
        await connection.execute(
            "UPDATE tasks SET lease_expires_at = now() - interval '1 minute' WHERE title = $1",
            taken[0]["subtask"]["title"],
        )
        await connection.execute(
            "UPDATE runs SET liveness = 'lost' WHERE name = $1", taken[1]["subtask"]["title"]
        )
        await connection.execute(
            """UPDATE tasks SET queued_at = now() - interval '1 hour'
               WHERE title = 'forgotten' AND parent_id IS NOT NULL"""
        )
    stuck = await get(rest, "/admin/runtime/tasks", stuck=True)
    assert {each["title"]: each["stuck"] for each in stuck["tasks"]} == {
        "lost lease": "its lease has ended",
        "lost run": "its run is lost",
        "forgotten": "no one claims it",
    }
    assert stuck["total"] == 3
    assert (await get(rest, "/admin/runtime/tasks", stuck=False))["total"] == 1
    glance = await get(rest, "/admin/runtime/status")
    assert glance["degraded"] == ["task_stuck"]
    assert len(glance["degraded_by"]) == 3


def counted(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


async def test_unwritable_runtime_events_leave_everything_else_working(
    running: Rest, database_url: str
) -> None:
    """Reported over HTTP and in the middle of an ingest batch, with a table that takes nothing."""
    rest, board = running, Board(running)
    await asyncio.to_thread(
        run_sql,
        database_url,
        "ALTER TABLE runtime_events ADD CONSTRAINT shut CHECK (false) NOT VALID",
    )
    failed = counted("runcast_runtime_write_failures_total")
    dropped = counted("runcast_runtime_events_dropped_total")
    answer = await rest.admin.post("/runtime/events", json=[event(), event()])
    assert (answer.status_code, answer.json()["stored"]) == (202, 0)
    run = await rest.run()
    messages: list[Json] = [
        {"type": "agent:log", "run_id": run, "data": {"message": "one"}},
        {"type": "runtime:event", "data": event(reason_code="INGESTED")},
        {"type": "worker:status", "data": {"worker_id": "w9", "agent_type": "r", "status": "IDLE"}},
        {"type": "agent:log", "run_id": run, "data": {"message": "two"}},
    ]
    for message in messages:
        await rest.resources.bus.client.xadd(INGEST_STREAM, {"m": json.dumps(message)})

    async def has_lines() -> bool:
        logs = await get(rest, f"/runs/{run}/logs")
        return [entry["message"] for entry in logs["logs"]] == ["one", "two"]

    await until(has_lines)
    await board.task({"title": "a"})
    await board.claim()
    await until(lambda: counted("runcast_runtime_events_dropped_total") >= dropped + 3)
    assert counted("runcast_runtime_write_failures_total") >= failed + 2
    rejects = await get(rest, "/admin/ingest/rejects")
    assert rejects["rejects"] == []
    await asyncio.to_thread(
        run_sql, database_url, "ALTER TABLE runtime_events DROP CONSTRAINT shut"
    )
    await report(rest, event(reason_code="AGAIN"))
    page = await get(rest, "/admin/runtime/events")
    assert [each["reason_code"] for each in page["events"]] == ["AGAIN"]
    assert (await get(rest, "/admin/runtime/status"))["workers"][0]["worker_id"] == "w9"


async def test_reports_come_through_redis_too(running: Rest) -> None:
    rest = running
    messages: list[Json] = [
        {"type": "runtime:event", "data": event(reason_code="A", worker_id="w1")},
        {"type": "runtime:event", "data": event(layer="nowhere")},
        {"type": "worker:status", "data": {"worker_id": "w1", "agent_type": "r", "status": "ODD"}},
        {"type": "worker:status", "data": {"agent_type": "r", "status": "IDLE"}},
        {
            "type": "worker:status",
            "data": {
                "worker_id": "w1",
                "agent_type": "r",
                "status": "DEGRADED",
                "circuit_open": True,
            },
        },
    ]
    for message in messages:
        await rest.resources.bus.client.xadd(INGEST_STREAM, {"m": json.dumps(message)})

    async def reasons() -> set[str]:
        page = await get(rest, "/admin/runtime/events", worker_id="w1")
        return {each["reason_code"] for each in page["events"]}

    async def is_there() -> bool:
        return await reasons() == {"A", "BREAKER_OPENED"}

    await until(is_there)
    rejects = await get(rest, "/admin/ingest/rejects")
    assert len(rejects["rejects"]) == 3
    assert any("status" in each["reason"] for each in rejects["rejects"])


async def test_the_stream_shows_a_snapshot_and_then_what_changes(running: Rest) -> None:
    rest = running
    await put_status(rest, "w1")
    headers = dict(rest.admin.headers)
    async with (
        listening(rest) as url,
        httpx.AsyncClient(base_url=url, headers=headers) as client,
        aconnect_sse(client, "GET", "/admin/stream", timeout=30) as source,
    ):
        assert source.response.headers["content-type"].startswith("text/event-stream")
        assert source.response.headers["x-accel-buffering"] == "no"
        frames = source.aiter_sse()
        first = await anext(frames)
        assert first.event == "snapshot"
        assert first.json()["workers"][0]["worker_id"] == "w1"
        assert first.id == ""
        wanted = {"runtime:event", "worker:status_changed", "queue:counts"}
        await put_status(rest, "w1", status="DEGRADED", circuit_open=True)
        await report(rest, event(reason_code="LIVE"))
        await Board(rest).task({"title": "a"})
        seen: dict[str, list[Any]] = {}
        async with asyncio.timeout(20):
            while not (wanted <= seen.keys() and len(seen["runtime:event"]) == 2):
                frame = await anext(frames)
                seen.setdefault(frame.event, []).append(frame.json())
        told = [each["reason_code"] for each in seen["runtime:event"]]
        assert sorted(told) == ["BREAKER_OPENED", "LIVE"]
        assert seen["worker:status_changed"][-1]["circuit_open"] is True
        assert seen["queue:counts"][-1]["queue"]["PENDING"]["count"] == 1
        await rest.service.drain(1.0)
        async with asyncio.timeout(20):
            rest_of_it = [frame async for frame in frames]
        assert (rest_of_it[-1].event, rest_of_it[-1].json()) == ("bye", {"reason": "shutdown"})
