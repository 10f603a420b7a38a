"""Workers and runtime events: reported to a real server, and harmless without one."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from tests.processes import Up
from tests.waiting import wait_for

from runcast import Client
from runcast._support.ids import uuid7
from runcast.runtime import RuntimeEventSink
from runcast.worker import BreakerSnapshot, Worker

FAST = 0.2


@pytest.fixture
def server(local_server: Up) -> dict[str, str]:
    return {"url": local_server.url, "token": local_server.credentials["token"]}


@pytest.fixture
def silent_server() -> Iterator[dict[str, str]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield {"url": f"http://127.0.0.1:{listener.getsockname()[1]}", "token": "x"}


def seen(client: Client, worker_id: str) -> dict[str, Any]:
    """The worker as an administrator sees it; empty before it is known."""
    workers = client.runtime_status()["workers"]
    return next((each for each in workers if each["worker_id"] == worker_id), {})


def test_a_workers_status_follows_its_life(client: Client, server: dict[str, str]) -> None:
    name, task = f"w-{uuid7()}", str(uuid7())
    with Worker(name, "runner", metadata={"host": "a"}, **server) as worker:
        wait_for(lambda: seen(client, name).get("status") == "IDLE", "IDLE")
        with worker.task(task):
            wait_for(lambda: seen(client, name)["status"] == "RUNNING", "RUNNING")
            assert seen(client, name)["current_task_id"] == task
        wait_for(lambda: seen(client, name)["status"] == "IDLE", "IDLE again")
        assert seen(client, name)["current_task_id"] is None
        assert seen(client, name)["metadata"]["host"] == "a"
    assert seen(client, name)["status"] == "STOPPED"


def test_the_status_is_sent_again_and_again_with_the_breakers_state(
    client: Client, server: dict[str, str]
) -> None:
    name, breaker = f"w-{uuid7()}", {"open": False}

    def snapshot() -> BreakerSnapshot:
        return BreakerSnapshot(breaker["open"], "5 failures" if breaker["open"] else None)

    with Worker(name, "runner", breaker=snapshot, interval_seconds=FAST, **server):
        wait_for(lambda: seen(client, name).get("status") == "IDLE", "IDLE")
        first = seen(client, name)["last_heartbeat"]
        wait_for(lambda: seen(client, name)["last_heartbeat"] > first, "another heartbeat")
        breaker["open"] = True
        wait_for(lambda: seen(client, name)["status"] == "DEGRADED", "DEGRADED")
        assert seen(client, name)["circuit_open"] is True
        assert seen(client, name)["circuit_reason"] == "5 failures"
        breaker["open"] = False
        wait_for(lambda: seen(client, name)["status"] == "IDLE", "IDLE again")


def broken() -> BreakerSnapshot:
    raise RuntimeError("no breaker")


def test_a_breaker_that_raises_is_told_and_passed_over(
    client: Client, server: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    name = f"w-{uuid7()}"
    with Worker(name, "runner", breaker=broken, **server):
        wait_for(lambda: seen(client, name).get("status") == "IDLE", "IDLE")
    assert "no breaker" in caplog.text


def test_a_worker_is_not_held_by_a_silent_server(silent_server: dict[str, str]) -> None:
    """The server never answers: whoever waits for it is here for ever."""
    with Worker("w", "runner", **silent_server) as worker, worker.task():
        pass


def test_runtime_events_arrive(client: Client, server: dict[str, str]) -> None:
    entity = f"openai/{uuid7()}"
    with RuntimeEventSink(worker_id="w1", **server) as sink:
        for number in range(500):
            sink.record("provider_runtime", "CALL", "OK", entity, metadata={"n": number})
    events = list(client.iter_runtime_events(entity_id=entity, limit=500))
    assert sorted(event["metadata"]["n"] for event in events) == list(range(500))
    assert {event["worker_id"] for event in events} == {"w1"}
    assert sink.dropped == 0


def test_without_a_server_the_last_events_are_kept() -> None:
    sink = RuntimeEventSink(keep=10, offline=True)
    for number in range(25):
        sink.record("worker", "HEARTBEAT", "OK", "w", metadata={"n": number})
    assert [event["metadata"]["n"] for event in sink.last] == list(range(15, 25))
    sink.close()


def test_a_silent_server_costs_old_events_and_no_time(silent_server: dict[str, str]) -> None:
    sink = RuntimeEventSink(keep=10, **silent_server)
    for _ in range(1_000):
        sink.record("worker", "HEARTBEAT", "OK", "w")
    assert sink.dropped >= 700
    sink.close()


def test_what_is_no_event_is_told_and_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    sink = RuntimeEventSink(offline=True)
    sink.record("nonsense", "CALL", "OK", "x")
    assert sink.last == []
    assert "nonsense" in caplog.text


def test_an_absurd_event_is_kept_and_holds_up_none(client: Client, server: dict[str, str]) -> None:
    entity = f"tool/{uuid7()}"
    with RuntimeEventSink(worker_id="w" * 300, **server) as sink:
        sink.record("worker", "TASK", "not a code!", entity, task_id="TICKET-1")
        sink.record("worker", "TASK", "OK", entity, metadata={"big": "x" * 100_000, "nan": "\0"})
        sink.record("worker", "TASK", "OK", entity)
    events = list(client.iter_runtime_events(entity_id=entity, limit=10))
    assert len(events) == 3
    assert sorted(each["metadata"].get("task_id", "") for each in events) == ["", "", "TICKET-1"]
    assert sink.dropped == 0
