"""`runcast tasks` and `runcast verify`, as a person uses them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.commands import RUNCAST, Ran, environment
from tests.processes import Up
from tests.waiting import wait_for

from runcast import Client
from runcast.cli import main

Call = Callable[..., Ran]


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A server where nobody else's workers are sick."""
    up = Up.at(tmp_path_factory.mktemp("verify"))
    try:
        yield up.start_ready()
    finally:
        up.cleanup()


@pytest.fixture
def environ(own_server: Up) -> dict[str, str]:
    token = own_server.credentials["token"]
    return {"RUNCAST_URL": own_server.url, "RUNCAST_TOKEN": token, "RUNCAST_PROJECT": "default"}


@pytest.fixture
def client(environ: Mapping[str, str]) -> Iterator[Client]:
    with Client(environ["RUNCAST_URL"], environ["RUNCAST_TOKEN"]) as made:
        yield made


@pytest.fixture
def call(
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsysbinary: pytest.CaptureFixture[bytes],
) -> Call:
    """The program, called here."""

    def run(*arguments: str) -> Ran:
        with monkeypatch.context() as patch:
            for name in [each for each in os.environ if each.startswith("RUNCAST_")]:
                patch.delenv(name)
            for name, value in environ.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["runcast", *arguments])
            capsysbinary.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        return Ran(int(ended.value.code or 0), *capsysbinary.readouterr())

    return run


@pytest.fixture
def as_json(call: Call) -> Callable[..., Any]:
    def run(*arguments: str) -> Any:
        ran = call(*arguments, "--json")
        assert ran.code == 0, ran
        return json.loads(ran.out)

    return run


def test_tasks_are_added_listed_shown_and_moved(
    call: Call, as_json: Callable[..., Any], tmp_path: Path
) -> None:
    task = as_json("tasks", "add", "Release", "-s", "build", "-s", "test", "--in-order")
    assert task["status"] == "PLANNING"
    build, test = task["subtasks"]
    assert test["depends_on"] == [build["id"]]
    assert as_json("tasks", "move", task["id"], "activate")["status"] == "ACTIVE"
    added = as_json("tasks", "add", "publish", "--to", task["id"], "--after", test["id"])
    assert added["status"] == "BLOCKED"
    moved = as_json("tasks", "move", build["id"], "skip", "-r", "not needed")
    assert (moved["status"], moved["skip_reason"]) == ("SKIPPED", "not needed")
    shown = call("tasks", "show", task["id"]).text
    assert "not needed" in shown
    assert "Release" in shown
    listed = call("tasks", "ls").text
    assert "1/3" in listed
    assert "1 PENDING" in listed
    refused = call("tasks", "move", test["id"], "merge")
    assert refused.code == 6
    assert b"PENDING" in refused.err
    file = tmp_path / "task.json"
    file.write_text(json.dumps({"title": "From a file", "subtasks": [{"title": "one"}]}))
    made = as_json("tasks", "add", "--file", str(file), "--activate")
    assert (made["title"], made["status"]) == ("From a file", "ACTIVE")
    assert as_json("tasks", "show", made["subtasks"][0]["id"])["title"] == "one"
    would = as_json("tasks", "rm", task["id"], "--dry-run")
    assert (len(would["subtasks"]), would["deleted"]) == (3, False)
    assert as_json("tasks", "rm", task["id"])["deleted"] is True
    assert call("tasks", "show", task["id"]).code == 5
    assert [each["title"] for each in as_json("tasks", "ls")["tasks"]] == ["From a file"]
    assert as_json("tasks", "rm", made["id"])["deleted"] is True
    for bad in (("add",), ("add", "x", "-f", str(file)), ("move", task["id"], "jump")):
        assert call("tasks", *bad).code == 2


def test_verify_tells_by_its_exit_code_whether_all_is_well(call: Call, client: Client) -> None:
    client.put_worker_status("w1", "runner", "IDLE")
    route = {"provider": "acme", "model": "large-3"}
    event = {"layer": "provider_runtime", "operation": "CALL", "reason_code": "OK"}
    client.add_runtime_events([event | {"entity_id": "x", "worker_id": "w1", "metadata": route}])
    well = call("verify")
    assert well.code == 0, well
    assert "all is well" in well.text
    assert "acme/large-3" in well.text

    reason = "5 failures in a row"
    client.put_worker_status("w1", "runner", "DEGRADED", circuit_open=True, circuit_reason=reason)
    sick = call("verify")
    assert sick.code == 1
    for said in ("w1", "acme/large-3", reason, "breaker_open", "PENDING", "provider_runtime"):
        assert said in sick.text
    found = call("verify", "--json")
    assert found.code == 1
    status = json.loads(found.out)
    assert status["degraded"] == ["breaker_open"]
    assert status["workers"][0]["active_route"]["model"] == "large-3"
    assert {each["reason_code"] for each in status["recent_events"]} == {"OK", "BREAKER_OPENED"}

    client.put_worker_status("w1", "runner", "IDLE")
    assert call("verify").code == 0


def test_verify_watches_until_it_is_interrupted(
    environ: dict[str, str], client: Client, tmp_path: Path
) -> None:
    client.put_worker_status("w1", "runner", "IDLE")
    out = tmp_path / "looks"
    with out.open("wb") as file:
        watching = subprocess.Popen(
            [RUNCAST, "verify", "--watch", "--every", "0.2", "--json"],
            env=environment(environ),
            stdout=file,
        )

    def looks() -> list[Any]:
        whole, _, _ = out.read_text().rpartition("\n")
        return [json.loads(line)["degraded"] for line in whole.splitlines()]

    try:
        wait_for(lambda: len(looks()) >= 2, "two looks")
        client.put_worker_status("w1", "runner", "DEGRADED", circuit_open=True)
        wait_for(lambda: looks()[-1] == ["breaker_open"], "the breaker to be seen")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 1
    finally:
        watching.kill()
        watching.wait()
        client.put_worker_status("w1", "runner", "STOPPED")


def test_who_is_no_administrator_is_told_so(client: Client, environ: dict[str, str]) -> None:
    key = client.create_key("default", "plain", "editor")["token"]
    ran = subprocess.run(
        [RUNCAST, "verify"],
        env=environment(environ | {"RUNCAST_TOKEN": key}),
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 4
    assert b"administrators" in ran.stderr
