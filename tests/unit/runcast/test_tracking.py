"""What trackers offer around a run: the current run, spans, children, metrics, commands, pickles."""

import asyncio
import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import wait_for

import runcast
from runcast import AsyncRunTracker, RunTracker, current_run
from runcast._support.server_config import Connection


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server, and runs in a folder of the test's own."""
    monkeypatch.setenv("RUNCAST_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("RUNCAST_MODE", "offline")


def messages(run: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.directory / "spool.jsonl").read_bytes().splitlines()]


def logged(run: Any) -> list[dict[str, Any]]:
    return [each["data"] for each in messages(run) if each["type"] == "agent:log"]


def of(root: Path) -> list[dict[str, Any]]:
    """The runs of a folder, as run.json shows them, in the order of their beginning."""
    found = [json.loads(path.read_bytes()) for path in root.glob("runs/*/run.json")]
    return sorted(found, key=lambda run: str(run["id"]))


def test_the_current_run_is_that_of_the_innermost_block() -> None:
    assert current_run() is None
    with RunTracker() as outer:
        assert current_run() is outer
        with RunTracker() as inner:
            assert current_run() is inner
        assert current_run() is outer
        seen: list[Any] = []
        thread = threading.Thread(target=lambda: seen.append(current_run()))
        thread.start()
        thread.join()
        assert seen == [outer]
    assert current_run() is None


def test_tasks_have_a_current_run_each() -> None:
    async def agent() -> bool:
        async with AsyncRunTracker() as run:
            await asyncio.sleep(0)
            return current_run() is run

    async def main() -> list[bool]:
        return await asyncio.gather(*(agent() for _ in range(5)))

    assert asyncio.run(main()) == [True] * 5


def test_spans_know_what_they_lie_in_and_how_they_ended() -> None:
    with RunTracker() as run:
        with run.span("plan") as plan, run.span("search", kind="tool", input={"q": 1}) as search:
            search.output(["found"])
        with pytest.raises(ValueError, match="odd"), run.span("broken"):
            raise ValueError("odd")
    entries = logged(run)
    kinds = [entry["event_type"] for entry in entries]
    assert kinds == ["span", "tool", "tool_result", "span_end", "span", "span_end"]
    tool, result, broken = entries[1], entries[2], entries[5]
    assert tool["payload"]["input"] == {"q": 1}
    assert result["payload"]["output"] == ["found"]
    assert tool["payload"]["call_id"] == result["payload"]["call_id"] == search.id
    assert tool["payload"]["parent_id"] == plan.id
    assert (broken["payload"]["ok"], broken["level"]) == (False, "error")
    assert broken["payload"]["error"] == "ValueError: odd"


def test_a_child_belongs_to_its_parent(tmp_path: Path) -> None:
    with RunTracker(project="demo") as run, run.child("helper", labels={"team": "search"}) as child:
        child.log("x")
    parent, helper = of(tmp_path)
    assert (helper["parent_run_id"], helper["name"]) == (parent["id"], "helper")
    assert (helper["project"], helper["labels"]) == ("demo", {"team": "search"})


def test_metrics_are_points_and_their_last_values_the_summary(tmp_path: Path) -> None:
    with RunTracker() as run:
        for number in range(3):
            run.metric("loss", 1 / (number + 1), step=number)
        run.summary(best="model-2")
        run.label(team="search")
    told = [each["data"] for each in messages(run) if each["type"] == "run:metrics"]
    assert [each["metrics"] for each in told] == [{"loss": value} for value in (1.0, 0.5, 1 / 3)]
    assert [each["step"] for each in told] == [0, 1, 2]
    [kept] = of(tmp_path)
    assert kept["metadata"]["summary"] == {"loss": 1 / 3, "best": "model-2"}
    assert kept["labels"] == {"team": "search"}


def test_a_metric_that_is_no_number_is_an_event_and_none_too_many_are_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with RunTracker() as run:
        run.metric("loss", float("nan"))
        for number in range(258):
            run.metric(f"m{number}", number)
        run._session._points["m0"] = 100_000
        run.metric("m0", 7)
    with RunTracker() as other:
        other.metric("a,b", 1)
        other.metric("a" * 199 + ",", 1)
        other.metric("a_b", 1)
    points = [each["data"] for each in messages(other) if each["type"] == "run:metrics"]
    names = {name for each in points for name in each["metrics"]}
    assert len(names) == 3
    assert not any("," in name or len(name) > 200 for name in names)
    kinds = [each["type"] for each in messages(run)]
    assert (kinds.count("x:metric"), kinds.count("run:metrics")) == (1, 256)
    assert caplog.text.count("a run has at most 256 metrics") == 1
    assert caplog.text.count("a run keeps 100,000 points of a metric") == 1


def test_decorated_functions_do_what_they_did(tmp_path: Path) -> None:
    @runcast.step("add")
    def add(a: int, b: int) -> int:
        return a + b

    @runcast.step()
    def count(to: int) -> Iterator[int]:
        yield from range(to)

    @runcast.step()
    async def wait(value: int) -> int:
        await asyncio.sleep(0)
        return value

    @runcast.step()
    async def stream(to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number

    @runcast.run(steps=["add", "count"])
    def whole() -> int:
        return add(1, b=2) + sum(count(3))

    @runcast.run("named")
    async def tasks() -> list[int]:
        return [await wait(4), *[each async for each in stream(2)]]

    assert add(1, 2) == 3
    assert whole() == 6
    assert asyncio.run(tasks()) == [4, 0, 1]
    first, second = of(tmp_path)
    assert (first["name"], first["status"], first["current_step"]) == (
        "whole",
        "completed",
        "count",
    )
    assert set(first["step_timestamps"]) == {"add", "count"}
    assert (second["name"], second["status"]) == ("named", "completed")


def test_a_commands_output_and_exit_code_are_the_runs(tmp_path: Path) -> None:
    code = (
        "from runcast import RunTracker\n"
        "with RunTracker() as run: run.log('from within')\n"
        "print('out'); raise SystemExit(3)"
    )
    with RunTracker() as run:
        assert run.exec([sys.executable, "-c", code]) == 3
        assert run.exec(["/nonexistent/command"]) == 127
        assert run.exec(["sh", "-c", "kill -9 $$"]) == 137
        assert run.exec(["sleep", "60"], timeout=0.1) == 128 + signal.SIGTERM
    lines = [each for each in messages(run) if each["type"] == "lines" and each["lines"]]
    assert [(each["source"], each["lines"]) for each in lines] == [("stdout", ["out"])]
    assert "from within" in [entry["message"] for entry in logged(run)]
    assert [each["status"] for each in of(tmp_path)] == ["completed"]


def say(run: RunTracker, text: str) -> None:
    run.log(text)
    run.finish()


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_another_process_takes_part_in_a_run_that_it_is_given(tmp_path: Path, method: Any) -> None:
    with RunTracker("shared", token="rc_secret") as run:
        assert b"rc_secret" not in pickle.dumps(run)
        process = multiprocessing.get_context(method).Process(target=say, args=(run, "child"))
        process.start()
        process.join(60)
        run.log("parent")
    assert [entry["message"] for entry in logged(run)] == ["child", "parent"]
    assert [each["status"] for each in of(tmp_path)] == ["completed"]


def test_sigterm_cancels_a_run_that_asked_for_it(tmp_path: Path) -> None:
    code = (
        "import time\nfrom runcast import RunTracker\n"
        "with RunTracker('r', handle_signals=True):\n    print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, env=dict(os.environ)
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        assert process.wait(60) == -signal.SIGTERM
    assert [(each["status"], each["error"]) for each in of(tmp_path)] == [("cancelled", "SIGTERM")]


def test_nothing_is_recorded_where_that_is_disabled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNCAST_MODE", "disabled")
    with RunTracker("r") as run:
        run.log("x")
        assert run.exec(["true"]) == 0
    assert not (tmp_path / "runs").exists()
    assert repr(run) == "<RunTracker not begun>"


def test_a_tracker_says_which_run_it_is() -> None:
    with RunTracker("nightly", mode="online", url="http://127.0.0.1:9", token="x") as run:
        assert run.url == f"http://127.0.0.1:9/ui/runs/{run.run_id}"
        assert repr(run) == f"<RunTracker nightly running {run.url}>"
        assert run.flush(0.01) is False
    assert run.unsent_bytes > 0


def test_runs_that_overlap_record_what_each_of_them_prints(capsys: Any) -> None:
    stdout = sys.stdout

    async def agent(name: str) -> AsyncRunTracker:
        async with AsyncRunTracker(capture_output=True) as run:
            for _ in range(3):
                print(name)  # noqa: T201
                await asyncio.sleep(0.001)
        return run

    async def main() -> list[AsyncRunTracker]:
        return await asyncio.gather(agent("one"), agent("two"))

    one, two = asyncio.run(main())
    for run, name in ((one, "one"), (two, "two")):
        lines = [
            line for each in messages(run) if each["type"] == "lines" for line in each["lines"]
        ]
        assert lines == [name] * 3
    assert sys.stdout is stdout


def test_what_belongs_to_a_disabled_run_is_disabled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunTracker(mode="disabled").start()
    run.child("c").log("x")
    pickle.loads(pickle.dumps(run)).log("x")
    RunTracker(offline=True, mode="disabled").log("x")
    monkeypatch.setenv("RUNCAST_MODE", "disabled")
    RunTracker(offline=True).log("x")
    assert not (tmp_path / "runs").exists()


def test_a_decorated_asynchronous_generator_is_sent_and_thrown_to() -> None:
    seen: list[Any] = []

    @runcast.step("talk")
    async def talk() -> Any:
        try:
            while True:
                try:
                    seen.append((yield len(seen)))
                except ValueError as error:
                    seen.append(str(error))
        finally:
            seen.append("closed")

    async def conversation() -> None:
        talking = talk()
        assert await anext(talking) == 0
        assert await talking.asend("sent") == 1
        assert await talking.athrow(ValueError("thrown")) == 2
        await talking.aclose()
        assert seen == ["sent", "thrown", "closed"]

    with RunTracker():
        asyncio.run(conversation())


def test_a_program_in_a_deleted_directory_has_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNCAST_RUNS_DIR")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    program = (
        "import os, tempfile\n"
        "from runcast import RunTracker\n"  # CPython 3.13.0 can't import socket in such a directory
        "gone = tempfile.mkdtemp(); os.chdir(gone); os.rmdir(gone)\n"
        "with RunTracker() as run: run.log('here')\n"
        "print(run.directory)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert str(tmp_path).encode() in ran.stdout


def test_a_program_with_hardly_a_descriptor_left_has_a_run(tmp_path: Path) -> None:
    """Our own open files are the first to be closed."""
    program = (
        "import resource, sys\n"
        "from runcast import RunTracker\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))\n"
        "held = []\n"
        "with RunTracker('other', runs_dir=sys.argv[1]) as other:\n"
        "    other.log('before')\n"
        "    try:\n"
        "        while True: held.append(open('/dev/null'))\n"
        "    except OSError: held.pop().close()\n"
        "    with RunTracker('few', runs_dir=sys.argv[1]) as run:\n"
        "        run.log('one'); run.emit('idea', 'two'); other.log('after')\n"
    )
    environ = {**os.environ, "RUNCAST_MODE": "offline"}
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=environ, check=True)
    assert "two" in (tmp_path / "few" / "logs.txt").read_text()
    assert "after" in (tmp_path / "other" / "logs.txt").read_text()
    for name in ("few", "other"):
        status = json.loads((tmp_path / name / "status.json").read_bytes())
        assert status["status"] == "completed"


def test_addresses_and_commands_of_odd_types_cost_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RUNCAST_MODE")
    odd: Any = object()
    with RunTracker(url=odd) as run, RunTracker(url="http://localhost:1", token=odd) as other:
        assert run.exec(["sleep", 0]) == 127  # type: ignore[list-item]
        assert run.exec(["true", "\0"]) == 127
        other.log("x")
    assert len(logged(run)) == 2
    assert logged(other)[-1]["message"] == "x"


def test_however_many_runs_handle_signals_the_former_handler_is_called_once() -> None:
    program = (
        "import signal, sys, runcast\n"
        "signal.signal(15, lambda *_: print('as before'))\n"
        "for _ in range(200): runcast.RunTracker(handle_signals=True).start().finish()\n"
        "former = signal.getsignal(15)\n"
        "signal.signal(15, lambda *given: former(*given))\n"
        "with runcast.RunTracker('last', handle_signals=True) as run:\n"
        "    sys.setrecursionlimit(190)\n"
        "    signal.raise_signal(15)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ran.stdout, ran.returncode) == (b"as before\n", 0), ran.stderr[-2_000:]
    last = Path(os.environ["RUNCAST_RUNS_DIR"]) / "last" / "run.json"
    assert json.loads(last.read_bytes())["status"] == "cancelled"


def test_the_thread_that_ends_a_run_is_the_one_that_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunTracker().start()
    session = run._session
    waited: list[str] = []
    monkeypatch.setattr(
        session, "_settle", lambda *_: waited.append(threading.current_thread().name)
    )
    is_writing, may_go_on = threading.Event(), threading.Event()

    def write(_: Any) -> None:
        is_writing.set()
        may_go_on.wait(60)

    writer = threading.Thread(target=session.record, args=(write,), name="writer")
    ender = threading.Thread(target=run.finish, name="ender")
    writer.start()
    is_writing.wait(60)
    ender.start()
    wait_for(lambda: session._turns._waiting, "the end to stand in line")
    may_go_on.set()
    writer.join(60)
    ender.join(60)
    assert waited == ["ender"]


def test_a_run_without_a_server_needs_no_http_client(tmp_path: Path) -> None:
    """It is two thirds of what the SDK would load, and of a command's start."""
    text = (
        "import sys, runcast\n"
        "with runcast.RunTracker(offline=True) as run: run.log('x')\n"
        "assert not {'httpx', 'httpcore', 'rich'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", text], cwd=tmp_path, check=True)


def test_each_start_of_a_job_is_an_attempt_of_its_own() -> None:
    with pytest.raises(RuntimeError), RunTracker(job="nightly"):
        raise RuntimeError("it broke")
    left = RunTracker(job="nightly").start()  # a crash leaves it unfinished
    with RunTracker(job="nightly", labels={"team": "a"}) as third:
        pass
    assert (left.key, third.key) == ("nightly-2", "nightly-3")
    found = [json.loads((run.directory / "run.json").read_bytes()) for run in (left, third)]  # type: ignore[operator]
    assert [each["attempt"] for each in found] == [2, 3]
    assert found[1]["labels"] == {"job": "nightly", "team": "a"}
    left.finish()


@pytest.mark.parametrize("odd", [None, b"", b"[]", b'{"nightly": -1}', b'{"nightly": "x"}'])
def test_the_number_of_an_attempt_never_comes_again(tmp_path: Path, odd: bytes | None) -> None:
    """Whichever directories are removed, and whatever the file that keeps the numbers holds."""
    runs = [RunTracker(job="nightly").start() for _ in range(3)]
    for run in runs:
        run.finish()
    (tmp_path / "runs" / "nightly-4-2").mkdir()  # another run's
    shutil.rmtree(tmp_path / "runs" / "nightly-1")
    if odd is not None:
        (tmp_path / "runs" / ".attempts.json").write_bytes(odd)
    with RunTracker(job="nightly") as fourth, RunTracker(job="weekly") as other:
        assert (fourth.key, other.key) == ("nightly-4", "weekly-1")
    for each in (tmp_path / "runs").glob("*-*/"):
        shutil.rmtree(each)
    with RunTracker(job="nightly") as fifth, RunTracker(job="weekly") as other:
        assert (fifth.key, other.key) == ("nightly-5", "weekly-2")


def test_what_must_be_resumed_is_never_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    with RunTracker("nightly", resume="must") as none:
        none.log("lost, with a warning")
    assert none.run_id is None
    assert "there is no unfinished run nightly" in caplog.text
    begun = RunTracker("nightly").start()
    with RunTracker("nightly", resume="must") as again:
        assert again.run_id == begun.run_id
    with RunTracker("nightly", resume="must") as over:
        assert over.run_id is None


def test_a_notebook_shows_the_run_with_its_link() -> None:
    with RunTracker("<b>", url="http://server", token="x", mode="offline") as run:
        assert "<b>" not in run._repr_html_()
    run._session.settings.server = Connection("http://server", "x")
    assert f'<a href="http://server/ui/runs/{run.run_id}"' in run._repr_html_()


NOTEBOOK = """
import builtins, runcast
builtins.__IPYTHON__ = True
shell = {}
CELL = "import runcast; run = runcast.RunTracker('cell', offline=True).start(); run.log('cell')"
exec(CELL, shell)
first = shell["run"]
exec(CELL, shell)  # the cell is run again, without an end
assert shell["run"].run_id == first.run_id
shell["run"].log("still there")
"""


def test_a_cell_that_is_run_again_goes_on_with_its_run(tmp_path: Path) -> None:
    """And the kernel's end ends it."""
    ran = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, check=True)
    assert ran.stderr == b""
    [folder] = [each for each in (tmp_path / "runs").iterdir() if each.is_dir()]
    assert (folder / "logs.txt").read_text().count("cell\n") == 2
    assert json.loads((folder / "status.json").read_bytes())["status"] == "completed"
