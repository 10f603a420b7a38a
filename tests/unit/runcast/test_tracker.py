"""A tracker in its host program: how runs end, and that nothing gets through to the host."""

import asyncio
import io
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from runcast import AsyncRunTracker, RunTracker
from runcast._tracking.outcomes import outcome


def tracker(root: Path, **fields: Any) -> RunTracker:
    return RunTracker("r", runs_dir=root, offline=True, **fields)


def status(root: Path, name: str = "r") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / name / "status.json").read_bytes())
    return found


def test_leaving_completes(tmp_path: Path) -> None:
    with tracker(tmp_path) as run:
        run.emit("idea", "Thinking", percent=5)
        assert status(tmp_path)["status"] == "running"
    assert status(tmp_path)["status"] == "completed"
    index = json.loads((tmp_path / "index.json").read_bytes())
    assert [each["status"] for each in index["runs"]] == ["completed"]


class Unequal:
    """Raises where it is compared or shown."""

    def __eq__(self, _: object) -> bool:
        raise RuntimeError("no equality")

    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "how"),
    [
        (None, ("completed", None)),
        (ValueError("odd"), ("failed", "odd")),
        (ValueError(), ("failed", "ValueError")),
        (SystemExit(0), ("completed", None)),
        (SystemExit(None), ("completed", None)),
        (SystemExit(3), ("failed", "exit: 3")),
        (SystemExit("no"), ("failed", "exit: no")),
        (KeyboardInterrupt(), ("cancelled", "KeyboardInterrupt")),
        (asyncio.CancelledError(), ("cancelled", "CancelledError")),
        (
            ExceptionGroup("both", [ValueError("odd"), KeyError("k")]),
            ("failed", "both (2 sub-exceptions); ValueError: odd; KeyError: 'k'"),
        ),
        (
            BaseExceptionGroup("", [KeyboardInterrupt(), asyncio.CancelledError()]),
            ("cancelled", "BaseExceptionGroup"),
        ),
        (SystemExit(Unequal()), ("failed", "exit: <Unequal>")),
    ],
)
def test_how_a_run_ends(error: BaseException | None, how: tuple[str, str | None]) -> None:
    assert outcome(error) == how


def test_an_exception_fails_the_run_and_goes_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="odd"), tracker(tmp_path):
        raise ValueError("odd")
    assert (status(tmp_path)["status"], status(tmp_path)["error"]) == ("failed", "odd")


def test_an_end_of_ones_own_wins(tmp_path: Path) -> None:
    with tracker(tmp_path) as run:
        run.finish("failed", "by hand")
        run.log("too late, and ignored")
    assert status(tmp_path)["error"] == "by hand"


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_hostile_arguments_reach_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    calls: Any
    with tracker(tmp_path) as calls:
        calls.log(Hostile())
        calls.log("x", level=None)
        calls.log("x", payload={"a": Hostile()})
        calls.emit("s", "m", percent="many")
        calls.emit(None, None)
        calls.artifact("a", path="/nonexistent/file")
        calls.artifact("a", Hostile())
        calls.step(None)
        calls.update(metadata=5)
        calls.event("x", {"a": Hostile()})
        calls.lines("stdout", ["\ud800"])
    assert status(tmp_path)["status"] == "completed"
    for line in (tmp_path / "r" / "spool.jsonl").read_bytes().splitlines():
        json.loads(line)
    assert "the program goes on" in caplog.text


def test_a_directory_that_can_not_be_written_is_told_and_another_one_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    with caplog.at_level(logging.WARNING), tracker(tmp_path / "file") as run:
        run.log("x")
    assert run.directory is not None
    assert run.directory.is_relative_to(tmp_path / "temporary")
    assert "RUNCAST_RUNS_DIR" in caplog.text


def test_where_nothing_can_be_written_at_all_it_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING), tracker(tmp_path / "file") as run:
        for _ in range(5):
            run.log("x")
        assert run.run_id is None
    assert caplog.text.count("the program goes on") == 1


def test_the_first_call_begins_a_run(tmp_path: Path) -> None:
    run = tracker(tmp_path)
    run.log("x")
    run.finish()
    assert status(tmp_path)["status"] == "completed"


def test_what_is_printed_is_recorded_and_still_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with tracker(tmp_path, capture_output=True):
        sys.stdout.write("one\ntw")
        sys.stdout.write("o\n10%\r100%")
        sys.stderr.write("oops\n")
    assert (sys.stdout, sys.stderr) == (out, err)
    assert (out.getvalue(), err.getvalue()) == ("one\ntwo\n10%\r100%", "oops\n")
    messages = map(json.loads, (tmp_path / "r" / "spool.jsonl").read_bytes().splitlines())
    written = [(m["source"], m["lines"]) for m in messages if m["type"] == "lines" and m["lines"]]
    assert written == [
        ("stdout", ["one"]),
        ("stdout", ["two"]),
        ("stderr", ["oops"]),
        ("stdout", ["100%"]),
    ]


def test_the_asynchronous_face_does_the_same(tmp_path: Path) -> None:
    async def use() -> None:
        async with AsyncRunTracker("r", runs_dir=tmp_path, offline=True) as run:
            await run.emit("idea", "Thinking")
            run.log("not awaited, and done all the same")
            await run.log("awaited")

    asyncio.run(use())
    text = (tmp_path / "r" / "logs.txt").read_text()
    assert [line.split("] ", 1)[1] for line in text.splitlines()] == [
        "[idea] Thinking",
        "not awaited, and done all the same",
        "awaited",
        "Run completed successfully.",
    ]


def test_a_cancelled_task_ends_its_run(tmp_path: Path) -> None:
    async def work(begun: asyncio.Event) -> None:
        async with AsyncRunTracker("r", runs_dir=tmp_path, offline=True):
            begun.set()
            await asyncio.Event().wait()

    async def cancel() -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(work(begun))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert status(tmp_path)["status"] == "cancelled"


def test_a_terminal_status_ends_the_run(tmp_path: Path) -> None:
    with tracker(tmp_path) as run:
        run.update(status="failed", error="by hand")
    assert (status(tmp_path)["status"], status(tmp_path)["error"]) == ("failed", "by hand")


def test_percents_become_whole_numbers(tmp_path: Path) -> None:
    calls: Any
    with tracker(tmp_path) as calls:
        calls.emit("s", "m", percent=33.4)
        calls.emit("s", "m", percent="a lot")
    assert [event.get("percent") for event in status(tmp_path)["events"]] == [33, None]
