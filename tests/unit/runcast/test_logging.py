"""The standard library's logging into a run."""

import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import wait_for

from runcast import RunTracker
from runcast._recording.log_entries import LogEntry
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


def test_what_threads_log_at_once_is_written_together_and_whole(
    tracker: RunTracker, logger: logging.Logger
) -> None:
    session = tracker._session
    recorder = session.recorder
    assert recorder is not None
    batches: list[int] = []
    write = recorder.write_entries

    def counted(some: list[LogEntry]) -> None:
        batches.append(len(some))
        write(some)

    recorder.write_entries = counted  # type: ignore[method-assign]
    threads = [
        threading.Thread(target=lambda n=n: [logger.info("%d:%d", n, i) for i in range(50)])
        for n in range(8)
    ]

    def hold_the_turn() -> None:
        for thread in threads:
            thread.start()
        wait_for(lambda: len(session._entries) == 8, "eight threads wait")

    session._turns.take(hold_the_turn)
    for thread in threads:
        thread.join()
    assert batches[0] == 8
    said = [entry["message"].split(":") for entry in entries(tracker)]
    for n in range(8):
        assert [int(i) for who, i in said if who == str(n)] == list(range(50))
    assert tracker.directory is not None
    assert (tracker.directory / "logs.txt").read_bytes().count(b"\n") == 400


def test_what_a_signal_handler_raises_while_lines_are_written_doubles_none(
    tracker: RunTracker, logger: logging.Logger
) -> None:
    """The exception comes right behind the write to the spool, as from a handler of SIGINT."""
    session = tracker._session
    recorder = session.recorder
    assert recorder is not None
    append = recorder.spool.append

    def interrupted(*args: Any, **named: Any) -> None:
        recorder.spool.append = append  # type: ignore[method-assign]
        os.write(recorder.spool.fileno(), b"".join(args[0]))
        raise KeyboardInterrupt

    recorder.spool.append = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        logger.info("one")
    logger.info("two")
    assert [entry["message"] for entry in entries(tracker)] == ["one", "two"]


class Chosen(RuncastHandler):
    def filter(self, record: logging.LogRecord) -> bool | logging.LogRecord:
        return "keep" in record.getMessage() and super().filter(record)


def test_the_filter_of_a_handler_s_subclass_counts(tracker: RunTracker) -> None:
    handler = Chosen(tracker)
    for message in ("keep this", "leave this"):
        handler.handle(logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "app"}))
    assert [entry["message"] for entry in entries(tracker)] == ["keep this"]
