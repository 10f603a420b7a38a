"""The standard library's logging into a run."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runcast import RunTracker
from runcast.logging import RuncastHandler


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[RunTracker]:
    with RunTracker("r", runs_dir=tmp_path, offline=True) as run:
        yield run


@pytest.fixture
def logger(tracker: RunTracker) -> Iterator[logging.Logger]:
    made = logging.getLogger("app.part")
    handler = RuncastHandler(tracker)
    made.addHandler(handler)
    made.setLevel(logging.DEBUG)
    yield made
    made.removeHandler(handler)
    handler.close()


def entries(tracker: RunTracker) -> list[dict[str, Any]]:
    assert tracker.directory is not None
    messages = map(json.loads, (tracker.directory / "spool.jsonl").read_bytes().splitlines())
    return [message["data"] for message in messages if message["type"] == "agent:log"]


def test_a_record_is_an_entry(tracker: RunTracker, logger: logging.Logger) -> None:
    logger.warning("took %d ms", 12, extra={"task": "t1"})
    [entry] = entries(tracker)
    assert entry["message"] == "took 12 ms"
    assert (entry["level"], entry["agent_name"]) == ("warning", "app.part")
    assert entry["payload"] == {"task": "t1"}


def test_an_exception_is_told_with_its_traceback(
    tracker: RunTracker, logger: logging.Logger
) -> None:
    try:
        raise ValueError("odd")
    except ValueError:
        logger.exception("failed")
    [entry] = entries(tracker)
    assert entry["message"].startswith("failed\nTraceback")
    assert entry["message"].endswith("ValueError: odd")


def test_what_the_sdk_says_itself_stays_out(tracker: RunTracker) -> None:
    handler = RuncastHandler(tracker)
    for name in ("runcast", "httpx", "httpcore.connection"):
        handler.handle(logging.makeLogRecord({"name": name, "msg": "x", "levelname": "INFO"}))
    handler.close()
    assert entries(tracker) == []


def test_a_handler_of_its_own_makes_a_run_and_ends_it(tmp_path: Path) -> None:
    handler = RuncastHandler(run_id="own", runs_dir=tmp_path, offline=True)
    assert not (tmp_path / "own").exists()
    handler.handle(logging.makeLogRecord({"name": "a", "msg": "x", "levelname": "INFO"}))
    handler.close()
    assert json.loads((tmp_path / "own" / "status.json").read_bytes())["status"] == "completed"


def test_records_of_odd_content_are_written(tracker: RunTracker) -> None:
    handler = RuncastHandler(tracker)
    for odd in ({"name": None}, {"created": 1e300}, {"created": "now"}, {"levelname": None}):
        handler.handle(logging.makeLogRecord({"name": "app", "msg": "here", **odd}))
    assert tracker.directory is not None
    assert (tracker.directory / "spool.jsonl").read_bytes().count(b'"here"') == 4
