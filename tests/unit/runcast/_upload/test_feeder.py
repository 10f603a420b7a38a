"""The feeder against a server that keeps the cursor's contract and fails in every way it may.

The server here is the contract in thirty lines (`docs/ingest.md`, lines); the real one is met in
`tests/acceptance/test_sdk.py`.
"""

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.waiting import wait_for

from runcast._recording import locks
from runcast._recording.artifacts import Source
from runcast._recording.open_run import open_run
from runcast._recording.recorder import Recorder
from runcast._support.backoff import Backoff
from runcast._upload import feed as feed_module
from runcast._upload import feeder as feeding
from runcast._upload.feed import Feed
from runcast._upload.feeder import Feeder
from runcast.client.clients import Client

Answer = Callable[[httpx.Request], httpx.Response]
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


class Fed:
    """A run with a feeder of its own, in front of a server."""

    def __init__(self, recorder: Recorder, answer: Answer, **options: Any) -> None:
        transport = httpx.MockTransport(answer)
        self.feeder = Feeder(lambda: Client("http://server", "x", transport=transport))
        self.feed = Feed(recorder.directory, lambda: recorder.spool.overflow, **options)
        self.feeder.add(self.feed)

    def wake(self) -> None:
        self.feeder.wake(self.feed)

    def close(self, seconds: float, *, is_finished: bool = True) -> int:
        """Ends the feeding; answers the bytes that are left."""
        if is_finished:
            self.feed.finish()
        else:
            self.feed.leave()
        return self.feeder.flush(self.feed, seconds)


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(Backoff, "next_seconds", lambda self, at_least=None: 0.001)
    monkeypatch.setattr(feeding, "LAST_TRIES_SECONDS", 0.001)
    monkeypatch.setattr(feeding, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(feed_module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(feed_module, "OTHERS_SECONDS", 0.01)
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
    fed = Fed(recorder, server.answer)
    for number in range(during):
        recorder.log(f"during {number}")
        fed.wake()
    recorder.finish("completed")
    unsent = fed.close(20, is_finished=True)
    assert unsent == 0
    assert server.lines == recorder.directory.spool.read_bytes().splitlines()
    assert server.closed == "status"


def test_a_server_that_is_back_is_told_of_like_one_that_went(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("runcast").setLevel(logging.WARNING)
    recorder.log("one")
    recorder.finish("completed")
    assert Fed(recorder, Server(["refused before"]).answer).close(20) == 0
    said = [record.getMessage() for record in caplog.records]
    assert [each.partition(":")[0] for each in said] == [
        "runs wait for the server",
        "the server answers again",
    ]


def test_the_run_is_made_of_its_record(recorder: Recorder) -> None:
    server = Server([])
    fed = Fed(recorder, server.answer)
    fed.close(10, is_finished=False)
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
    fed = Fed(recorder, server.answer)
    fed.close(10, is_finished=False)
    kinds = [path.rpartition("/")[2] for path in server.asked]
    assert kinds == ["runs", "logs", "logs", "artifacts", "logs"]
    assert len(server.lines) == 5


def test_a_line_that_only_mentions_an_artifact_is_a_line_like_others(recorder: Recorder) -> None:
    recorder.log("evt", payload={"type": "artifact:created"})
    recorder.log("behind it")
    server = Server([])
    assert Fed(recorder, server.answer).close(10) == 0
    assert b"behind it" in server.lines[-1]
    assert server.uploads == 0


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"path": 5},
        {"path": "a\0b"},
        {"path": "status.json"},
        {"path": "status.json", "artifact_id": []},
    ],
)
def test_an_artifact_without_sense_costs_itself_alone(
    recorder: Recorder, data: dict[str, Any]
) -> None:
    with recorder._writing():
        recorder._keep({"type": "artifact:created", "data": data})
    recorder.log("behind it")
    server = Server([])
    assert Fed(recorder, server.answer).close(10) == 0
    assert b"behind it" in server.lines[-1]


def test_a_spool_can_not_have_files_from_elsewhere_sent(recorder: Recorder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    data = {"artifact_id": "1", "step_name": "s", "media_type": "text/plain"}
    for path in ("../secret", str(tmp_path / "secret"), "missing"):
        with recorder._writing():
            recorder._keep({"type": "artifact:created", "data": {**data, "path": path}})
    server = Server([])
    fed = Fed(recorder, server.answer)
    fed.close(10, is_finished=False)
    assert server.uploads == 0
    assert len(server.lines) == 4


def test_cancelling_is_learnt_by_the_heartbeat(recorder: Recorder) -> None:
    server = Server([])
    fed = Fed(recorder, server.answer, heartbeat_seconds=0.01)
    server.is_cancelled = True
    wait_for(lambda: fed.feed.is_cancelled, "the news")
    fed.close(10, is_finished=False)


def test_one_process_feeds_and_another_takes_over(recorder: Recorder) -> None:
    server = Server([])
    first = Fed(recorder, server.answer)
    wait_for(lambda: server.lines, "the first one's lines")
    second = Fed(recorder, server.answer)
    wait_for(lambda: second.feed.is_fed_by_another, "the second one to see it")
    first.close(10, is_finished=False)
    wait_for(lambda: not first.feed.holds_lock, "the lock to be free")
    recorder.log("for the second")
    wait_for(lambda: not second.feed.is_fed_by_another, "the second one to take over")
    assert second.close(10, is_finished=False) == 0
    assert server.lines == recorder.directory.spool.read_bytes().splitlines()
    assert len(server.created) == 2


def test_a_run_that_floods_holds_up_neither_heartbeats_nor_another_run(tmp_path: Path) -> None:
    """Each answer takes a while, and there is always more to send."""
    server = Server([])
    stop = threading.Event()
    loud, quiet = (open_run(tmp_path, run_id=name, project="demo") for name in ("loud", "quiet"))
    for each in (loud, quiet):
        each.begin()
    other_server = Server([])

    def answer(request: httpx.Request) -> httpx.Response:
        time.sleep(0.002)
        if request.url.path == f"/runs/{quiet.run_id}/logs":
            return other_server.answer(request)
        return server.answer(request)

    def flood() -> None:
        while not stop.is_set():
            loud.lines("stdout", ["x" * 100] * 500)
            fed.wake()
            time.sleep(0.002)

    fed = Fed(loud, answer, heartbeat_seconds=0.01)
    other = Feed(quiet.directory)
    fed.feeder.add(other)
    thread = threading.Thread(target=flood)
    thread.start()
    try:
        wait_for(lambda: other_server.lines, "the quiet run's lines")
        beats = lambda: sum(path.endswith("heartbeat") for path in server.asked)  # noqa: E731
        wait_for(lambda: beats() > 3, "heartbeats")
        server.is_cancelled = True
        wait_for(lambda: fed.feed.is_cancelled, "the news of the cancellation")
    finally:
        stop.set()
        thread.join()


def test_a_spool_line_that_the_server_refuses_costs_that_line_alone(recorder: Recorder) -> None:
    server = Server([])
    for number in range(20):
        recorder.log(f"line {number}")

    def answer(request: httpx.Request) -> httpx.Response:
        if b"line 13" in request.content:
            return httpx.Response(413)
        message = orjson.loads(request.content)
        if message.get("lines") == [""]:  # in its place, of its extent
            message["lines"] = [" " * (message["next_offset"] - message["first_offset"] - 1)]
            return server._take(message)
        return server.answer(request)

    fed = Fed(recorder, answer)
    unsent = fed.close(20)
    assert (unsent, server.closed) == (0, "status")
    expected = recorder.directory.spool.read_bytes().splitlines()
    assert server.lines == [b" " * len(line) if b"line 13" in line else line for line in expected]


def test_a_run_whose_fields_are_refused_is_made_without_them(recorder: Recorder) -> None:
    server = Server([])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/runs") and b'"metadata"' in request.content:
            return httpx.Response(422)
        return server.answer(request)

    recorder.run["metadata"] = {"a": 1}
    recorder._write_run()
    assert Fed(recorder, answer).close(10) == 0
    [made] = server.created
    assert made.keys() == {"id", "key", "steps", "current_step", "status"}


def test_a_server_with_another_spool_of_this_run_is_left_alone(recorder: Recorder) -> None:
    server = Server([])
    server.lines = [b"x" * 10_000]
    fed = Fed(recorder, server.answer)
    assert fed.close(10, is_finished=True) == recorder.directory.spool.stat().st_size
    assert server.lines == [b"x" * 10_000]


def test_closing_is_not_held_by_a_server_that_hangs(recorder: Recorder) -> None:
    hangs, is_over = threading.Event(), threading.Event()

    def hang(request: httpx.Request) -> httpx.Response:
        hangs.wait(60)
        is_over.set()
        raise httpx.ReadTimeout("at last")

    fed = Fed(recorder, hang)
    assert fed.close(0.2) > 0
    assert not is_over.is_set()
    hangs.set()


def test_the_end_goes_on_while_the_server_takes_something(recorder: Recorder) -> None:
    """Each portion takes longer than half of the patience, all of them far longer than it."""
    server = Server([])
    for _ in range(20):
        recorder.lines("stdout", ["x" * 30_000] * 2)

    def answer(request: httpx.Request) -> httpx.Response:
        time.sleep(0.1)
        return server.answer(request)

    fed = Fed(recorder, answer)
    fed.feed.finish()
    assert fed.feeder.flush(fed.feed, 0.5, at_most_seconds=60) == 0


def test_the_lock_is_free_when_the_run_is_sent(recorder: Recorder) -> None:
    fed = Fed(recorder, Server([]).answer)
    fed.close(10)
    wait_for(lambda: not fed.feed.holds_lock, "the lock to be free")
    fd = os.open(recorder.directory.path, os.O_RDONLY)
    assert locks.try_lock(fd)
    os.close(fd)


def test_very_many_runs_that_talk_at_once_hold_few_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a descriptor, also between two portions of one run."""
    monkeypatch.setattr(feeding, "LOCKS", 4)
    held: list[int] = []
    servers: dict[str, Server] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        held.append(sum(each.holds_lock for each in feeder._feeds))
        run = request.url.path.split("/")[-2]
        return servers.setdefault(run, Server([])).answer(request)

    feeder = Feeder(lambda: Client("http://server", "x", transport=httpx.MockTransport(answer)))
    feeds = []
    for number in range(20):
        recorder = open_run(tmp_path, run_id=f"many-{number}", project="demo")
        recorder.begin()
        recorder.log("line")
        feeds.append(Feed(recorder.directory))
        recorder.close()
    for feed in feeds:
        feed.finish()
        feeder.add(feed)
    assert [feeder.flush(feed, 60) for feed in feeds] == [0] * 20
    assert max(held) <= 5


def test_a_run_that_is_waited_for_goes_before_many_others(tmp_path: Path) -> None:
    go, order = threading.Event(), []
    servers: dict[str, Server] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        go.wait(60)
        run = request.url.path.split("/")[-2]
        order.append((run, b'"closed"' in request.content))
        return servers.setdefault(run, Server([])).answer(request)

    feeder = Feeder(lambda: Client("http://server", "x", transport=httpx.MockTransport(answer)))
    feeds = []
    for number in range(20):
        recorder = open_run(tmp_path, run_id=f"many-{number}", project="demo")
        recorder.begin()
        feeds.append(Feed(recorder.directory))
        recorder.close()
        feeder.add(feeds[-1])
    last = feeds[-1]
    last.finish()
    begun = threading.Thread(
        target=lambda: (wait_for(lambda: feeder._awaited, "the flush"), go.set())
    )
    begun.start()
    assert feeder.flush(last, 60) == 0
    begun.join()
    run = last.directory.read_run()["id"]
    others = {each for each, _ in order[: order.index((run, True))]} - {run, "demo"}
    assert len(others) <= 2
    for feed in feeds:
        feed.finish()
        feeder.flush(feed, 60)


class Waiting:
    """As much of a feed as a round sees of it."""

    has_moved = is_done = holds_lock = False

    def __init__(self, name: str, stepped: list[str], *, is_due: bool = True) -> None:
        self._name, self._stepped, self._is_due = name, stepped, is_due

    def is_due(self, _: float) -> bool:
        return self._is_due

    def step(self, _: Client) -> bool:
        self._stepped.append(self._name)
        self._is_due = False
        return False


def test_runs_that_have_nothing_to_send_take_no_place_of_one_that_is_waited_for() -> None:
    nothing: Any = None
    feeder, stepped = Feeder(lambda: nothing), list[str]()
    others: Any = [Waiting(f"other {number}", stepped) for number in range(3)]
    idle: Any = [Waiting("idle", stepped, is_due=False) for _ in range(10)]
    last: Any = Waiting("last", stepped)
    feeder._feeds, feeder._awaited = (*others, *idle, last), [*idle, last]
    feeder._round(nothing)
    assert stepped == ["last", "other 0", "other 1", "other 2"]


def test_a_server_that_takes_nothing_is_asked_again_later(recorder: Recorder) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("logs") and b'"lines":[]' not in request.content:
            asked.append(time.monotonic())
            return httpx.Response(200, json={"next_line": 1, "next_offset": 0})
        return Server([]).answer(request)

    fed = Fed(recorder, answer)
    wait_for(lambda: len(asked) >= 5, "it to be asked again")
    fed.close(0.01)
    assert all(late - early >= 0.01 for early, late in itertools.pairwise(asked[:5]))
