"""What programs do to a tracker: they flood it, signal it, fork it, have hundreds of it, say absurd things
and meet full disks. Each run reaches its true end at the server all the same."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.test_sdk import is_there, program, texts
from tests.commands import environment, runcast
from tests.waiting import wait_for

from runcast import Client


def run_of(client: Client, key: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get_run(key, project="sdk")
    return found


def test_a_run_that_talks_all_the_time_learns_that_it_was_cancelled(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    text = (
        "import time\n"
        "from runcast import RunTracker\n"
        "with RunTracker('chatty', project='sdk', heartbeat_seconds=0.5) as run:\n"
        "    while not run.cancelled: run.log('tick'); time.sleep(0.02)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", text], cwd=tmp_path, env=environment(server_environ)
    ) as process:
        try:
            wait_for(lambda: is_there(client, "chatty"), "the run")
            client.cancel_run("chatty", project="sdk")
            assert process.wait(30) == 0
        finally:
            process.kill()


SIGNALLED = """
import signal, sys, time
from runcast import RunTracker

def terminate(number, frame):
    run.log("terminating")
    run.finish("cancelled")
    sys.exit(0)

run = RunTracker(sys.argv[1], project="sdk", runs_dir="runs").start()
signal.signal(signal.SIGTERM, terminate)
signal.signal(signal.SIGUSR1, lambda *_: run.log("signal"))
print("ready", flush=True)
while True:
    run.log("line")
    time.sleep(0.001)
"""


def test_signal_handlers_that_log_and_finish_never_hang(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    for key in ("signalled-1", "signalled-2", "signalled-3"):
        with subprocess.Popen(
            [sys.executable, "-c", SIGNALLED, key],
            cwd=tmp_path,
            env=environment(server_environ),
            stdout=subprocess.PIPE,
        ) as process:
            try:
                assert process.stdout is not None
                process.stdout.readline()
                log = tmp_path / "runs" / key / "logs.txt"
                for number in range(1, 20):
                    process.send_signal(signal.SIGUSR1)
                    wait_for(lambda: log.read_text().count("] signal") >= number, "the handler")  # noqa: B023
                process.terminate()
                assert process.wait(60) == 0
            finally:
                process.kill()
        runcast(tmp_path, "sync", environ=server_environ)
        assert run_of(client, key)["status"] == "cancelled"
        assert texts(client, key, "sdk")[-1] == "terminating"


ABSURD = """
import sys
from runcast import RunTracker
from datetime import datetime
nan = float("nan")
deep = []
for _ in range(200): deep = [deep]
with RunTracker(
    "absurd", project="sdk", name="n" * 300, agent_name="a" * 300, task_id="TICKET-1",
    steps=["s" * 300, "s" * 300, 5, *map(str, range(300))], input=deep, metadata={"n": nan, "d": deep},
) as run:
    run.emit("s" * 300, "m" * 100_000, percent=150)
    run.emit("spec", "\\0\\ud800", percent=-1, step=2**70)
    run.log("l" * 100_000, level="L" * 50, agent_name="a" * 300)
    run.log("nul \\0", payload={"deep": deep, "nan": nan, "big": 2**100})
    run.event("with a space", {"x": "y" * 100_000})
    run.update(status="success-ish", foo=1, pr_url="u" * 3000)
    run.update(metadata={"big": "x" * 20_000_000})
    run.artifact("a" * 300, {"nan": nan, "deep": deep})
    run.artifact("text", "\\0\\ud800")
    run.step("unknown")
    run.lines("spool.jsonl", ["not a message"])
    raise ValueError("x" * 70_000 + "\\0")
"""


def test_whatever_a_run_says_it_arrives_and_ends(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    rejects = client.ingest_rejects()["rejects"]
    ran = program(tmp_path, ABSURD, server_environ)
    assert ran.returncode == 1
    [run] = [each for each in client.iter_runs("sdk") if (each["name"] or "").startswith("nnn")]
    assert run["status"] == "failed"
    assert run["error"].startswith("xxx")
    assert run["metadata"]["task_id"] == "TICKET-1"
    assert len(list(client.iter_logs(run["id"]))) == 3
    assert {each["step_name"][:3] for each in client.get_run(run["id"])["artifacts"]} == {
        "aaa",
        "tex",
    }
    assert client.ingest_rejects()["rejects"] == rejects


def test_a_project_with_another_spelling_is_made(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    text = "from runcast import RunTracker\nwith RunTracker('r', project='My Project') as r: r.log('x')"
    assert program(tmp_path, text, server_environ).returncode == 0
    assert client.get_run("r", project="my-project")["status"] == "completed"


JOINING = """
import subprocess, sys
from runcast import RunTracker
inner = '''
import sys
from runcast import RunTracker
with RunTracker(sys.argv[1], runs_dir="runs") as run:
    for number in range(300): run.log(f"inner {number}")
'''
with RunTracker("joined", project="sdk", runs_dir="runs") as run:
    run.log("before")
    subprocess.run([sys.executable, "-c", inner, run.run_id], check=True)
    subprocess.run([sys.executable, "-c", inner.replace("inner", "by key"), "joined"], check=True)
    run.log("after")
"""


def test_a_second_process_adds_to_the_run_and_does_not_end_it(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    ran = program(tmp_path, JOINING, server_environ)
    assert ran.returncode == 0, ran.stderr
    assert b"doesn't end it" in ran.stderr
    said = texts(client, "joined", "sdk")
    expected = ["before", *(f"inner {n}" for n in range(300)), *(f"by key {n}" for n in range(300))]
    assert said == [*expected, "after"]
    assert run_of(client, "joined")["status"] == "completed"
    assert [path.name for path in (tmp_path / "runs").iterdir() if path.is_dir()] == ["joined"]


def test_a_tracker_without_a_name_joins_the_run_of_the_command_that_it_is(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    text = (
        "from runcast import RunTracker\n"
        "with RunTracker('outer', project='sdk', runs_dir='runs') as run:\n"
        "    import os, subprocess, sys\n"
        "    code = 'from runcast import RunTracker\\nwith RunTracker() as run: run.log(\"inner\")'\n"
        "    env = {**os.environ, 'RUNCAST_RUN_ID': run.run_id, 'RUNCAST_RUNS_DIR': 'runs'}\n"
        "    subprocess.run([sys.executable, '-c', code], env=env, check=True)\n"
        "    run.log('last')\n"
    )
    assert program(tmp_path, text, server_environ).returncode == 0
    assert texts(client, "outer", "sdk") == ["inner", "last"]


MANY_RUNS = int(os.environ.get("RUNCAST_TEST_RUNS", "80"))
"""`make torture` begins 2,000 at once."""
MANY = """
import sys
from runcast import RunTracker
runs = [RunTracker(f"many-{n}", project="sdk", flush_seconds=600) for n in range(int(sys.argv[1]))]
for run in runs: run.start()
for _ in range(3):
    for run in runs: run.log("line")
for run in runs: run.finish()
"""


@pytest.mark.timeout(100 + MANY_RUNS)
def test_hundreds_of_live_runs_need_few_descriptors(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", MANY, str(MANY_RUNS)],
        cwd=tmp_path,
        env=environment(server_environ),
        stderr=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)),
    ) as process:
        _, complaints = process.communicate(timeout=90 + MANY_RUNS)
    assert (process.returncode, complaints) == (0, b"")
    runs = [each for each in client.iter_runs("sdk") if (each["key"] or "").startswith("many-")]
    ends = [(each["status"], each["last_line_number"]) for each in runs]
    assert ends == [("completed", 3)] * MANY_RUNS


FULL = """
import resource, sys
from runcast import RunTracker

def room(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))

_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
with RunTracker(sys.argv[1], project="sdk", runs_dir="runs", flush_seconds=20) as run:
    for number in range(100): run.log(f"line {number}")
    room((run.directory / "spool.jsonl").stat().st_size + 70)
    for number in range(100, 200): run.log(f"line {number}")
    if sys.argv[2] == "freed": room(hard)
    for number in range(200, 300): run.log(f"line {number}")
"""


@pytest.mark.parametrize("disk", ["freed", "full until the end"])
def test_a_full_disk_loses_no_line_while_the_server_is_there(
    tmp_path: Path, client: Client, server_environ: dict[str, str], disk: str
) -> None:
    key = f"full-{disk[:5].strip()}"
    program_ = [sys.executable, "-c", FULL, key, disk]
    ran = subprocess.run(
        program_, cwd=tmp_path, env=environment(server_environ), capture_output=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert b"could not write the run's files" in ran.stderr
    assert texts(client, key, "sdk") == [f"line {number}" for number in range(300)]
    assert run_of(client, key)["status"] == "completed"


def test_a_disk_that_can_not_be_written_costs_a_warning(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    (tmp_path / "runs").write_text("no folder")
    environ = {**server_environ, "TMPDIR": str(tmp_path)}
    text = "from runcast import RunTracker\nwith RunTracker('elsewhere', project='sdk') as r: r.log('x')"
    ran = program(tmp_path, text, environ)
    assert ran.returncode == 0
    assert b"RUNCAST_RUNS_DIR" in ran.stderr
    assert texts(client, "elsewhere", "sdk") == ["x"]
    folder = tmp_path / f"runcast-{os.getuid()}"
    assert folder.stat().st_mode & 0o077 == 0
    assert json.loads((folder / "runs/elsewhere/status.json").read_bytes())["status"] == "completed"


def test_sync_reads_the_log_of_another_program_as_the_tailer_does(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    """A mark, CRs, a line that is too long, one without an end; and what stands behind a sentinel."""
    logs = {
        "unended": b"\xef\xbb\xbf[ERROR] one\r\ntwo\r\n" + b"x" * 70_000 + b"\nlast",
        "sentinel": b"one\n=== Run Complete ===\nbehind it\n",
    }
    stamp = "2024-01-15T10:00:05+00:00"
    for key, text in logs.items():
        directory = tmp_path / "runs" / key
        directory.mkdir(parents=True)
        (directory / "logs.txt").write_bytes(text)
        status = {"run_id": key, "status": "completed", "created_at": stamp, "updated_at": stamp}
        (directory / "status.json").write_text(json.dumps({**status, "events": []}))
    for _ in range(2):
        assert runcast(tmp_path, "sync", "-p", "sdk", environ=server_environ).code == 0
    assert texts(client, "unended", "sdk") == ["[ERROR] one", "two", "x" * 65_536, "last"]
    assert texts(client, "sentinel", "sdk") == ["one", "=== Run Complete ==="]
    first = next(iter(client.iter_logs(run_of(client, "unended")["id"])))
    assert first["level"] == "error"


def test_prune_removes_what_is_over_and_at_the_server(
    tmp_path: Path, client: Client, server_environ: dict[str, str]
) -> None:
    text = (
        "from runcast import RunTracker\n"
        "with RunTracker('pruned', project='sdk', runs_dir='runs') as run: run.log('x')\n"
        "with RunTracker('unsent', project='sdk', runs_dir='runs', offline=True) as run: run.log('x')\n"
        "RunTracker('unfinished', project='sdk', runs_dir='runs').start()\n"
        "import os; os._exit(0)\n"
    )
    assert program(tmp_path, text, server_environ).returncode == 0
    runs = tmp_path / "runs"

    def left() -> set[str]:
        return {path.name for path in runs.iterdir() if path.is_dir()}

    assert runcast(tmp_path, "prune", environ=server_environ).code == 0
    assert left() == {"pruned", "unsent", "unfinished"}, "younger than a week"
    wait_for(lambda: run_of(client, "pruned")["status"] == "completed", "the run's end")
    ran = runcast(tmp_path, "prune", "--older-than", "0", environ=server_environ)
    assert ran.code == 0, ran.err
    assert left() == {"unsent", "unfinished"}
    assert {
        each["key"] for each in json.loads((runs / "index.json").read_bytes())["runs"]
    } == left()
    assert runcast(tmp_path, "prune", "--older-than", "0", "--unsent").code == 0
    assert left() == {"unfinished"}
    assert texts(client, "pruned", "sdk") == ["x"]
