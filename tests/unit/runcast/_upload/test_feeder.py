"""The feeder against a server that keeps the cursor's contract and fails in every way it may.

The server here is the contract in thirty lines (`docs/ingest.md`, lines); the real one is met in
`tests/acceptance/test_sdk.py`.
"""

import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runcast._recording import locks
from runcast._recording.artifacts import Source
from runcast._recording.open_run import open_run
from runcast._recording.recorder import Recorder
from runcast._support.backoff import Backoff
from runcast._upload import feeder as feeding
from runcast._upload.feeder import Feeder
from runcast.client.clients import Client

FAULTS = ("busy", "refused before", "lost after", "forgets", "somebody else was faster")


class Server:
    """Stores lines by their place. `faults` come one after another, one with each `lines` message
    that holds any."""

    def __init__(self, faults: list[str], others: Path | None = None) -> None:
        self.lines: list[bytes] = []
        self.closed: str | None = None
        self.created: list[dict[str, Any]] = []
        self.uploads = 0
        self.asked: list[str] = []
        self.is_cancelled = False
        self._faults = faults
        self._others = others

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        where = request.url.path.rpartition("/")[2]
        match where:
            case "runs":
                self.created.append(orjson.loads(request.content))
                return httpx.Response(201, json=self.created[-1])
            case "heartbeat":
                return httpx.Response(200, json={"cancelled": self.is_cancelled})
            case "artifacts":
                self.uploads += 1
                return httpx.Response(201, json={})
        return self._take(orjson.loads(request.content))

    def _take(self, message: dict[str, Any]) -> httpx.Response:
        fault = self._faults.pop(0) if message["lines"] and self._faults else ""
        if fault == "busy":
            return httpx.Response(503)
        if fault == "refused before":
            raise httpx.ConnectError("refused")
        if fault == "forgets":
            del self.lines[len(self.lines) // 2 :]
        if fault == "somebody else was faster" and self._others is not None:
            text = self._others.read_bytes()
            self.lines = text[: text.rfind(b"\n") + 1].splitlines()
        start = len(self.lines) + 1 - message["first_line"]
        texts = [line.encode() for line in message["lines"]]
        if 0 <= start <= len(texts):
            self.lines += texts[start:]
            self.closed = message.get("closed", {}).get("reason", self.closed)
        if fault == "lost after":
            raise httpx.ReadTimeout("lost")
        offset = sum(len(line) + 1 for line in self.lines)
        cursor = {"next_line": len(self.lines) + 1, "next_offset": offset}
        return httpx.Response(200, json=cursor)


def feeder(recorder: Recorder, server: Server, **options: Any) -> Feeder:
    transport = httpx.MockTransport(server.answer)
    return Feeder(
        recorder.directory, lambda: Client("http://server", "x", transport=transport), **options
    )


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Backoff, "next_seconds", lambda self, at_least=None: 0.001)
    monkeypatch.setattr(feeding, "LAST_TRIES_SECONDS", 0.001)
    monkeypatch.setattr(feeding, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(feeding, "GATHER_SECONDS", 0.001)
    logging.getLogger("runcast").setLevel(logging.ERROR)
    yield
    logging.getLogger("runcast").setLevel(logging.NOTSET)


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    made = open_run(tmp_path, run_id="r", project="demo")
    made.begin()
    return made


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    before=st.integers(0, 30),
    during=st.integers(0, 30),
    faults=st.lists(st.sampled_from(FAULTS), max_size=8),
)
def test_whatever_fails_every_line_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, before: int, during: int, faults: list[str]
) -> None:
    recorder = open_run(tmp_path_factory.mktemp("runs"), run_id="r", project="demo")
    recorder.begin()
    server = Server(faults, recorder.directory.spool)
    for number in range(before):
        recorder.log(f"before {number}")
    feeder_ = feeder(recorder, server)
    feeder_.start()
    for number in range(during):
        recorder.log(f"during {number}")
        feeder_.wake()
    recorder.finish("completed")
    unsent = feeder_.close(20, is_finished=True)
    assert unsent == 0
    assert server.lines == recorder.directory.spool.read_bytes().splitlines()
    assert server.closed == "status"


def test_the_run_is_made_of_its_record(recorder: Recorder) -> None:
    server = Server([])
    feeder_ = feeder(recorder, server)
    feeder_.start()
    feeder_.close(10, is_finished=False)
    [made] = server.created
    assert (made["id"], made["key"], made["status"]) == (recorder.run_id, "r", "queued")
    assert server.closed is None


def test_a_file_goes_after_what_came_before_it(recorder: Recorder, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 100)
    recorder.log("before")
    recorder.artifact("big", Source(path=tmp_path / "big"))
    recorder.artifact("small", Source("inline"))
    recorder.log("after")
    server = Server([])
    feeder_ = feeder(recorder, server)
    feeder_.start()
    feeder_.close(10, is_finished=False)
    kinds = [path.rpartition("/")[2] for path in server.asked]
    assert kinds == ["runs", "logs", "logs", "artifacts", "logs"]
    assert len(server.lines) == 5


def test_a_spool_can_not_have_files_from_elsewhere_sent(recorder: Recorder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    data = {"artifact_id": "1", "step_name": "s", "media_type": "text/plain"}
    for path in ("../secret", str(tmp_path / "secret"), "missing"):
        recorder._keep({"type": "artifact:created", "data": {**data, "path": path}})
    server = Server([])
    feeder_ = feeder(recorder, server)
    feeder_.start()
    feeder_.close(10, is_finished=False)
    assert server.uploads == 0
    assert len(server.lines) == 4


def test_cancelling_is_learnt_by_the_heartbeat(recorder: Recorder) -> None:
    server = Server([])
    feeder_ = feeder(recorder, server, heartbeat_seconds=0.01)
    feeder_.start()
    server.is_cancelled = True
    assert feeder_.cancelled.wait(10)
    feeder_.close(10, is_finished=False)


def test_one_process_feeds_and_another_takes_over(recorder: Recorder) -> None:
    server = Server([])
    with recorder.directory.spool.open("rb"):
        first, second = feeder(recorder, server), feeder(recorder, server)
        first.start()
        deadline = time.monotonic() + 10
        while not server.lines and time.monotonic() < deadline:
            time.sleep(0.01)
        second.start()
        first.close(10, is_finished=False)
        recorder.log("for the second")
        second.wake()
        second.close(10, is_finished=False)
    assert server.lines == recorder.directory.spool.read_bytes().splitlines()
    assert len(server.created) == 2


def test_a_server_with_another_spool_of_this_run_is_left_alone(recorder: Recorder) -> None:
    server = Server([])
    server.lines = [b"x" * 10_000]
    feeder_ = feeder(recorder, server)
    feeder_.start()
    assert feeder_.close(10, is_finished=True) == recorder.directory.spool.stat().st_size
    assert server.lines == [b"x" * 10_000]


def test_closing_is_not_held_by_a_server_that_hangs(recorder: Recorder) -> None:
    hangs = threading.Event()

    def hang(request: httpx.Request) -> httpx.Response:
        hangs.wait(30)
        raise httpx.ReadTimeout("at last")

    made = Feeder(
        recorder.directory,
        lambda: Client("http://server", "x", transport=httpx.MockTransport(hang)),
    )
    made.start()
    started = time.monotonic()
    assert made.close(0.2, is_finished=True) > 0
    assert time.monotonic() - started < 5
    hangs.set()
    made._thread.join(10)


def test_the_lock_is_free_when_the_feeder_is_gone(recorder: Recorder) -> None:
    feeder_ = feeder(recorder, Server([]))
    feeder_.start()
    feeder_.close(10, is_finished=True)
    feeder_._thread.join(10)
    fd = os.open(recorder.directory.path, os.O_RDONLY)
    assert locks.try_lock(fd)
    os.close(fd)
