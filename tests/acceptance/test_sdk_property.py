"""Programs that nobody would write: any calls of a tracker, in any order, with any arguments, in front of a
server that comes and goes.

The host program meets no exception; the run reaches its true end at the server; every line, artifact and
progress is there once; nothing is refused; and the files say the same. `RUNCAST_FUZZ_EXAMPLES` sets how
many programs are tried (`make fuzz`: thousands, others each time; `RUNCAST_FUZZ_SEED` brings some back).
"""

import contextlib
import json
import logging
import os
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from tests.processes import Up
from tests.unit.runcast._support.test_acceptable import ANYTHING

from runcast import Client, RunTracker
from runcast._support import acceptable
from runcast._support.backoff import Backoff
from runcast._upload import feed, feeder

EXAMPLES = int(os.environ.get("RUNCAST_FUZZ_EXAMPLES", "200"))
SEED = int(os.environ.get("RUNCAST_FUZZ_SEED", "20260131"))
"""The same programs each time, but for `make fuzz`."""


class Long(str):
    """A long text that is shown shortly."""

    def __repr__(self) -> str:
        return f"Long({len(self)})"


LONG = st.sampled_from(
    [Long("x" * 70_000), Long("é" * 300), "\0\ud800", "", "spec", "a/b", "spool.jsonl", "done"]
)
VALUES = st.one_of(ANYTHING, LONG)
TEXTS = st.lists(st.one_of(st.text(max_size=20), LONG), max_size=4)
FIELDS = st.sampled_from(
    [
        "status",
        "current_step",
        "error",
        "will_retry",
        "result",
        "pr_url",
        "metadata",
        "foo",
        "labels",
    ]
)
CALLS = st.one_of(
    st.tuples(st.just("log"), st.tuples(VALUES), st.fixed_dictionaries({}, optional={
        "level": VALUES, "agent_name": VALUES, "event_type": VALUES, "payload": VALUES})),
    st.tuples(st.just("emit"), st.tuples(VALUES, VALUES), st.fixed_dictionaries({}, optional={
        "percent": VALUES, "step": VALUES, "total_steps": VALUES})),
    st.tuples(st.just("lines"), st.tuples(VALUES, TEXTS), st.just({})),
    st.tuples(st.just("artifact"), st.tuples(VALUES, VALUES), st.just({})),
    st.tuples(st.just("step"), st.tuples(VALUES), st.just({})),
    st.tuples(st.just("update"), st.just(()), st.dictionaries(FIELDS, VALUES, max_size=3)),
    st.tuples(st.just("event"), st.tuples(VALUES, VALUES), st.just({})),
    st.tuples(st.just("metric"), st.tuples(VALUES, VALUES), st.just({})),
    st.tuples(st.just("label"), st.just(()), st.dictionaries(st.text(max_size=5), VALUES, max_size=2)),
    st.tuples(st.just("expect_next_in"), st.tuples(VALUES), st.just({})),
    st.tuples(st.just("the server"), st.sampled_from([("goes",), ("comes",)]), st.just({})),
)  # fmt: skip
NAMES = (
    "run_id",
    "name",
    "steps",
    "phase",
    "current_step",
    "agent_type",
    "agent_name",
    "task_id",
    "input",
    "metadata",
    "labels",
)
MADE_OF = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, VALUES))


class Relay:
    """A way to the server that can be cut: what comes while it is, is turned away."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (str(parts.hostname), parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.is_up = True
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    def turn(self, how: str) -> None:
        self.is_up = how == "comes"
        if not self.is_up:
            for each in list(self._open):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.turn("goes")
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.is_up:
                    server = socket.create_connection(self._target)
                    self._open |= {client, server}
                    self._start(self._pump, client, server)
                    self._start(self._pump, server, client)
                else:
                    client.close()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
        self._open.discard(source)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)
        source.close()


@dataclass
class Expected:
    """What the calls of a program come to."""

    lines: list[str] = field(default_factory=list)
    artifacts: Counter[str] = field(default_factory=Counter)
    progress: int = 0
    status: str | None = None

    def take(
        self, name: str, args: tuple[Any, ...], named: dict[str, Any], steps: list[str]
    ) -> None:
        match name:
            case "log":
                self.lines.append(acceptable.text(acceptable.printable(args[0])))
            case "lines":
                self.lines += [
                    acceptable.printable(each).encode()[:65_536].decode(errors="ignore")
                    for each in args[1]
                ]
            case "emit":
                self.progress += 1
            case "step":
                self._step(args[0], steps)
            case "artifact":
                self.artifacts[acceptable.name(args[0]) or "-"] += 1
            case "update":
                self._update(named, steps)

    def _step(self, given: Any, steps: list[str]) -> None:
        step = acceptable.name(given)
        self.progress += step is not None and step not in steps

    def _update(self, named: dict[str, Any], steps: list[str]) -> None:
        if isinstance(named.get("status"), str) and named["status"] == "done":
            self.status = "completed"
        else:
            self._step(named.get("current_step"), steps)


def cut(line: str) -> str:
    """A line of output as the server stores it."""
    return line.encode()[:65_536].decode(errors="ignore")


@pytest.fixture
def relay(local_server: Up, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    # What waits for a server that is away waits shortly: there are hundreds of programs.
    monkeypatch.setattr(feeder, "LAST_TRIES_SECONDS", 0.05)
    monkeypatch.setattr(feeder, "GATHER_SECONDS", 0.002)
    monkeypatch.setattr(feeder, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(feed, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(Backoff, "next_seconds", lambda self, at_least=None: 0.05)
    logging.getLogger("runcast").setLevel(logging.ERROR)
    made = Relay(local_server.url)
    yield made
    logging.getLogger("runcast").setLevel(logging.NOTSET)
    made.close()


@pytest.mark.timeout(7_200)
@seed(SEED)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    made_of=MADE_OF, calls=st.lists(CALLS, max_size=12), fails=st.booleans(), ends_up=st.booleans()
)
def test_any_program_arrives(
    local_server: Up,
    client: Client,
    relay: Relay,
    made_of: dict[str, Any],
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]],
    fails: bool,
    ends_up: bool,
) -> None:
    expected = Expected()
    if acceptable.as_uuid(made_of.get("run_id")) is not None:
        del made_of["run_id"]  # it may be that of an earlier program, whose run it would be
    rejected = client.ingest_rejects(limit=1)["rejects"]
    with tempfile.TemporaryDirectory() as root:
        run = RunTracker(
            project="fuzz", runs_dir=root, url=relay.url, token=local_server.credentials["token"],
            flush_seconds=0.1, **made_of,
        )  # fmt: skip
        relay.turn("comes")
        tell(run, calls, relay, expected)
        relay.turn("comes" if ends_up else "goes")
        run.finish("failed" if fails else "completed", "it broke" if fails else None)
        assert run.directory is not None
        relay.turn("comes")
        assert run.flush(60)
        compare(client, run, expected, "failed" if fails else "completed")
        assert client.ingest_rejects(limit=1)["rejects"] == rejected


def tell(run: RunTracker, calls: list[Any], relay: Relay, expected: Expected) -> None:
    run.start()
    assert run._session.recorder is not None
    steps = run._session.recorder.run["steps"]
    for name, args, named in calls:
        if name == "the server":
            relay.turn(*args)
            continue
        getattr(run, name)(*args, **named)
        if expected.status is None:
            expected.take(name, args, named, steps)


def compare(client: Client, run: RunTracker, expected: Expected, ends: str) -> None:
    assert run.run_id is not None
    assert run.directory is not None
    stored = client.get_run(run.run_id)
    assert stored["status"] == (expected.status or ends)
    entries = list(client.iter_logs(run.run_id, limit=1_000))
    assert [each["message"] for each in entries] == expected.lines
    kept = client.list_artifacts(run.run_id, versions="all", limit=1_000)["artifacts"]
    assert Counter(each["step_name"] for each in kept) == expected.artifacts
    assert len(client.run_status(run.run_id, last=100)["events"]) == expected.progress
    status = json.loads((run.directory / "status.json").read_bytes())
    assert (status["status"], len(status["events"])) == (stored["status"], expected.progress)
    text = (run.directory / "logs.txt").read_bytes().decode()
    for line in expected.lines:
        assert line.partition("… [+")[0] in text
