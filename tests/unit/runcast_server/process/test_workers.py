"""The supervisor of worker processes goes on, whatever keeps it from starting or hearing one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import until

from runcast_server import tasks
from runcast_server.process import workers
from runcast_server.process.workers import Crew, _Names, _Position

pytestmark = pytest.mark.anyio

TALKS = """
import os, sys, threading, time
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print("ready", flush=True)
while True:
    print("alive", flush=True)
    time.sleep(0.1)
"""
"""A worker that says that it lives, until its input ends."""


@contextlib.asynccontextmanager
async def position(
    monkeypatch: pytest.MonkeyPatch, directory: Path, *scripts: str | OSError
) -> AsyncIterator[_Position]:
    """One whose workers are these, one after the other; an error is what starting one raises."""
    left = list(scripts)
    spawn = asyncio.create_subprocess_exec

    async def spawned(*_: str, **given: Any) -> asyncio.subprocess.Process:
        script = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(script, OSError):
            raise script
        return await spawn(sys.executable, "-c", script, **given)

    monkeypatch.setattr(workers.asyncio, "create_subprocess_exec", spawned)
    monkeypatch.setattr(workers, "NOT_STARTED_PAUSE_SECONDS", 0.01)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        made = _Position(Crew([[]], {}, 5.0), 0, listener, _Names(str(directory)))
        await made.start()
        keeping = asyncio.create_task(made.keep())
        try:
            yield made
            assert not keeping.done()
        finally:
            await tasks.end(keeping)
            for worker in list(made.workers):
                await worker.finish()


async def test_a_worker_that_cannot_be_started_now_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """For want of memory, processes or descriptors: that passes, and the other workers serve meanwhile."""
    no_more = BlockingIOError(11, "Resource temporarily unavailable")
    async with position(monkeypatch, tmp_path, TALKS, no_more, no_more, TALKS) as one:
        [first] = one.workers
        first.kill()
        await until(
            lambda: any(w is not first and w.ready.is_set() for w in one.workers), "the next"
        )
        [second] = one.workers
        assert second.name == first.name, "names of those that never started are given back"


async def test_what_a_worker_prints_is_taken_for_no_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prints = f"print('x' * 300_000){TALKS}"
    async with position(monkeypatch, tmp_path, prints, TALKS) as one:
        [first] = one.workers
        first.kill()
        await until(
            lambda: any(w is not first and w.ready.is_set() for w in one.workers), "the next"
        )


async def test_a_supervisor_that_was_stopped_for_long_kills_no_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As `docker pause` does: when it wakes up, what its workers said is there to be read."""
    monkeypatch.setattr(workers, "SILENT_SECONDS", 1.0)
    async with position(monkeypatch, tmp_path, TALKS) as one:
        [worker] = one.workers
        for _ in range(3):
            time.sleep(1.2)  # noqa: ASYNC251  (the event loop stands still)
            await asyncio.sleep(0.01)
        assert not worker.gone.is_set()
        assert worker.process.returncode is None
