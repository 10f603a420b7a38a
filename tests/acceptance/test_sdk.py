"""Trackers in real host programs, beside a real server: up, away, silent, or come back."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.commands import environment, runcast
from tests.processes import Up
from tests.waiting import wait_for

from runcast import Client

PIPELINE = Path(__file__).parents[2] / "examples" / "pipeline.py"


def program(
    directory: Path, text: str, environ: dict[str, str] | None = None, seconds: float = 60
) -> subprocess.CompletedProcess[bytes]:
    """A host program, run to its end."""
    return subprocess.run(
        [sys.executable, "-c", text],
        cwd=directory,
        env=environment(environ),
        capture_output=True,
        timeout=seconds,
        check=False,
    )


def status(directory: Path, run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "runs" / run / "status.json").read_bytes())
    return found


def texts(client: Client, run: str, project: str) -> list[str]:
    run_id = client.get_run(run, project=project)["id"]
    entries = list(client.iter_logs(run_id, limit=1_000))
    assert [entry["line_number"] for entry in entries] == list(range(1, len(entries) + 1))
    return [entry["message"] for entry in entries]


def history(client: Client, run: str, project: str) -> list[dict[str, Any]]:
    run_id = client.get_run(run, project=project)["id"]
    return list(client.iter_event_history(project, run_id=run_id, limit=1_000))


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and says nothing, for ever."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


TRACKED = """
from runcast import RunTracker
with RunTracker("first", project="sdk", steps=["spec", "zip"]) as run:
    run.emit("spec", "Generating spec", percent=10)
    run.log("thinking…", level="info", agent_name="IdeaGenerator", payload={"n": 1})
    run.artifact("outline", {"title": "…"})
    run.artifact("notes", "some text")
    run.step("zip")
    run.event("mine", {"n": 2})
"""


def test_a_tracked_run_is_at_the_server_when_the_program_ends(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    ran = program(tmp_path, TRACKED, server_environ)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    run = client.get_run("first", project="sdk")
    assert (run["status"], run["current_step"]) == ("completed", "zip")
    assert set(run["step_timestamps"]) == {"spec", "zip"}
    [entry] = client.iter_logs(run["id"])
    assert (entry["message"], entry["level"]) == ("thinking…", "info")
    assert (entry["agent_name"], entry["payload"]) == ("IdeaGenerator", {"n": 1})
    [progress] = client.run_status(run["id"])["events"]
    assert (progress["stage"], progress["percent"]) == ("spec", 10)
    kept = {each["step_name"]: each for each in run["artifacts"]}
    assert client.artifact_content(kept["outline"]["id"]) == '{"title":"…"}'.encode()
    assert client.artifact_content(kept["notes"]["id"]) == b"some text"
    types = [event["type"] for event in history(client, "first", "sdk")]
    assert types[:3] == ["run:created", "run:status_changed", "agent:started"]
    assert "x:mine" in types
    assert types[-1] == "log:closed"


def test_an_exception_fails_the_run_there_too(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    text = (
        "from runcast import RunTracker\n"
        "with RunTracker('broken', project='sdk'): raise ValueError('odd')"
    )
    assert program(tmp_path, text, server_environ).returncode == 1
    run = client.get_run("broken", project="sdk")
    assert (run["status"], run["error"]) == ("failed", "odd")


def test_offline_then_synced_twice_is_there_once(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    text = (
        "from runcast import RunTracker\n"
        "with RunTracker('later', project='sdk') as run:\n"
        "    for n in range(3000): run.log(f'line {n}')\n"
        "    run.emit('idea', 'half', percent=50)\n"
        "    run.artifact('big', b'x' * 300_000)\n"
    )
    assert program(tmp_path, text).stderr == b""
    for _ in range(2):
        ran = runcast(tmp_path, "sync", environ=server_environ)
        assert ran.code == 0, ran.err
    assert texts(client, "later", "sdk") == [f"line {n}" for n in range(3_000)]
    run = client.get_run("later", project="sdk")
    assert run["status"] == "completed"
    assert [(a["step_name"], a["version"], a["size"]) for a in run["artifacts"]] == [
        ("big", 1, 300_000)
    ]
    types = [event["type"] for event in history(client, "later", "sdk")]
    assert (types.count("run:progress"), types.count("artifact:created")) == (1, 1)


def test_a_longer_spool_of_the_same_run_elsewhere_is_refused(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    """Entered at the server's cursor it would begin in the middle of a line."""
    text = (
        "import sys; from runcast import RunTracker\n"
        "with RunTracker('00000000-0000-7000-8000-00000000f0f0', project='sdk') as run:\n"
        "    for n in range(int(sys.argv[1])): run.log(f'{sys.argv[2]} {n}')\n"
    )
    for place, number, environ in (("here", 20, server_environ), ("there", 500, {})):
        (tmp_path / place).mkdir()
        (tmp_path / place / "program.py").write_text(text)
        subprocess.run(
            [sys.executable, "program.py", str(number), place],
            cwd=tmp_path / place, env=environment(environ), timeout=60, check=True,
        )  # fmt: skip
    rejected = client.ingest_rejects(limit=1)["rejects"]
    ran = runcast(tmp_path / "there", "sync", environ=server_environ)
    assert ran.code != 0
    assert (
        b"fed from another spool.jsonl" in " ".join((ran.out + ran.err).decode().split()).encode()
    )
    ran = runcast(tmp_path / "here", "sync", environ=server_environ)
    assert ran.code == 0, ran.err
    run_id = "00000000-0000-7000-8000-00000000f0f0"
    assert texts(client, run_id, "sdk") == [f"here {n}" for n in range(20)]
    assert client.ingest_rejects(limit=1)["rejects"] == rejected


def test_beside_a_tailer_everything_is_there_once(
    local_server: Up, client: Client, server_environ: dict[str, str]
) -> None:
    text = (
        "import time\n"
        "from runcast import RunTracker\n"
        "with RunTracker('beside', project='sdk') as run:\n"
        "    for n in range(400): run.log(f'line {n}'); time.sleep(0.005)\n"
        "    run.emit('idea', 'half')\n"
    )
    assert program(local_server.directory, text, server_environ).stderr == b""
    assert runcast(local_server.directory, "sync", "runs/beside", environ=server_environ).code == 0
    assert texts(client, "beside", "sdk") == [f"line {n}" for n in range(400)]
    types = [event["type"] for event in history(client, "beside", "sdk")]
    assert types.count("run:progress") == 1


def test_a_directory_of_another_program_is_synced_too(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    directory = tmp_path / "runs" / "foreign"
    directory.mkdir(parents=True)
    (directory / "logs.txt").write_text("2024-01-15T10:00:05+00:00 [WARNING] one\ntwo\n")
    event = {"ts": "2024-01-15T10:00:05+00:00", "stage": "spec", "message": "m", "percent": 10}
    (directory / "events.jsonl").write_text(json.dumps(event) + "\n")
    stamps = {"created_at": event["ts"], "updated_at": event["ts"]}
    (directory / "status.json").write_text(
        json.dumps(
            {"run_id": "foreign", "status": "failed", "error": "no", **stamps, "events": [event]}
        )
    )
    (directory / "output.zip").write_bytes(b"PK")
    for _ in range(2):
        ran = runcast(tmp_path, "sync", "-p", "sdk", environ=server_environ)
        assert ran.code == 0, ran.err
    run = client.get_run("foreign", project="sdk")
    assert (run["status"], run["error"]) == ("failed", "no")
    assert len(texts(client, "foreign", "sdk")) == 2
    assert [event["percent"] for event in client.run_status(run["id"])["events"]] == [10]
    assert [(a["step_name"], a["version"]) for a in run["artifacts"]] == [("output", 1)]


@pytest.mark.parametrize("server", ["none", "refused", "silent"])
def test_the_host_notices_no_server(tmp_path: Path, silent_server: str, server: str) -> None:
    urls = {"refused": "http://127.0.0.1:9", "silent": silent_server}
    environ = {"RUNCAST_URL": urls[server], "RUNCAST_TOKEN": "x"} if server in urls else {}
    text = (
        "from runcast import RunTracker\n"
        "with RunTracker('r', flush_seconds=2) as run:\n"
        "    for n in range(500): run.log(f'line {n}')\n"
        "print('over')"
    )
    ran = program(tmp_path, text, environ)
    assert (ran.returncode, ran.stdout) == (0, b"over\n")
    assert status(tmp_path, "r")["status"] == "completed"
    if server != "none":
        assert b"runcast sync" in ran.stderr


def test_ten_threads_and_ten_children_tell_one_run(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    text = (
        "import multiprocessing, threading\n"
        "from runcast import RunTracker\n"
        "run = RunTracker('crowd', project='sdk').start()\n"
        "def tell(who):\n"
        "    for n in range(50): run.log(f'{who} {n}')\n"
        "threads = [threading.Thread(target=tell, args=(f't{k}',)) for k in range(10)]\n"
        "fork = multiprocessing.get_context('fork')\n"
        "children = [fork.Process(target=tell, args=(f'c{k}',)) for k in range(10)]\n"
        "for each in threads + children: each.start()\n"
        "for each in threads + children: each.join()\n"
        "run.finish()\n"
    )
    ran = program(tmp_path, text, server_environ)
    assert ran.returncode == 0, ran.stderr
    said = texts(client, "crowd", "sdk")
    assert len(said) == 1_000
    for who in (*(f"t{k}" for k in range(10)), *(f"c{k}" for k in range(10))):
        assert [text for text in said if text.startswith(f"{who} ")] == [
            f"{who} {n}" for n in range(50)
        ]


def test_a_forked_child_that_outlives_its_parent_still_reports(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    text = (
        "import os, time\n"
        "from runcast import RunTracker\n"
        "run = RunTracker('orphan', project='sdk').start()\n"
        "run.log('parent')\n"
        "parent = os.getpid()\n"
        "if os.fork(): time.sleep(0.5); os._exit(0)\n"
        "while os.getppid() == parent: time.sleep(0.05)\n"
        "run.log('child')\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", text],
        cwd=tmp_path,
        env=environment(server_environ),
        start_new_session=True,
    ) as parent:
        try:
            assert parent.wait(30) == 0
            wait_for(
                lambda: is_there(client, "orphan") and "child" in texts(client, "orphan", "sdk"),
                "the child's line",
            )
        finally:
            os.killpg(parent.pid, signal.SIGKILL)


def test_sigterm_ends_the_host_at_once_and_nothing_is_lost(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    text = (
        "import time\n"
        "from runcast import RunTracker\n"
        "with RunTracker('terminated', project='sdk') as run:\n"
        "    for n in range(200): run.log(f'line {n}')\n"
        "    print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", text],
        cwd=tmp_path,
        env=environment(server_environ),
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(5) == -signal.SIGTERM
    runcast(tmp_path, "sync", environ=server_environ)
    assert texts(client, "terminated", "sdk") == [f"line {n}" for n in range(200)]
    assert client.get_run("terminated", project="sdk")["status"] == "running"


def test_many_tasks_of_one_loop(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    text = (
        "import asyncio\n"
        "from runcast import AsyncRunTracker\n"
        "async def agent(k):\n"
        "    async with AsyncRunTracker(f'task-{k}', project='sdk') as run:\n"
        "        for n in range(20):\n"
        "            await run.log(f'line {n}')\n"
        "            await asyncio.sleep(0)\n"
        "async def main():\n"
        "    async with asyncio.TaskGroup() as group:\n"
        "        for k in range(8): group.create_task(agent(k))\n"
        "asyncio.run(main())"
    )
    ran = program(tmp_path, text, server_environ)
    assert (ran.returncode, ran.stderr) == (0, b"")
    for k in range(8):
        assert texts(client, f"task-{k}", "sdk") == [f"line {n}" for n in range(20)]


def test_a_host_learns_that_its_run_was_cancelled(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    text = (
        "import time\n"
        "from runcast import RunTracker\n"
        "with RunTracker('cancel-me', project='sdk', heartbeat_seconds=0.5) as run:\n"
        "    run.log('here')\n"
        "    while not run.cancelled: time.sleep(0.05)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", text], cwd=tmp_path, env=environment(server_environ)
    ) as process:
        wait_for(lambda: is_there(client, "cancel-me"), "the run")
        client.cancel_run("cancel-me", project="sdk")
        assert process.wait(20) == 0
    assert client.get_run("cancel-me", project="sdk")["status"] == "cancelled"


def is_there(client: Client, key: str) -> bool:
    projects = [each["slug"] for each in client.iter_projects()]
    return "sdk" in projects and bool(client.list_runs("sdk", key=key)["runs"])


def test_a_key_that_is_taken_at_the_server_gets_an_ending(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    text = (
        "from runcast import RunTracker\nwith RunTracker('taken', project='sdk') as r: r.log('x')"
    )
    for machine in ("one", "two"):
        (tmp_path / machine).mkdir()
        assert program(tmp_path / machine, text, server_environ).returncode == 0
    keys = sorted(
        run["key"] for run in client.iter_runs("sdk") if run["key"] and "taken" in run["key"]
    )
    assert len(keys) == 2
    assert keys[1].startswith("taken-")
    assert texts(client, keys[1], "sdk") == ["x"]


SEVEN = {
    "constraints": (0, 0),
    "spec": (10, 20),
    "design_doc": (25, 35),
    "assets": (40, 50),
    "scaffold": (60, 75),
    "validation": (80, 90),
    "zip": (95, 100),
}
"""The stages in their order, with the percents between which each lies."""


@pytest.mark.parametrize("with_server", [False, True])
def test_the_example_pipeline(
    tmp_path: Path, client: Client, server_environ: dict[str, str], with_server: bool
) -> None:
    key = f"pipeline-{with_server}"
    arguments = ["--pause", "0", "--run-id", key, "--project", "sdk", "--json-logs"]
    ran = subprocess.run(
        [sys.executable, str(PIPELINE), "top down space shooter", *arguments],
        cwd=tmp_path,
        env=environment(server_environ if with_server else None),
        capture_output=True,
        timeout=60,
        check=True,
    )
    directory = tmp_path / "runs" / key
    assert ran.stdout.decode().strip() == str(directory)
    events = status(tmp_path, key)["events"]
    assert list(dict.fromkeys(event["stage"] for event in events)) == list(SEVEN)
    for event in events:
        least, most = SEVEN[event["stage"]]
        assert least <= event["percent"] <= most
    percents = [event["percent"] for event in events]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0, 100)
    assert (directory / "output.zip").read_bytes()[:2] == b"PK"
    lines = (directory / "events.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == events
    if with_server:
        run = client.get_run(key, project="sdk")
        assert run["status"] == "completed"
        assert set(run["step_timestamps"]) == set(SEVEN)
        assert [a["step_name"] for a in run["artifacts"]] == ["design_doc", "output", "spec"]
        got = client.run_status(run["id"], last=100)["events"]
        assert [(e["stage"], e["percent"]) for e in got] == [
            (e["stage"], e["percent"]) for e in events
        ]


def test_a_call_costs_the_same_whatever_the_server_does(
    tmp_path: Path, local_server: Up, silent_server: str
) -> None:
    """The call's own processor time, against that of a call without a server: it never waits for one.
    `docs/sdk.md` has figures."""
    text = (
        "import time\n"
        "from runcast import RunTracker\n"
        "def took():\n"
        "    started = time.thread_time(); run.log('a line of ordinary length')\n"
        "    return time.thread_time() - started\n"
        "with RunTracker(project='sdk', flush_seconds=1) as run:\n"
        "    print(sorted(took() for n in range(3000))[1500])"
    )
    token = local_server.credentials["token"]
    alone, *beside = (
        float(
            program(
                tmp_path, text, {"RUNCAST_URL": url, "RUNCAST_TOKEN": token} if url else {}
            ).stdout
        )
        for url in ("", local_server.url, "http://127.0.0.1:9", silent_server)
    )
    assert max(beside) < 5 * alone


def test_sync_follows_a_run_while_it_is_written(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    text = (
        "import time\n"
        "from runcast import RunTracker\n"
        "with RunTracker('followed', project='sdk') as run:\n"
        "    for n in range(100): run.log(f'line {n}'); time.sleep(0.02)\n"
    )
    with subprocess.Popen([sys.executable, "-c", text], cwd=tmp_path, env=environment()) as process:
        wait_for((tmp_path / "runs" / "followed" / "spool.jsonl").exists, "the run's directory")
        assert runcast(tmp_path, "sync", "-f", environ=server_environ).code == 0
        assert process.wait(20) == 0
    assert texts(client, "followed", "sdk") == [f"line {n}" for n in range(100)]
    assert client.get_run("followed", project="sdk")["status"] == "completed"


def test_the_logging_handler_reports(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    text = (
        "import logging\n"
        "from runcast.logging import RuncastHandler\n"
        "logging.getLogger().addHandler(RuncastHandler(run_id='logged', project='sdk'))\n"
        "logging.getLogger('app').warning('careful')\n"
    )
    ran = program(tmp_path, text, server_environ)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert texts(client, "logged", "sdk") == ["careful"]
    assert client.get_run("logged", project="sdk")["status"] == "completed"


def test_messages_through_redis_arrive(
    tmp_path: Path, local_server: Up, client: Client, server_environ: dict[str, str]
) -> None:
    text = (
        "import sys\n"
        "from runcast.publisher import Publisher\n"
        "from runcast._support.ids import uuid7\n"
        "run = str(uuid7())\n"
        "with Publisher(sys.argv[1], project='sdk') as publish:\n"
        "    publish.started(run, key='by-redis')\n"
        "    publish.log(run, 'one', level='warning')\n"
        "    publish.lines(run, 'stdout', ['two', 'three'], first_line=1, first_offset=0)\n"
        "    publish.progress(run, 'idea', 'half', percent=50)\n"
        "    publish.artifact(run, 'outline', {'a': 1})\n"
        "    publish.event(run, 'mine', {'n': 1})\n"
        "    publish.completed(run, result={'ok': True})\n"
    )
    subprocess.run(
        [sys.executable, "-c", text, local_server.credentials["redis_url"]],
        cwd=tmp_path,
        env=environment(server_environ),
        check=True,
        timeout=60,
    )
    wait_for(
        lambda: (
            is_there(client, "by-redis")
            and client.get_run("by-redis", project="sdk")["status"] == "completed"
        ),
        "the run's end",
        seconds=20,
    )
    assert texts(client, "by-redis", "sdk") == ["one", "two", "three"]
    types = [event["type"] for event in history(client, "by-redis", "sdk")]
    assert "x:mine" in types
    assert "artifact:created" in types


def test_a_program_that_forgets_to_finish_is_not_held(
    tmp_path: Path, server_environ: dict[str, str]
) -> None:
    text = "from runcast import RunTracker\nRunTracker('r').start()"
    assert program(tmp_path, text, server_environ).returncode == 0
    assert status(tmp_path, "r")["error"] == "the program ended without finishing the run"
