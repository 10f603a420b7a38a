"""What forks, signals, closed descriptors and exhausted limits leave half done costs no line and no end."""

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.waiting import wait_for

from runcast import AsyncRunTracker, RunTracker, current_run
from runcast._support.fork_renewal import ForkRenewal
from runcast._tracking import commands
from runcast._tracking.commands import execute
from runcast._upload.background import Background
from runcast._upload.feeder import Feeder
from runcast.client.calls import Call
from runcast.client.clients import Client
from runcast.runtime import RuntimeEventSink
from runcast.worker import BreakerSnapshot, Worker


def program(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """A program of its own, with its runs beneath `folder`, and without a server."""
    environ = {**os.environ, "RUNCAST_RUNS_DIR": str(folder / "runs"), "RUNCAST_MODE": "offline"}
    return subprocess.run(
        [sys.executable, "-c", text], env=environ, capture_output=True, text=True, timeout=60
    )


def messages(folder: Path, name: str = "r") -> list[dict[str, Any]]:
    lines = (folder / "runs" / name / "spool.jsonl").read_bytes().splitlines()
    return [json.loads(line) for line in lines]


def spooled(folder: Path, name: str = "r") -> list[str]:
    """The texts of its log entries."""
    found = messages(folder, name)
    return [each["data"]["message"] for each in found if each["type"] == "agent:log"]


def status(folder: Path, name: str = "r") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "runs" / name / "status.json").read_bytes())
    return found


def test_descriptors_that_the_host_closes_are_not_written_to(tmp_path: Path) -> None:
    """Their numbers are those of the host's own files by then."""
    text = (
        "import fcntl, os\n"
        "from runcast import RunTracker\n"
        f"os.chdir({str(tmp_path)!r})\n"
        "with RunTracker('r', json_logs=True) as run:\n"
        "    run.log('one')\n"
        "    run.emit('spec', 'a stage')\n"
        "    os.closerange(3, 64)\n"
        "    run.log('two')\n"
        "    os.closerange(3, 64)\n"
        "    own = [open(f'own-{n}', 'w') for n in range(16)]\n"
        "    for each in own: fcntl.flock(each, fcntl.LOCK_EX)\n"
        "    run.log('three')\n"
        "    for n in range(16):\n"
        "        try: fcntl.flock(open(f'own-{n}'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "        except BlockingIOError: pass\n"
        "        else: print('unlocked', n)\n"
        "for each in own: each.write('mine'); each.close()\n"
    )
    ran = program(tmp_path, text)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert {(tmp_path / f"own-{n}").read_text() for n in range(16)} == {"mine"}
    assert spooled(tmp_path) == ["one", "two", "three"]
    assert status(tmp_path)["status"] == "completed"


def test_a_daemon_ends_the_run_that_its_parent_began(tmp_path: Path) -> None:
    text = (
        "import json, os, time\n"
        "from runcast import RunTracker\n"
        "run = RunTracker('r').start()\n"
        "run.log('before')\n"
        "parent = json.loads((run.directory / '.writer.json').read_bytes())['pid']\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        "os.closerange(0, 64); os.chdir('/'); os.umask(0)\n"
        "for _ in range(3): os.open(os.devnull, os.O_RDWR)\n"
        "run.log('behind')\n"
        "while os.path.exists(f'/proc/{parent}'): time.sleep(0.01)\n"
        "run.finish()\n"
    )
    assert program(tmp_path, text).returncode == 0
    wait_for(lambda: status(tmp_path)["status"] == "completed", "the end that the daemon says")
    assert spooled(tmp_path) == ["before", "behind"]


def test_a_child_does_not_end_the_run_of_a_parent_that_lives(tmp_path: Path) -> None:
    text = (
        "import os\n"
        "from runcast import RunTracker\n"
        "with RunTracker('r') as run:\n"
        "    child = os.fork()\n"
        "    if not child: run.finish('failed', 'the child'); os._exit(0)\n"
        "    os.waitpid(child, 0)\n"
        "    run.log('still here')\n"
    )
    assert program(tmp_path, text).returncode == 0
    assert (status(tmp_path)["status"], spooled(tmp_path)) == ("completed", ["still here"])


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def flock(*_: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", flock)
    with RunTracker("r", runs_dir=tmp_path / "runs", offline=True) as run:
        for number in range(3):
            run.log(f"line {number}")
    assert not run._session.failures
    assert spooled(tmp_path) == [f"line {number}" for number in range(3)]
    assert status(tmp_path)["status"] == "completed"


def test_one_object_that_can_not_be_renewed_keeps_no_other_from_it() -> None:
    renewed = []

    class Renewed:
        def renew_after_fork(self) -> None:
            renewed.append(self)
            raise OSError(errno.EBADF, "not renewed")

    renewal = ForkRenewal()
    objects = [Renewed() for _ in range(3)]
    for each in objects:
        renewal.add(each)
    renewal._renew()
    assert len(renewed) == len(objects)


NO_THREADS = "import threading; threading.stack_size(1 << 46)\n"
"""No stack of that size is to be had, so no thread begins."""


def test_a_child_without_threads_records_all_the_same(tmp_path: Path) -> None:
    text = (
        "import os\n"
        "from runcast import RunTracker\n"
        "os.environ['RUNCAST_MODE'] = 'online'\n"
        "run = RunTracker('r', url='http://127.0.0.1:9', flush_seconds=0).start()\n"
        "if not os.fork():\n"
        f"    {NO_THREADS}"
        "    for n in range(3): run.log(f'line {n}')\n"
        "    os._exit(5)\n"
        "assert os.waitstatus_to_exitcode(os.wait()[1]) == 5\n"
        "run.finish()\n"
    )
    ran = program(tmp_path, text)
    assert ran.returncode == 0, ran.stderr
    assert "could not feed the server" in ran.stderr
    assert spooled(tmp_path) == ["line 0", "line 1", "line 2"]


def test_a_command_whose_output_no_thread_can_read_is_stopped(tmp_path: Path) -> None:
    text = (
        f"{NO_THREADS}"
        "import os\n"
        "from runcast import RunTracker\n"
        "with RunTracker('r') as run:\n"
        "    assert run.exec(['sleep', '60']) == 127\n"
        "try: os.wait()\n"
        "except ChildProcessError: print('no child')\n"
    )
    ran = program(tmp_path, text)
    assert (ran.returncode, ran.stdout) == (0, "no child\n"), ran.stderr


def test_a_command_that_is_stopped_is_stopped_with_what_it_started(tmp_path: Path) -> None:
    there = tmp_path / "there"
    code = execute(
        ["sh", "-c", "sleep 60 & echo $! >pid; mv pid there; wait"],
        lambda *_: None,
        environ=os.environ,
        cwd=tmp_path,
        is_cancelled=there.exists,
        timeout=None,
    )
    assert code == 128 + signal.SIGTERM
    wait_for(lambda: not _runs(int(there.read_text())), "the end of what the command started")


def test_what_a_stopped_command_started_is_made_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command itself ends when it is asked to."""
    monkeypatch.setattr(commands, "KILL_AFTER_SECONDS", 0.2)
    there = tmp_path / "there"
    ignores = "trap '' TERM; sleep 60 & echo $! >pid; trap - TERM; mv pid there; wait"
    code = execute(
        ["sh", "-c", ignores],
        lambda *_: None,
        environ=os.environ,
        cwd=tmp_path,
        is_cancelled=there.exists,
        timeout=None,
    )
    assert code == 128 + signal.SIGTERM
    pid = int(there.read_text())
    try:
        wait_for(lambda: not _runs(pid), "the end of what ignores the request", seconds=30)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _runs(pid: int) -> bool:
    try:
        return b"State:\tZ" not in Path(f"/proc/{pid}/status").read_bytes()
    except OSError:
        return False


def test_heartbeats_begin_when_there_is_a_thread_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    feeder = Feeder(Client)
    started = threading.Thread.start

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    feeder._thread = threading.current_thread()  # as long as there is one, the heart beats
    feeder._start_heart()
    monkeypatch.setattr(threading.Thread, "start", started)
    feeder._start_heart()
    heart = feeder._heart
    assert heart is not None
    feeder._thread = None
    heart.join(60)
    assert not heart.is_alive()


@pytest.mark.anyio
async def test_a_task_that_is_cancelled_where_it_begins_leaves_no_run_behind(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        async with AsyncRunTracker("r", runs_dir=tmp_path / "runs", offline=True):
            raise AssertionError("the block is not entered")

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (status(tmp_path)["status"], current_run()) == ("cancelled", None)


def test_what_a_signal_handler_raises_where_a_run_begins_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunTracker("r", runs_dir=tmp_path / "runs", offline=True)

    def interrupted() -> None:
        type(run._session).begin(run._session)
        raise KeyboardInterrupt

    monkeypatch.setattr(run._session, "begin", interrupted)
    with pytest.raises(KeyboardInterrupt), run:
        raise AssertionError("the block is not entered")
    assert (status(tmp_path)["status"], current_run()) == ("cancelled", None)


def test_threads_and_signal_handlers_that_print_lose_no_line(tmp_path: Path) -> None:
    text = (
        "import signal, sys, threading\n"
        "from runcast import RunTracker\n"
        "said, has_ended = 0, False\n"
        "def ring(*_):\n"
        "    global said\n"
        "    said += 1\n"
        "    sys.stderr.write(f'alarm {said}\\n')\n"
        "    if not has_ended: signal.setitimer(signal.ITIMER_REAL, 0.001)\n"
        "def talk(who):\n"
        "    for n in range(2000): sys.stdout.write(f'{who} {n}\\n')\n"
        "sys.setswitchinterval(1e-5)\n"
        "with RunTracker('r', capture_output=True) as run:\n"
        "    signal.signal(signal.SIGALRM, ring)\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.001)\n"
        "    threads = [threading.Thread(target=talk, args=(who,)) for who in 'ab']\n"
        "    for each in threads: each.start()\n"
        "    talk('c')\n"
        "    for each in threads: each.join()\n"
        "    has_ended = True\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0)\n"
    )
    ran = program(tmp_path, text)
    assert ran.returncode == 0, ran.stderr
    lines: dict[str, list[str]] = {"stdout": [], "stderr": []}
    for each in messages(tmp_path):
        if each["type"] == "lines":
            lines[each["source"]] += each["lines"]
    # One handler may interrupt the other between printing and recording.
    assert sorted(lines["stderr"]) == sorted(ran.stderr.splitlines())
    for who in "abc":
        mine = [line for line in lines["stdout"] if line.startswith(who)]
        assert mine == [f"{who} {n}" for n in range(2000)]


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __eq__(self, _: object) -> bool:
        raise RuntimeError("no equality")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")


@pytest.mark.parametrize(
    "odd", [Hostile(), float("nan"), -1, "soon", [1], None], ids=lambda each: type(each).__name__
)
def test_a_worker_made_of_anything_reports(odd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    monkeypatch.delenv("RUNCAST_URL", raising=False)
    worker = Worker(odd, odd, breaker=lambda: odd, interval_seconds=odd, metadata=odd)
    with worker, worker.task(odd), worker.task(Hostile()):
        worker.report(odd=odd)
        worker._tick()
    with RuntimeEventSink(worker_id=odd, keep=odd, offline=True) as sink:
        sink.record("worker", "TASK", odd, odd, task_id=odd, metadata=odd)
        assert len(sink.last) == 1


def test_a_breaker_that_answers_nothing_costs_its_state_alone() -> None:
    answers: list[Any] = [BreakerSnapshot(True, "too many errors"), None]
    worker = Worker("w", "runner", breaker=lambda: answers.pop())
    worker._change("IDLE")
    worker._tick()
    sent = [worker._next_call(), worker._next_call()]
    assert [call.json["status"] for call in sent if call] == ["IDLE", "DEGRADED"]


def test_a_report_that_can_not_be_sent_costs_itself(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """That is told once, until a report goes through."""
    headers = [{"x": "é"}, {"x": "é"}, {}, {"x": "é"}, {"x": "é"}, {}]
    calls = deque(Call[Any]("GET", f"/{n}", headers=each) for n, each in enumerate(headers))
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.path)
        return httpx.Response(200, json={})

    transport = httpx.MockTransport(answer)
    with Client("http://127.0.0.1:9", "rc_token", transport=transport) as client:
        background = Background("x", lambda: client, lambda: calls.popleft() if calls else None)
        assert background._send(client) is True
    assert [path[-1] for path in sent] == ["2", "5"]
    assert caplog.text.count("a report is lost") == 2


def test_where_no_thread_is_to_be_had_nothing_is_raised(tmp_path: Path) -> None:
    text = (
        f"{NO_THREADS}"
        "from runcast.runtime import RuntimeEventSink\n"
        "from runcast.worker import Worker\n"
        "with Worker('w', 'runner', url='http://127.0.0.1:9'): pass\n"
        "with RuntimeEventSink(url='http://127.0.0.1:9') as sink: pass\n"
    )
    ran = program(tmp_path, text)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("is not reported: can't start new thread") == 2
