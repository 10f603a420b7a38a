"""Odd messages over Redis and HTTP, odd run directories, key sets, claims and messages between hubs.

A whole server runs, tailer included. After each portion of odd ones a line of another run arrives over Redis,
over HTTP and through a file; what can't be understood has a reject; nothing answers 5xx; nothing is
degraded. `make test` takes 500 cases, the same each time; `make fuzz` at least 20,000 others.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from runcast._support.ids import uuid7
from runcast.contract import INGEST_STREAM
from runcast_api.ingest import batch_items
from runcast_hub.peers import REGISTRY
from runcast_hub.pubsub import control_channel
from runcast_server.auth import jwts
from tests.conftest import run_sql
from tests.fuzz import odd
from tests.fuzz import world as worlds
from tests.fuzz.world import World
from tests.urls import in_database
from tests.waiting import wait_for

IS_SHORT = "RUNCAST_FUZZ_CASES" not in os.environ
CASES = int(os.environ.get("RUNCAST_FUZZ_CASES", "500"))
PORTION = 20
"""Odd things between two looks whether everything goes on."""


def some(share: float) -> Any:
    """So large a share of the cases, in portions."""
    return settings(
        max_examples=max(2, int(CASES * share) // PORTION),
        derandomize=IS_SHORT,
        database=None,
        deadline=None,
        phases=[Phase.generate] if IS_SHORT else [Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@dataclass
class Target:
    """The server, a run that odd messages speak of, and three that are only looked at."""

    world: World
    runs_dir: Path
    client: httpx.Client
    stream: redis.Redis
    run: str = ""
    probe: str = ""
    looks: int = 0
    sent: dict[str, bytes] = field(default_factory=dict)

    def prepare(self) -> None:
        for slug in ("default", "probes"):
            if self.client.get(f"/projects/{slug}").status_code == 404:
                self.post("/projects", {"name": slug, "slug": slug})
        self.run = self.post("/projects/default/runs", {"key": "odd", "status": "running"})["id"]
        self.probe = self.post("/projects/probes/runs", {"status": "running"})["id"]
        (self.runs_dir / self.probe).mkdir(parents=True)

    def post(self, path: str, body: Any) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def send(self, message: bytes) -> None:
        self.sent[self.stream.xadd(INGEST_STREAM, {"m": message}).decode()] = message

    def look(self) -> None:
        """A line on every way arrives, the stream is empty, and what can't be understood was rejected."""
        self.looks += 1
        line = f"look {self.looks}"
        log = {"type": "agent:log", "run_id": self.probe, "data": {"message": f"{line} redis"}}
        self.stream.xadd(INGEST_STREAM, {"m": json.dumps(log)})
        with (self.runs_dir / self.probe / "logs.txt").open("a") as file:
            file.write(f"{line} file\n")
        self.post(f"/runs/{self.probe}/logs", {"message": f"{line} http"})
        wanted = {f"{line} {way}" for way in ("redis", "file", "http")}
        wait_for(lambda: wanted <= self.last_lines(), f"{wanted} to arrive", self.ready)
        wait_for(lambda: self.stream.xlen(INGEST_STREAM) == 0, "the stream to be empty", self.ready)
        self.rejected()
        wait_for(self.is_whole, "nothing to be degraded", self.ready)

    def last_lines(self) -> set[str]:
        page = self.client.get(f"/runs/{self.probe}/logs", params={"tail": 6})
        return {entry["message"] for entry in page.json()["logs"]}

    def is_whole(self) -> bool:
        """Whether `/ready` names no trouble. A busy machine may be late for a moment, which passes."""
        return self.client.get("/ready").json().get("degraded", {}) == {}

    def ready(self) -> str:
        return self.client.get("/ready").text

    def rejected(self) -> None:
        refused = {id for id, raw in self.sent.items() if batch_items.read(raw).refusal is not None}
        page = self.client.get("/admin/ingest/rejects", params={"limit": 1_000}).json()
        assert refused <= {reject["stream_id"] for reject in page["rejects"]}
        self.sent.clear()


@pytest.fixture(scope="module")
def target(
    postgres_url: str,
    template_database: str,
    redis_server_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Target]:
    run_sql(postgres_url, f"CREATE DATABASE runcast_odd TEMPLATE {template_database}")
    data = tmp_path_factory.mktemp("odd")
    url = in_database(postgres_url, "runcast_odd")
    given = {"jwt_secret": SECRET, "tail_poll_ms": 20}
    with (
        redis.Redis.from_url(redis_server_url) as stream,
        worlds.serving(url, redis_server_url, data, with_tailer=True, **given) as world,
        httpx.Client(base_url=world.url, headers=world.admin, timeout=60) as client,
    ):
        made = Target(world, data / "runs", client, stream)
        made.prepare()
        made.look()
        yield made


SECRET = "a secret of at least thirty-two bytes"
RUN = "RUN"
"""Stands for the id of the run that odd messages speak of."""
LINES: dict[str, Any] = {
    "type": "lines", "run_id": RUN, "source": "logs.txt", "generation": 1, "first_line": 1, "first_offset": 0,
    "next_offset": 8, "lines": ["one", "[12:00:00] two"], "at": "2026-01-31T10:00:00Z",
    "flags": {"0": {"cut": {"offset": 0, "length": 90}, "invalid_utf8": True}},
    "file": {"device": 1, "inode": 2, "fingerprint": "x", "offset": 8},
    "closed": {"reason": "status", "lines": 2, "bytes": 8}, "bytes_after_end": 0,
    "entries": [{"level": "info", "ts": "2026-01-31T10:00:00Z", "payload": {"a": 1}}, None],
}  # fmt: skip
PROGRESS: dict[str, Any] = {
    "ts": "2026-01-31T10:00:00Z", "stage": "idea", "message": "m", "percent": 10, "step": 1,
    "total_steps": 3,
}  # fmt: skip
EVENT: dict[str, Any] = {
    "layer": "worker", "operation": "TASK", "reason_code": "OK", "entity_id": "e", "worker_id": "w",
    "occurred_at": "2026-01-31T10:00:00Z", "metadata": {"a": 1},
}  # fmt: skip
ARTIFACT = {"step_name": "s", "artifact_id": str(uuid7()), "content": {"a": 1}, "media_type": "x/y"}
OF_RUN: dict[str, dict[str, Any]] = {
    "agent:log": {"message": "m", "level": "info", "payload": {"a": [1]}, "ts": "2026-01-31T10:00:00Z"},
    "agent:started": {"name": "n", "steps": ["a"], "input": {"a": 1}, "metadata": {}, "labels": {"a": "b"}},
    "run:updated": {"current_step": "idea", "metadata": {"a": 1}, "result": {}, "error": "e"},
    "run:progress": PROGRESS,
    "artifact:created": ARTIFACT,
    "x:own": {"any": {"thing": [1, 2]}},
}  # fmt: skip
GOOD: list[dict[str, Any]] = [
    LINES,
    LINES | {"source": "other.txt"},
    LINES | {"run_id": str(uuid7()), "project": "default", "run": {"name": "made", "steps": ["a"]}},
    LINES | {"key": "by-key", "run_id": None, "project": "default"},
    LINES | {"source": "spool.jsonl", "lines": [json.dumps({"type": "x:y", "data": {}}), "{", ""]},
    LINES | {"source": "events.jsonl", "lines": [json.dumps(PROGRESS), "null"]},
    *[{"type": kind, "run_id": RUN, "id": "once", "data": data} for kind, data in OF_RUN.items()],
    {"type": "worker:status", "data": {"worker_id": "w", "status": "idle", "agent_type": "WORKER"}},
    {"type": "runtime:event", "data": EVENT},
]  # fmt: skip


@some(0.5)
@given(st.lists(odd.encoded(GOOD), min_size=PORTION, max_size=PORTION))
def test_messages_of_workers(target: Target, messages: list[bytes]) -> None:
    for message in messages:
        target.send(message.replace(b'"RUN"', json.dumps(target.run).encode()))
    target.look()


@some(0.2)
@given(
    st.lists(odd.encoded([LINES, *GOOD[4:6], *OF_RUN.values()]), min_size=PORTION, max_size=PORTION)
)
def test_logs_and_changes_over_http(target: Target, bodies: list[bytes]) -> None:
    for number, body in enumerate(bodies):
        path = ("logs", "progress", "artifacts", "heartbeat")[number % 4 if number % 2 else 0]
        answer = target.client.post(f"/runs/{target.run}/{path}", content=body)
        assert answer.status_code < 500, (path, body[:500], answer.text)
    target.look()


STAMP = "2026-01-31T10:00:00+00:00"
FILES: dict[str, Any] = {
    "run.json": {
        "id": "", "key": None, "project": None, "status": "running", "steps": ["a"], "step_timestamps": {},
        "created_at": STAMP, "updated_at": STAMP, "name": "n", "input": {"a": 1}, "metadata": {},
    },
    "status.json": {
        "run_id": "", "status": "failed", "created_at": STAMP, "updated_at": STAMP, "error": "e",
        "events": [{"ts": STAMP, "stage": "s", "message": "m"}], "log": {"lines": 1, "bytes": 4},
    },
    "artifacts/index.json": {"total": 1, "artifacts": [{
        "artifact_id": str(uuid7()), "step_name": "s", "version": 1, "media_type": "text/plain", "size": 1,
        "sha256": "0" * 64, "path": "artifacts/a.txt",
    }]},
}  # fmt: skip
RAW: dict[str, bytes] = {
    "logs.txt": b"one\n[12:00:00] two\n",
    "events.jsonl": json.dumps(PROGRESS).encode() + b"\n",
    "spool.jsonl": b'{"type":"x:y","data":{}}\n{"type":"agent:log","data":{"message":"m"}}\n',
    "output.zip": b"PK",
    "artifacts/a.txt": b"a",
}
ODD_BYTES = [
    b"",
    b"\0",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}\n",
    b"{",
    b"[" * 5_000,
    b"null\n",
    bytes(range(256)),
]
ODD_BYTES += [
    b"x" * 70_000 + b"\n",
    b"\n\n\r\n",
    json.dumps(odd.nested(900, is_list=False)).encode(),
]
Maker = Callable[[Path], None]


def written(name: str, content: bytes) -> Maker:
    def make(directory: Path) -> None:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)

    return make


def made(name: str, kind: str) -> Maker:
    def make(directory: Path) -> None:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        match kind:
            case "directory":
                (directory / name).mkdir()
            case "pipe":
                os.mkfifo(directory / name)
            case "link":
                (directory / name).symlink_to("/etc/hostname")
            case "locked":
                (directory / name).touch(0o000)

    return make


@st.composite
def a_file(draw: st.DrawFn, name: str) -> tuple[Maker, float | None]:
    """How a file is made, and its time if it isn't now."""
    kind = draw(st.integers(0, 7))
    when = draw(st.none() | st.sampled_from([-62_135_596_800.0, 0.0, 4e9, 253_402_300_799.0, 3e11]))
    if kind == 0:
        special = draw(st.sampled_from(["directory", "pipe", "link", "locked"]))
        return made(name, special), None
    if kind == 1:
        return written(name, draw(st.sampled_from(ODD_BYTES))), when
    if name in FILES:
        return written(name, draw(odd.encoded([FILES[name]]))), when
    lines = [json.dumps(line).encode() for line in draw(st.lists(odd.changed(GOOD), max_size=3))]
    return written(name, RAW[name] + b"".join(line + b"\n" for line in lines)), when


@st.composite
def directories(draw: st.DrawFn) -> tuple[str, list[tuple[str, Maker, float | None]], bool]:
    """A directory's name, its files, and whether it is removed in the middle."""
    names = draw(st.lists(st.sampled_from([*FILES, *RAW]), min_size=1, max_size=5, unique=True))
    files = [(name, *draw(a_file(name))) for name in sorted(names)]
    odd_names = st.sampled_from(["odd.json", "..odd", "a b", "😀", "x" * 200, "odd\n"])
    name = draw(st.uuids().map(str) | st.integers(0, 10**9).map(str) | odd_names)
    return name, files, draw(st.integers(0, 3)) == 0


@some(0.15)
@given(st.lists(directories(), min_size=PORTION, max_size=PORTION))
def test_run_directories(target: Target, made_up: list[Any]) -> None:
    found: list[Path] = []
    for name, files, is_removed in made_up:
        directory = target.runs_dir / name
        if directory.exists():
            continue
        directory.mkdir()
        found.append(directory)
        for file, make, when in files:
            if not (directory / file).exists() and not (directory / file).is_symlink():
                make(directory)
                if when is not None:
                    _set_time(directory / file, when)
        if is_removed:
            shutil.rmtree(directory)
    target.look()
    for directory in found:
        shutil.rmtree(directory, ignore_errors=True)
    target.look()


def _set_time(path: Path, when: float) -> None:
    with contextlib.suppress(OSError, OverflowError):  # not every file system holds every time
        os.utime(path, (when, when))


CLAIMS = {
    "sub": "ann",
    "exp": 4_000_000_000,
    "name": "n",
    "email": "a@example.org",
    "role": "admin",
}
CLAIMS |= {"nbf": 1, "iat": 1, "aud": "x", "iss": "y"}


@some(0.1)
@given(st.lists(odd.changed([CLAIMS]), min_size=PORTION, max_size=PORTION))
def test_claims(target: Target, some_claims: list[Any]) -> None:
    head = jwt.utils.base64url_encode(b'{"alg":"HS256","typ":"JWT"}')
    for claims in some_claims:
        signed = head + b"." + jwt.utils.base64url_encode(json.dumps(claims).encode())
        signature = jwt.get_algorithm_by_name("HS256").sign(signed, SECRET.encode())
        token = (signed + b"." + jwt.utils.base64url_encode(signature)).decode()
        if len(token) < 8_000:
            answer = target.client.get("/auth/me", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code in (200, 401), (claims, answer.text)
    target.look()


KEY = {
    "kty": "EC", "crv": "P-256", "kid": "k", "use": "sig", "alg": "ES256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
}  # fmt: skip


@some(1.0)
@given(st.lists(odd.changed([KEY, KEY | {"kty": "RSA", "n": "AQAB", "e": "AQAB"}]), max_size=4))
def test_key_sets(keys: list[Any]) -> None:
    assert "good" in jwts.keys_in({"keys": [*keys, KEY | {"kid": "good"}, *keys]})


CONTROL = [
    {"from": "h", "number": "1", "request": {"kind": "list", "owner": None}},
    {"from": "h", "number": "1", "request": {"kind": "filter", "id": "x", "subscribe_logs": "all"}},
    {"from": "h", "number": "1", "request": {"kind": "end", "id": "x"}},
    {"number": "1", "reply": {"answer": {"connections": []}}},
]


@some(0.05)
@given(st.lists(odd.encoded(CONTROL), min_size=PORTION, max_size=PORTION))
def test_messages_between_hubs(target: Target, messages: list[bytes]) -> None:
    [hub] = [name.decode() for name in target.stream.zrange(REGISTRY, -1, -1)]
    for message in messages:
        target.stream.execute_command("SPUBLISH", control_channel(hub), message)
    assert target.client.get("/connections").status_code == 200
    target.look()
