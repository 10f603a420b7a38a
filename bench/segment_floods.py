"""Parts of `bench.segments`: lines on their way in."""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import UUID

from bench import ingest
from bench.floods import LINE
from bench.ingest import database_url, insert_bare, spread
from bench.latency import new_run
from bench.server import Server, load, server

from runcast_server.eventlog import chains, frames, segments
from runcast_server.eventlog.segments import Lines

SUBSCRIBERS = 5
MESSAGE_LINES = 1_000
PROJECTS = 20
STREAMS = ["/projects/default/events?subscribe_logs=all"]


def flood(is_quick: bool) -> dict[str, float]:
    """A growing file through everything, in one process."""
    with tempfile.TemporaryDirectory() as folder, server(RUNCAST_RUNS_DIR=folder) as one:
        return _flooded(one, Path(folder), 50_000 if is_quick else 3_000_000)


def apart(is_quick: bool) -> dict[str, float]:
    """The same with a tailer of its own."""
    with tempfile.TemporaryDirectory() as folder, server() as one, _tailer(one, Path(folder)):
        return _flooded(one, Path(folder), 50_000 if is_quick else 2_000_000)


def _flooded(one: Server, folder: Path, lines: int) -> dict[str, float]:
    spread(one)
    path = folder / "bench" / "logs.txt"
    path.parent.mkdir()
    with load(one, SUBSCRIBERS, STREAMS) as clients:
        found = ingest.flood(one, clients, path, lines, SUBSCRIBERS)
    bare = max(asyncio.run(insert_bare(one)).values())
    return {
        "ratio": found.rate / bare,
        "lines": found.rate,
        "bare rows": bare,
        "memory": found.memory_mib,
        "disk": found.on_disk,
        "log": found.logged,
        **{name: found.spent[name] for name in ("server", "Postgres", "Valkey")},
    }


@contextlib.contextmanager
def _tailer(one: Server, folder: Path) -> Iterator[None]:
    command = [str(Path(sys.executable).with_name("runcast")), "tailer", "--port", "0"]
    environment = os.environ | {
        "RUNCAST_RUNS_DIR": str(folder),
        "RUNCAST_DATABASE_URL": database_url(one),
        "RUNCAST_REDIS_URL": one.redis_url,
    }
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            time.sleep(3.0)
            yield
        finally:
            process.send_signal(signal.SIGTERM)


def projects(is_quick: bool) -> dict[str, float]:
    """Messages of lines on the ingest stream: of one project, and of twenty in turn."""
    lines = 20_000 if is_quick else 600_000
    with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one:
        spread(one)
        runs = [new_run(one, f"p{number}")[1] for number in range(PROJECTS)]
        _taken(one, runs[:1], lines // 10)
        alone = lines / _taken(one, runs[:1], lines)
        interleaved = lines / _taken(one, runs, lines)
    return {"ratio": interleaved / alone, "alone": alone, "interleaved": interleaved}


def behind(is_quick: bool) -> dict[str, float]:
    """One line of a project behind many of another."""
    with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one:
        spread(one)
        flooding, quiet = new_run(one, "a")[1], new_run(one, "b")[1]
        _taken(one, [flooding], 20_000)
        with one.redis() as redis, one.http() as http:
            _add(redis, [flooding], 20_000 if is_quick else 200_000)
            begin = time.monotonic()
            redis.xadd("runcast:ingest", {"m": _message(quiet, "s", 0, 1)})
            while http.get(f"/runs/{quiet}/logs?tail=1").json()["logs"] == []:
                time.sleep(0.01)
            return {"seconds": time.monotonic() - begin}


def _taken(one: Server, runs: Sequence[UUID], lines: int) -> float:
    """Seconds until lines that are put on the stream at once are committed."""
    with one.redis() as redis:
        begin = time.monotonic()
        _add(redis, runs, lines)
        while redis.xlen("runcast:ingest"):
            time.sleep(0.01)
        return time.monotonic() - begin


def _add(redis: object, runs: Sequence[UUID], lines: int) -> None:
    source = f"s{time.time_ns()}"
    pipeline = redis.pipeline(transaction=False)  # type: ignore[attr-defined]
    for number in range(lines // MESSAGE_LINES):
        place = number // len(runs) * MESSAGE_LINES
        message = _message(runs[number % len(runs)], source, place, MESSAGE_LINES)
        pipeline.xadd("runcast:ingest", {"m": message})
        if number % 100 == 99:
            pipeline.execute()
    pipeline.execute()


def _message(run: UUID, source: str, place: int, lines: int) -> str:
    return json.dumps(
        {
            "type": "lines",
            "run_id": str(run),
            "source": source,
            "generation": 1,
            "first_line": place + 1,
            "first_offset": place * (len(LINE) + 1),
            "lines": [LINE] * lines,
        }
    )


def redis(is_quick: bool) -> dict[str, float]:
    """What a batch of lines takes as frames, by what it takes as it is published. They are of random words,
    so that they compress as logs do and not better."""
    chance = random.Random(3)
    words = [f"{chance.getrandbits(chance.choice((12, 20, 28, 36))):x}" for _ in range(400)]
    record = '"line":"%s","ts":"2026-11-20T14:00:00.000Z","source":"logs.txt","source_line":%d}'
    records = "\n".join(
        record % (" ".join(chance.choices(words, k=14))[:91], number) for number in range(1_000)
    )
    [segment] = segments.of([Lines(UUID(int=1), records.encode(), 1_000, first_line=1)])
    chain = chains.of(1, [segment._replace(first=1)])
    published = len(chains.pack_table(chain)) + len(chains.pack_bodies(chain))
    return {"ratio": len(frames.render(chain).frames) / published, "bytes": published / 1_000}
