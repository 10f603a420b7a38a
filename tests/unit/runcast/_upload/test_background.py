"""Reports from a thread of its own: in signal handlers, and started twice."""

import faulthandler
import linecache
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from runcast._upload import background
from runcast.runtime import RuntimeEventSink
from runcast.worker import Worker


@pytest.fixture(autouse=True)
def _never_hangs() -> Iterator[None]:
    """A deadlock of the one thread can't be waited out: it ends the process, and shows where."""
    faulthandler.dump_traceback_later(30, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def interrupted(call: Callable[[], object], at: int, files: tuple[str, ...]) -> bool:
    """Calls it, and once more before the n-th line that this executes in the files; False if there are fewer
    lines. (Python takes no signal at the lines of `with` and `try`.)"""
    seen = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if frame.f_code.co_filename not in files:
            return None
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not line.lstrip().startswith(("with ", "try:")):
            seen += 1
            if seen == at:
                sys.settrace(None)
                call()
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
    return seen >= at


def test_a_runtime_event_may_interrupt_another() -> None:
    with RuntimeEventSink(keep=10_000, url="http://localhost:1", token="x") as sink:
        files = (background.__file__, threading.__file__)
        lines = 0
        while interrupted(lambda: sink.record("worker", "TASK", "OK", "e"), lines + 1, files):
            lines += 1
        assert lines > 3
        assert len(sink.last) == 2 * lines + 1


def test_a_worker_may_be_started_twice_and_after_its_stop() -> None:
    worker = Worker("w", "t", url="http://localhost:1", token="x")
    assert worker.start().start() is worker
    worker.stop()
    assert worker.start() is worker
    worker.stop()
