"""Parts of `bench.segments`: lines read back, single ones, storms."""

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from uuid import UUID

import asyncpg
from bench import latency, trickle
from bench.ingest import database_url, spread
from bench.latency import bulk, new_run
from bench.resume import fill
from bench.resume import storm as resume_storm
from bench.seed_data import Filled, lengthen
from bench.server import Server, server

COMMITS = 2_000
RARE = "000499999 the agent"


def posts(is_quick: bool) -> dict[str, float]:
    """Lone POSTs of a line, one after another, and 500 a second beside bulk ingest."""
    seconds = 2.0 if is_quick else 15.0
    with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one:
        run, other, beside = (new_run(one, slug) for slug in ("bench", "other", "bench"))
        latency.posts(one, run, 0, 1.0)
        bare = asyncio.run(_bare_commits(database_url(one)))
        lone = latency.posts(one, run, 0, seconds, clients=1)
        rate = lone["requests"] / lone["seconds"]
        spread(one)
        p99: dict[str, float] = {}
        for name, flooding in (("other", other[1]), ("own", beside[1])):
            with bulk(one, flooding) as taken:
                found = latency.posts(
                    one, run, latency.PER_SECOND, seconds, latency.CLIENTS_AT_RATE
                )
            p99[name] = found["latency_ms"][1]
            print(f"   beside {name}: {taken()}", flush=True)
    return {"per_second": rate / bare, "lone": rate, "bare": bare, **p99}


async def _bare_commits(url: str) -> float:
    """A row changed and committed, one after another: this many a second."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE bench_lone (n bigint)")
        await connection.execute("INSERT INTO bench_lone VALUES (0)")
        begin = time.perf_counter()
        for _ in range(COMMITS):
            await connection.execute("UPDATE bench_lone SET n = n + 1")
        return COMMITS / (time.perf_counter() - begin)
    finally:
        await connection.close()


def reading(is_quick: bool) -> dict[str, float]:
    """A log of a million lines: whole, searched, opened in its middle."""
    lines = 500_001 if is_quick else 1_000_000
    with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one:
        long = new_run(one, "long")
        asyncio.run(lengthen(database_url(one), Filled(*long, 0), lines))
        whole = {
            name: statistics.median(
                lines / latency.read_seconds(one, long[1], lines, kind).seconds for _ in range(3)
            )
            for name, kind in (("text", "text/plain"), ("ndjson", "application/x-ndjson"))
        }
        first, searched = _searched(one, long[1])
        opening = statistics.median(_opened(one, long[1]) for _ in range(15))
    return {**whole, "first": first * 1e3, "search": searched, "opening": opening * 1e3}


def _searched(one: Server, run: UUID) -> tuple[float, float]:
    """Seconds to the first match of a text that one line has, and until all lines were looked at."""
    with one.http() as http:
        begin, first, found = time.monotonic(), 0.0, 0
        with http.stream("GET", f"/runs/{run}/logs/search", params={"q": RARE}) as answer:
            for line in answer.iter_lines():
                if "message" in json.loads(line):
                    found += 1
                    first = first or time.monotonic() - begin
        assert found == 1
        return first, time.monotonic() - begin


def _opened(one: Server, run: UUID) -> float:
    with one.http() as http:
        http.get("/health")
        begin = time.monotonic()
        page = http.get(f"/runs/{run}/logs", params={"after_line": 499_999, "limit": 200})
        assert page.json()["logs"][0]["line_number"] == 500_000
        return time.monotonic() - begin


def storm(is_quick: bool) -> dict[str, float]:
    """Many clients resume from the same place."""
    clients, missed = (500, 200) if is_quick else (10_000, 1_000)
    with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one:
        fill(one, ["p0"], missed)
        path = "/projects/p0/events?subscribe_logs=all&last_event_id=1"
        seconds, spent = resume_storm(one, clients, [path], missed)
    print(f"   {spent}", flush=True)
    return {"seconds": seconds}


def files(is_quick: bool) -> dict[str, float]:
    """A file that trickles beside one that floods."""
    with tempfile.TemporaryDirectory() as folder, server(RUNCAST_RUNS_DIR=folder) as one:
        spread(one)
        told = trickle.trickle(one, Path(folder), 3.0 if is_quick else 20.0)
    print(f"   {told}", flush=True)
    words = told.split()
    return {
        "p50": float(words[words.index("median,") - 2].replace(",", "")),
        "p99": float(words[words.index("p99,") - 2].replace(",", "")),
    }
