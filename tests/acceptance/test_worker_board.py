"""Real workers on a real board: `examples/worker.py`, three at once, one killed in the middle."""

import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from tests.commands import environment
from tests.processes import Up
from tests.waiting import wait_for

from runcast import Client
from runcast.runtime import LAYERS, OPERATIONS
from runcast_api.runtime.events import Layer, Operation

WORKER = Path(__file__).parents[2] / "examples" / "worker.py"
Json = dict[str, Any]
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start_worker(tmp_path: Path, server_environ: dict[str, str]) -> Iterator[Start]:
    """Starts `examples/worker.py`; nothing of it outlives the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, *flags: str) -> subprocess.Popen[bytes]:
        with (tmp_path / f"{name}.out").open("wb") as out:
            worker = subprocess.Popen(
                [sys.executable, str(WORKER), name, "--interval", "0.5", *flags],
                cwd=tmp_path,
                env=environment(server_environ),
                stdout=out,
                stderr=out,
            )
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()
        worker.wait()


def command(seconds: float = 0.1) -> Json:
    script = f'echo "at work with $AGENT_MODEL"; sleep {seconds}; echo done'
    return {"command": ["sh", "-c", script]}


def layered(layers: int, width: int) -> list[Json]:
    """Subtasks in layers, each depending on all of the layer before."""
    return [
        {
            "title": f"{layer}.{place}",
            "key": f"{layer}.{place}",
            "input": command(),
            "depends_on": [f"{layer - 1}.{n}" for n in range(width)] if layer else [],
        }
        for layer, place in itertools.product(range(layers), range(width))
    ]


def test_three_workers_finish_a_board_though_one_is_killed(
    client: Client, start_worker: Start, tmp_path: Path
) -> None:
    project = client.create_project("board", slug="board")["slug"]
    task = client.create_task(project, "Thirty", subtasks=layered(6, 5))
    client.move_task(task["id"], "activate")
    flags = ("--project", project, "--lease", "2", "--drain")
    workers = {name: start_worker(name, *flags) for name in ("w1", "w2", "w3")}

    def board() -> list[Json]:
        subtasks: list[Json] = client.get_task(task["id"])["subtasks"]
        return subtasks

    def held(by: str) -> list[str]:
        return [
            each["id"]
            for each in board()
            if each["worker_id"] == by and each["status"] == "IN_PROGRESS"
        ]

    wait_for(
        lambda: sum(each["status"] == "COMPLETED" for each in board()) >= 8 and bool(held("w2")),
        "the second worker to be in the middle of something",
    )
    lost: list[str] = []
    while not lost:
        wait_for(lambda: bool(held("w2")), "the second worker to hold something")
        workers["w2"].send_signal(signal.SIGSTOP)
        # A change of ours comes behind what it had sent before it was stopped.
        client.update_task(task["id"], description="one worker is stopped")
        lost = held("w2")
        if not lost:
            workers["w2"].send_signal(signal.SIGCONT)
    workers["w2"].kill()
    wait_for(lambda: client.get_task(task["id"])["status"] == "DONE", "the task to be done")
    for name in ("w1", "w3"):
        assert workers[name].wait(30) == 0, (tmp_path / f"{name}.out").read_text()

    assert {each["status"] for each in board()} == {"COMPLETED"}
    assert {
        each["id"]: each["attempt"] for each in board() if each["attempt"] > 1
    } == dict.fromkeys(lost, 2)
    done_at: dict[str, int] = {}
    begun_at: dict[str, int] = {}
    for place, each in enumerate(reversed(list(client.iter_task_transitions(task["id"])))):
        if each["new_status"] == "COMPLETED":
            assert each["subtask_id"] not in done_at
            done_at[each["subtask_id"]] = place
        elif each["new_status"] == "IN_PROGRESS":
            begun_at[each["subtask_id"]] = place
    for subtask in board():
        assert all(done_at[other] < begun_at[subtask["id"]] for other in subtask["depends_on"])
        run = client.get_run(subtask["run_id"])
        assert (run["status"], run["task_id"]) == ("completed", subtask["id"])
        lines = [entry["message"] for entry in client.iter_logs(run["id"])]
        assert lines == ["at work with model-large", "done"]
        assert [artifact["step_name"] for artifact in run["artifacts"]] == ["result"]
    unblocked = [
        event["data"]["subtask_id"]
        for event in client.iter_event_history(project, types=["subtask:unblocked"], limit=1000)
    ]
    assert sorted(unblocked) == sorted(each["id"] for each in board() if each["depends_on"])
    [told] = client.runtime_events(reason_code="LEASE_EXPIRED", task_id=lost[0])["events"]
    assert told["worker_id"] == "w2"


def test_a_worker_reports_every_layer_and_operation(
    client: Client, start_worker: Start, local_server: Up
) -> None:
    """The primary model fails until its breaker opens, is left alone, and comes back."""
    assert set(get_args(Layer)) == LAYERS
    assert set(get_args(Operation)) == OPERATIONS
    project = client.create_project("layers", slug="layers")["slug"]
    failing = {"command": ["sh", "-c", 'test "$AGENT_MODEL" = model-small && sleep 0.2']}
    subtasks = [{"title": f"fails {n}", "input": failing, "priority": 1} for n in range(5)]
    task = client.create_task(project, "Layers", subtasks=subtasks)
    client.move_task(task["id"], "activate")
    worker = start_worker("layers-1", "--project", project, "--cooldown", "1")

    def reported() -> list[Json]:
        found: list[Json] = client.runtime_events(worker_id="layers-1", limit=1000)["events"]
        return found

    def status() -> Json:
        workers: list[Json] = client.runtime_status()["workers"]
        return next((each for each in workers if each["worker_id"] == "layers-1"), {})

    wait_for(lambda: bool(status().get("circuit_open")), "the breaker to open")
    assert status()["status"] == "DEGRADED"
    wait_for(lambda: client.get_task(task["id"])["status"] == "DONE", "the task to be done")
    assert status()["active_route"]["model"] == "model-small"
    time.sleep(1.0)  # the cool-down, after which the primary model is tried again
    more = client.create_task(project, "Later", subtasks=[{"title": "fine", "input": command()}])
    client.move_task(more["id"], "activate")
    wait_for(lambda: status().get("circuit_open") is False, "the breaker to close")
    worker.terminate()
    assert worker.wait(30) == 0
    wait_for(
        lambda: (
            {each["layer"] for each in reported()} == LAYERS
            and {each["operation"] for each in reported()} == OPERATIONS
        ),
        "every layer and operation",
    )
    breaker = [each["reason_code"] for each in reported() if each["operation"] == "BREAKER"]
    # On a slow machine it may be half open more than once.
    assert [*dict.fromkeys(breaker[::-1])] == [
        "BREAKER_OPENED",
        "BREAKER_HALF_OPEN",
        "BREAKER_CLOSED",
    ]
    assert status()["status"] == "STOPPED"


def test_a_cancelled_run_stops_its_worker_within_a_heartbeat(
    client: Client, start_worker: Start
) -> None:
    project = client.create_project("cancelled", slug="cancelled")["slug"]
    forever = {"command": ["sleep", "600"]}
    task = client.create_task(project, "For ever", subtasks=[{"title": "x", "input": forever}])
    client.move_task(task["id"], "activate")
    start_worker("cancelled-1", "--project", project, "--lease", "3")

    def subtask() -> Json:
        found: Json = client.get_task(task["id"])["subtasks"][0]
        return found

    wait_for(lambda: subtask()["status"] == "IN_PROGRESS", "the command to run")
    client.cancel_run(subtask()["run_id"])
    assert (subtask()["status"], subtask()["error"]) == ("FAILED", "cancelled")

    def reasons() -> list[str]:
        events = client.runtime_events(task_id=subtask()["id"])["events"]
        return [event["reason_code"] for event in events]

    wait_for(lambda: "TASK_CANCELLED" in reasons(), "the worker to give up")
    assert client.get_run(subtask()["run_id"])["status"] == "cancelled"
