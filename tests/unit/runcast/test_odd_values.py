"""Odd values in every call of the SDK: the host program meets no exception, and its run is recorded."""

import datetime
import enum
import json
import logging
import pathlib
from pathlib import Path
from typing import Any

import pytest

import runcast
from runcast import AsyncRunTracker, RunTracker
from runcast.logging import RuncastHandler


class Hostile:
    """Raises whatever it is asked."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")

    def __eq__(self, _: object) -> bool:
        raise RuntimeError("no equality")

    def __hash__(self) -> int:
        return 1

    def __float__(self) -> float:
        raise RuntimeError("no number")

    def __iter__(self) -> Any:
        raise RuntimeError("nothing to iterate")


class Text(str):
    """A text whose methods raise."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def isascii(self) -> bool:
        raise RuntimeError("no letters")

    __repr__ = __str__


class Mapping(dict[str, Any]):
    """A mapping whose methods raise."""

    def items(self) -> Any:
        raise RuntimeError("no members")

    __iter__ = keys = items


class Kind(str, enum.Enum):  # noqa: UP042 — its str() is not what it holds
    """As many programs have it."""

    ONE = "one"


def family() -> dict[str, Any]:
    """Children that know their parent, and one another: there is no end to them."""
    parent: dict[str, Any] = {"name": "parent"}
    children: list[dict[str, Any]] = [{"parent": parent, "number": n} for n in range(6)]
    for child in children:
        child["siblings"] = children
    return parent | {"children": children}


ODD: dict[str, Any] = {
    "none": None,
    "negative": -1,
    "infinite": float("inf"),
    "nan": float("nan"),
    "huge": 10**400,
    "empty": "",
    "unprintable": "\0\ud800",
    "bytes": b"\xff",
    "list": [],
    "mapping": {1: 2},
    "hostile": Hostile(),
    "nested": {"a": [Hostile()]},
    "type": object,
    "time": datetime.datetime.max.replace(tzinfo=datetime.UTC),
    "path": pathlib.Path("/dev/null/nothing"),
    "long": "x" * 300,
    "family": family(),
    "digits": 10**5_000,
    "own types": [Text("text"), Mapping(a=Text("b")), 10**30],
    "own text": Text("text"),
    "own mapping": Mapping(a=1),
    "enumeration": Kind.ONE,
    "device": pathlib.Path("/dev/zero"),
}


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNCAST_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_no_call_raises(odd: Any) -> None:
    with RunTracker("odd", offline=True) as run:
        run.log(odd, level=odd, agent_name=odd, event_type=odd, payload=odd, ts=odd)
        run.emit(odd, odd, odd, odd, odd)
        run.lines(odd, ["x", odd])
        run.artifact(odd, odd, media_type=odd)
        run.artifact("path", path=odd)
        run.step(odd)
        run.update(metadata=odd, labels=odd, current_step=odd, foo=odd, pr_url=odd, result=odd)
        run.event(odd, odd)
        run.metric(odd, odd, odd)
        run.summary(a=odd)
        run.label(a=odd)
        run.expect_next_in(odd)
        run.flush(odd)
        assert run.exec(odd) == 127
        assert run.exec(["true", odd], env={"A": odd}, cwd=odd, timeout=5) in (0, 1, 127)
        with run.span(odd, kind=odd, input=odd, agent_name=odd) as span:
            span.output(odd)
        child = run.child(odd)
        child.finish(odd, odd, result=odd, pr_url=odd)
        run.ask(odd, odd, timeout=odd)
        run.log("the last one")
    assert run.directory is not None
    assert json.loads((run.directory / "status.json").read_bytes())["status"] == "completed"
    assert "the last one" in (run.directory / "logs.txt").read_text()


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_no_way_to_begin_a_run_raises(odd: Any) -> None:
    fields = {"project": odd, "name": odd, "steps": odd, "metadata": odd, "labels": odd, "job": odd}
    options = {"flush_seconds": odd, "heartbeat_seconds": odd, "resume": odd, "json_logs": odd}
    with RunTracker(
        odd, offline=True, runs_dir=odd, capture_output=odd, **fields, **options
    ) as run:
        run.log("here")
    assert run.run_id is not None
    with RunTracker(url=odd, token=odd, mode=odd, flush_seconds=0) as run:
        run.log("here")
    assert run.run_id is not None


@pytest.mark.parametrize("odd", [*ODD.values(), "0.01", "nan"], ids=[*ODD, "number", "nan-text"])
@pytest.mark.anyio
async def test_no_call_raises_with_a_server_that_is_away(
    odd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of either tracker: there is something to wait for, so the times count."""
    monkeypatch.setattr(runcast.tracker, "FLUSH_SECONDS", 0.0)
    options: dict[str, Any] = {"url": "http://127.0.0.1:9", "token": "x", "flush_seconds": 0}
    with RunTracker(**options) as run:
        run.expect_next_in(odd)
        assert run.flush(odd) is False
    async with AsyncRunTracker(**options) as other:
        await other.log(odd, level=odd, ts=odd)
        await other.expect_next_in(odd)
        await other.metric(odd, odd, odd)
        assert await other.flush(odd) is False
        async with other.span(odd, kind=odd) as span:
            span.output(odd)
        await other.child(odd).finish(odd, odd, result=odd)
        await other.update(status=odd)


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
def test_no_way_to_make_a_handler_or_a_part_raises(odd: Any) -> None:
    record = logging.makeLogRecord({"name": "app", "msg": "here"})
    for handler in (RuncastHandler(odd, offline=True), RuncastHandler(level=odd, offline=True)):
        handler.handle(record)
        assert handler.tracker.run_id is not None
        handler.close()
    with RunTracker(offline=True):
        part = runcast.step("part", kind=odd)(lambda: 1)
        assert part() == 1


def test_members_of_an_enumeration_are_what_they_stand_for() -> None:
    with RunTracker(offline=True, steps=[Kind.ONE, "two"]) as run:
        run.step(Kind.ONE)
        run.log("here", level=Kind.ONE, payload={"kind": Kind.ONE})
    assert run.directory is not None
    assert json.loads((run.directory / "run.json").read_bytes())["current_step"] == "one"
    assert b'"level":"one","payload":{"kind":"one"}' in (run.directory / "spool.jsonl").read_bytes()


@pytest.mark.parametrize("timeout", ["soon", [], Hostile()])
def test_a_command_is_not_begun_that_an_odd_time_would_end(timeout: Any, tmp_path: Path) -> None:
    with RunTracker(offline=True) as run:
        assert run.exec(["touch", str(tmp_path / "begun")], timeout=timeout) == 127
    assert not (tmp_path / "begun").exists()


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
@pytest.mark.parametrize("member", ["name", "msg", "levelname", "created", "threadName", "payload"])
def test_a_record_of_odd_members_is_no_exception(member: str, odd: Any) -> None:
    with RunTracker(offline=True) as run:
        handler = RuncastHandler(run)
        handler.handle(logging.makeLogRecord({"name": "app", "msg": "here", member: odd}))


def test_decorators_may_stand_without_parentheses() -> None:
    @runcast.step
    def part(number: int) -> int:
        return number + 1

    @runcast.run
    def whole(number: int) -> int:
        return part(number)

    assert whole(1) == 2


@pytest.mark.parametrize("mode", ["ofline", " ", "1", "disabled ", "OFFLINE"])
def test_a_mode_of_the_surroundings_is_never_taken_for_another(
    mode: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RUNCAST_MODE", mode)
    run = RunTracker()
    known = mode.strip().lower()
    assert run._session.settings.is_disabled == (known == "disabled")
    run.start()
    assert ("there is no mode" in caplog.text) == (known not in ("", "offline", "disabled"))
    run.finish()
