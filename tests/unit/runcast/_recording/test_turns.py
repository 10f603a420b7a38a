"""Calls that interrupt each other, at any line of any of them."""

import contextlib
import gc
import json
import linecache
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.waiting import wait_for

import runcast
from runcast import RunTracker
from runcast._recording.turns import Turns
from runcast._support.ids import MonotonicUUID7
from runcast.logging import RuncastHandler

PACKAGE = str(Path(runcast.__file__).parent)


class Interrupted(BaseException):
    """What a signal handler raises to end the program."""


@contextlib.contextmanager
def interrupting(at: int, handler: Callable[[], object]) -> Iterator[list[int]]:
    """Calls the handler before the n-th line of ours that this thread executes, as a signal does. (Not at the
    lines of `with` and `try`, which belong to the entering and leaving of blocks: Python takes no signal
    there.)"""
    seen = [0]

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not line.lstrip().startswith(("with ", "try:")):
            seen[0] += 1
            if seen[0] == at:
                handler()
        return trace

    sys.settrace(trace)
    try:
        yield seen
    finally:
        sys.settrace(None)


def messages(run: RunTracker) -> list[dict[str, Any]]:
    assert run.directory is not None
    spool = (run.directory / "spool.jsonl").read_bytes()
    return [json.loads(line) for line in spool.splitlines()]


def said(run: RunTracker) -> list[str]:
    return [m["data"]["message"] for m in messages(run) if m["type"] == "agent:log"]


def work(run: RunTracker) -> None:
    """One of each call."""
    run.log("one")
    run.emit("idea", "half", percent=50)
    run.lines("stdout", ["a", "b"])
    run.step("outline")
    run.artifact("idea", {"a": 1})
    run.event("mine", {})
    run.finish()


def test_a_call_from_a_signal_handler_at_any_line_is_recorded_once(tmp_path: Path) -> None:
    """No hang, nothing lost, nothing doubled, nothing in the middle of anything."""
    at = 0
    while True:
        at += 19  # prime: the lines of what is called again and again are all met
        run = RunTracker(runs_dir=tmp_path / str(at), offline=True)
        with interrupting(at, lambda run=run: run.log("from the handler")) as seen:  # type: ignore[misc]
            work(run)
        if seen[0] < at:
            break
        kinds = [message["type"] for message in messages(run)]
        once = ["agent:started", "run:progress", "run:updated", "artifact:created", "x:mine"]
        assert [kinds.count(kind) for kind in once] == [1] * 5, at
        assert said(run).count("one") == 1, at
        # After the run's end there is nothing to record it in.
        assert said(run).count("from the handler") == 1 or kinds[-1] in ("lines", "agent:completed")
    assert at > 300


def test_a_handler_that_ends_the_program_ends_the_run(tmp_path: Path) -> None:
    at = 0
    while True:
        at += 41
        run = RunTracker(runs_dir=tmp_path / str(at), offline=True)

        def handler(run: RunTracker = run) -> None:
            run.log("terminating")
            run.finish("cancelled")
            raise Interrupted

        with contextlib.suppress(Interrupted), interrupting(at, handler) as seen:
            work(run)
        if seen[0] < at:
            break
        if run.directory is None:
            continue
        status = json.loads((run.directory / "status.json").read_bytes())
        assert status["status"] in ("cancelled", "completed"), at
        for line in (run.directory / "spool.jsonl").read_bytes().splitlines():
            json.loads(line)


def test_an_entry_whose_writing_is_interrupted_is_recorded_once(tmp_path: Path) -> None:
    """By what a handler raises at any line: the end writes what wasn't written, and that alone."""
    at = 0
    while True:
        at += 1
        run = RunTracker(runs_dir=tmp_path / str(at), offline=True).start()
        run.log("first")
        waiting: list[Any] = []

        def handler(run: RunTracker = run, waiting: list[Any] = waiting) -> None:
            waiting += [*run._session._entries, *run._session._in_hand]
            raise Interrupted

        with contextlib.suppress(Interrupted), interrupting(at, handler) as seen:
            run.log("one")
        run.finish()
        assert said(run).count("one") <= 1, at
        if waiting or seen[0] < at:
            assert said(run) == ["first", "one"], at
        if seen[0] < at:
            break
    assert at > 50


def test_the_end_writes_what_other_threads_have_handed_in(tmp_path: Path) -> None:
    """Whose own turns come after the end."""
    run = RunTracker(runs_dir=tmp_path, offline=True).start()
    held, handed_in = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        held.set()
        handed_in.wait(10)

    holder = threading.Thread(target=run._session.record, args=(hold,))
    holder.start()
    held.wait(10)
    ending = threading.Thread(target=run.finish)
    ending.start()
    wait_for(lambda: len(run._session._turns._waiting) == 1, "the end")
    other = threading.Thread(target=run.log, args=("one",))
    other.start()
    wait_for(lambda: len(run._session._turns._waiting) == 2, "the entry")
    handed_in.set()
    for each in (holder, ending, other):
        each.join()
    assert said(run) == ["one"]


def test_a_handler_that_ends_the_program_while_a_run_begins_ends_the_run(tmp_path: Path) -> None:
    """It comes where the session has its recorder, and nothing else of the run yet."""
    run = RunTracker(runs_dir=tmp_path, offline=True)

    def handler(frame: FrameType, event: str, _: Any) -> Any:
        if run._session.recorder is not None:
            sys.settrace(None)
            run.finish("cancelled")
            raise Interrupted
        return handler

    with contextlib.suppress(Interrupted):
        sys.settrace(handler)
        try:
            run.log("x")
        finally:
            sys.settrace(None)
    assert run.directory is not None
    status = json.loads((run.directory / "status.json").read_bytes())
    assert status["status"] == "cancelled"


def test_ids_made_in_the_middle_of_one_another_differ() -> None:
    made: list[Any] = []

    def clock() -> int:
        if not made:
            made.append(None)
            made[0] = source()
        return 5_000_000

    source = MonotonicUUID7(clock)
    made.append(source())
    assert len(set(made)) == 2


class Talks:
    """An object that logs when it is collected."""

    def __init__(self, run: RunTracker) -> None:
        self.run, self.circle = run, self

    def __del__(self) -> None:
        self.run.log("collected")


def test_the_garbage_collector_may_call(tmp_path: Path) -> None:
    with RunTracker(runs_dir=tmp_path, offline=True) as run:
        before = gc.get_threshold()
        gc.set_threshold(1)
        try:
            for number in range(20):
                Talks(run)
                run.log(f"line {number}")
        finally:
            gc.set_threshold(*before)
            gc.collect()
    assert said(run).count("collected") == 20
    assert [text for text in said(run) if text != "collected"] == [f"line {n}" for n in range(20)]


def test_a_logging_handler_may_write_into_the_run_that_warns(tmp_path: Path) -> None:
    """Two threads, each with a lock that the other's call needs: the host's handler, and the run's turn."""
    run = RunTracker(runs_dir=tmp_path, offline=True).start()

    class Relays(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            run.log(f"relayed {record.getMessage()}")

    logger = logging.getLogger("runcast")
    handlers: list[logging.Handler] = [Relays(), RuncastHandler(run)]
    for each in handlers:
        logger.addHandler(each)

    def talk(which: int) -> None:
        for number in range(50):
            run.artifact("a", path=f"/nonexistent/{which}-{number}")
            logging.getLogger("runcast").info("x")

    try:
        logger.setLevel(logging.INFO)
        threads = [threading.Thread(target=talk, args=(n,), daemon=True) for n in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
    finally:
        logger.setLevel(logging.NOTSET)
        for each in handlers:
            logger.removeHandler(each)
    run.finish()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_that_is_forked_in_the_middle_of_a_call_can_go_on(tmp_path: Path) -> None:
    run = RunTracker(runs_dir=tmp_path, offline=True).start()
    stop = threading.Event()

    def talk() -> None:
        while not stop.is_set():
            run.log("from the thread")

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        for number in range(20):
            child = os.fork()
            if child == 0:
                run.log(f"from child {number}")
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()
    run.finish()
    assert [text for text in said(run) if "child" in text] == [f"from child {n}" for n in range(20)]


def test_work_is_done_in_order_and_what_may_wait_comes_afterwards() -> None:
    turns, done = Turns(), list[str]()

    def outer() -> None:
        turns.take(lambda: done.append("inner"))
        turns.afterwards(lambda: done.append("after"))
        done.append("outer")

    turns.take(outer)
    assert done == ["outer", "inner", "after"]
