"""What one file, run directory or manifest makes the tailer raise costs that one alone."""

import json
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from runcast._support.ids import uuid7
from runcast_tailer import encoder
from runcast_tailer.file_reader import Follower
from runcast_tailer.options import TailerOptions
from tests.integration import ingesting
from tests.integration.test_tailer import Tailing

pytestmark = pytest.mark.anyio

STAMP = "2026-01-31T10:00:00+00:00"
RUN = {
    "id": "", "key": None, "project": None, "status": "running", "steps": [], "step_timestamps": {},
    "created_at": STAMP, "updated_at": STAMP,
}  # fmt: skip
STATUS = {
    "run_id": "", "status": "completed", "created_at": STAMP, "updated_at": STAMP, "events": []
}  # fmt: skip
ENTRY = {
    "artifact_id": "", "step_name": "s", "version": 1, "media_type": "text/plain", "size": 1,
    "sha256": "0" * 64, "path": "artifacts/good.txt",
}  # fmt: skip


@pytest.fixture
async def tailing(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Tailing]:
    runs_dir = tmp_path / "runs"
    async with ingesting.opened(database_url, redis_url) as ingest, ingest.running():
        options = TailerOptions(runs_dir, (runs_dir,), "default", poll_seconds=0.02)
        yield Tailing(ingest, runs_dir, await ingest.project("default"), options)


def write(name: str, content: Any) -> Callable[[Path], None]:
    def make(directory: Path) -> None:
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())

    return make


def folder(name: str) -> Callable[[Path], None]:
    return lambda directory: (directory / name).mkdir(parents=True)


def pipe(name: str) -> Callable[[Path], None]:
    def make(directory: Path) -> None:
        (directory / name).parent.mkdir(exist_ok=True)
        os.mkfifo(directory / name)

    return make


def manifest(*entries: Any) -> Callable[[Path], None]:
    def make(directory: Path) -> None:
        index = {"total": len(entries), "artifacts": list(entries)}
        write("artifacts/index.json", index)(directory)
        write("artifacts/good.txt", b"x")(directory)

    return make


def artifact(**more: Any) -> dict[str, Any]:
    return ENTRY | {"artifact_id": str(uuid7())} | more


ODD: dict[str, Callable[[Path], None]] = {
    "a-bad-key": write("run.json", RUN | {"key": "a\0b"}),
    "a-project-with-nul": write("run.json", RUN | {"project": "a\0b"}),
    "a-long-project": write("run.json", RUN | {"project": "x" * 100_000}),
    "a-run-that-is-a-pipe": pipe("run.json"),
    "a-status-that-is-a-pipe": pipe("status.json"),
    "a-manifest-that-is-a-pipe": pipe("artifacts/index.json"),
    "a-run-that-is-a-folder": folder("run.json"),
    "a-status-that-is-a-folder": folder("status.json"),
    "a-manifest-that-is-a-folder": folder("artifacts/index.json"),
    "a-log-that-is-a-folder": folder("logs.txt"),
    "a-log-that-is-a-pipe": pipe("logs.txt"),
    "a-size-below-zero": write("status.json", STATUS | {"log": {"lines": -1, "bytes": 2**70}}),
    "a-path-with-nul": manifest(artifact(path="artifacts/a\0b")),
    "a-path-that-is-long": manifest(artifact(path="x" * 5_000)),
    "an-id-that-is-none": manifest(artifact(artifact_id="\0")),
}


def is_left_alone(name: str) -> bool:
    """Whether it can't be known whose run it is, or its log is none."""
    return any(part in name for part in ("bad-key", "project", "log-that"))


async def test_an_odd_directory_costs_itself_alone(tailing: Tailing) -> None:
    for name, make in ODD.items():
        (tailing.runs_dir / name).mkdir(parents=True)
        make(tailing.runs_dir / name)
    async with tailing.tailer():
        await tailing.looked()
        for name in ODD:
            if not is_left_alone(name):
                tailing.write("logs.txt", f"{name}\n", run=name)
        await tailing.looked()
        for name in ODD:
            if not is_left_alone(name):
                await tailing.has_lines([name], name)
    assert await tailing.ingest.rejects() == []


async def test_an_entry_of_a_manifest_costs_itself_alone(tailing: Tailing) -> None:
    tailing.write("logs.txt", "line\n")
    manifest(artifact(path="artifacts/a\0b"), artifact(size="big"), artifact(sha256="none"))(
        tailing.runs_dir / "my-run"
    )
    async with tailing.tailer():
        stored = await tailing.until_event("artifact:created")
    assert stored["step_name"] == "s"


async def test_a_file_that_fails_keeps_its_place_and_delays_no_other(
    tailing: Tailing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails while it is read, and after it was read; as soon as it doesn't, all of it arrives."""
    step, local_time = Follower.step, encoder._local_time
    failing = {"read", "sent"}

    def stumbles(follower: Follower, budget: int, *, settled: bool) -> Any:
        if "read" in failing and follower.path.parent.name == "read":
            raise ValueError("of our own")
        return step(follower, budget, settled=settled)

    def stumbles_late(seconds: float) -> str | None:
        if "sent" in failing and seconds == 1_000_000.0:
            raise ValueError("of our own")
        return local_time(seconds)

    monkeypatch.setattr(Follower, "step", stumbles)
    monkeypatch.setattr(encoder, "_local_time", stumbles_late)
    names = ["read", "sent", *[f"good-{number}" for number in range(6)]]
    for name in names:
        path = tailing.write("logs.txt", "one\n", run=name)
        os.utime(path, (1_000_000, 1_000_000))
        if name.startswith("good"):
            os.utime(path)
    async with tailing.tailer():
        await tailing.looked()
        for name in names[2:]:
            tailing.write("logs.txt", "two\n", run=name)
        for name in names[2:]:
            await tailing.has_lines(["one", "two"], name)
        assert await tailing.lines("read") == []
        failing.clear()
        for name in ("read", "sent"):
            await tailing.has_lines(["one"], name)


async def test_a_file_of_a_time_beyond_the_calendar_is_followed(tailing: Tailing) -> None:
    assert encoder._local_time(300_000_000_000.0) is None
    path = tailing.write("logs.txt", "[12:00:00] one\n")
    os.utime(path, (4_000_000_000, 4_000_000_000))
    async with tailing.tailer():
        await tailing.has_lines(["[12:00:00] one"])
