"""`kill -9` at every await point of tailer and ingester: each line is stored once all the same."""

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from runcast._support.ids import uuid7
from runcast.contract import SENTINEL
from tests.integration import ingesting
from tests.integration.await_points import Command
from tests.integration.ingesting import Ingest

pytestmark = pytest.mark.anyio

PART = os.environ.get("RUNCAST_TEST_AWAITS", "")
"""`2/4`: the second quarter of all points; `1/1`, as in `make torture`: all of them."""
FEW = 8
"""Points of the seeded part, where no part is named."""
STAMP = "2026-01-31T10:00:00+00:00"
LINES = [f"line {n} of the agent, of some length" for n in range(40)]


@dataclass
class Doomed:
    """Processes that work on runs of their own, one after another, and what they store."""

    ingest: Ingest
    root: Path
    database_url: str
    redis_url: str
    server: asyncio.subprocess.Process

    def write_run(self, key: str) -> None:
        """A plain directory of a run that is over: lines, a progress event, an artifact, a status."""
        directory = self.root / key / key
        (directory / "artifacts").mkdir(parents=True)
        text = "".join(f"{line}\n" for line in [*LINES, SENTINEL, "after the end"])
        (directory / "logs.txt").write_text(text)
        event = {"ts": STAMP, "stage": "spec", "message": "m", "percent": 10}
        (directory / "events.jsonl").write_text(json.dumps(event) + "\n")
        (directory / "artifacts" / "v1.txt").write_text("an outline")
        entry = {
            "artifact_id": str(uuid7()), "step_name": "outline", "version": 1, "size": 10,
            "media_type": "text/plain", "sha256": "0" * 64, "path": "artifacts/v1.txt",
        }  # fmt: skip
        (directory / "artifacts" / "index.json").write_text(
            json.dumps({"total": 1, "artifacts": [entry]})
        )
        status = {"run_id": key, "status": "completed", "created_at": STAMP, "updated_at": STAMP}
        (directory / "status.json").write_text(json.dumps(status | {"events": [event]}))

    async def work(self, key: str, deadly: str | None = None, occurrence: int = 1) -> Any:
        root = str(self.root / key)
        command = Command(self.database_url, self.redis_url, root, key, deadly, occurrence)
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(asdict(command)).encode() + b"\n")
        return json.loads(await asyncio.wait_for(self.server.stdout.readline(), 60))

    async def check(self, key: str, project_id: Any) -> None:
        """Everything of the run is there once: its lines up to the sentinel, its events, its end."""
        [[run_id]] = await self.ingest.rows("SELECT id FROM runs WHERE key = $1", key)
        assert await self.ingest.lines(run_id) == [*LINES, SENTINEL]
        kinds = [event.type for event in await self.ingest.of_run(run_id)]
        once = ["agent:completed", "artifact:created", "log:closed", "run:created", "run:progress"]
        counted = {kind: kinds.count(kind) for kind in once}
        # The progress file's source is closed too, if its quiet second was over.
        assert counted.pop("log:closed") in (1, 2)
        assert set(counted.values()) == {1}, counted
        await self.ingest.events(project_id)


@pytest.fixture
async def doomed(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Doomed]:
    async with ingesting.opened(database_url, redis_url) as ingest:
        server = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.await_points",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**22,
        )
        try:
            yield Doomed(ingest, tmp_path, database_url, redis_url, server)
        finally:
            server.kill()
            await server.wait()


@pytest.mark.timeout(1_800 if PART else 120)
async def test_killed_at_await_points_nothing_is_lost_or_doubled(doomed: Doomed) -> None:
    project_id = await doomed.ingest.project("default")
    doomed.write_run("alive")
    met: dict[str, int] = (await doomed.work("alive"))["met"]
    await doomed.check("alive", project_id)
    dice = random.Random(4)
    points = sorted(met)
    assert len(points) > 60, points
    killed = 0
    chosen = part_of(points) if PART else dice.sample(points, FEW)
    for number, point in enumerate(chosen):
        key = f"run-{number}"
        doomed.write_run(key)
        ended = (await doomed.work(key, point, dice.randint(1, min(met[point], 3))))["ended"]
        killed += ended == -9
        if ended:
            assert ended == -9
            assert (await doomed.work(key))["ended"] == 0, point
        await doomed.check(key, project_id)
    # A point that is met by chance only (a retry) may not come again.
    assert killed >= 0.7 * len(chosen), (killed, len(chosen), len(points))


def part_of(points: list[str]) -> list[str]:
    which, parts = map(int, PART.split("/"))
    return points[which - 1 :: parts]
