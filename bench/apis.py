"""Ingest by one API process and by two on one machine: two cost nothing, and each leads half of the streams.

    python -m bench.apis [--lines 400000] [--repeats 3]

One API leads all streams, or two half of them each; then the streams are filled faster than they are read,
and the rate is that from the first message to the last line that Postgres counts. Messages hold 100 lines;
the runs of two projects lie in all four streams. Everything shares this machine's processors.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import asyncpg
import httpx
from bench.server import machine
from tests.torture.cluster import Cluster
from tests.torture.faults import metric
from tests.torture.programs import wait
from tests.waiting import until

from runcast import contract

STREAMS = 4
EACH = 100
START_SECONDS = 120.0
LINE = "the agent reads one file after another and says what it finds in each of them, at length"
LED = 2 * STREAMS + 2
"""Streams that are always led: workers' and the tailer's, and one of each for everybody else."""


def make_runs(cluster: Cluster) -> list[str]:
    """Two runs for each stream, of two projects."""
    of_stream: dict[str, list[str]] = {}
    headers = {"Authorization": f"Bearer {cluster.token}"}
    with httpx.Client(headers=headers, base_url=cluster.apis[0].url, timeout=20) as http:
        for slug in ("one", "other"):
            http.post("/projects", json={"name": slug, "slug": slug}).raise_for_status()
        number = 0
        while len(of_stream) < STREAMS or any(len(runs) < 2 for runs in of_stream.values()):
            slug = ("one", "other")[number % 2]
            run = http.post(f"/projects/{slug}/runs", json={}).raise_for_status().json()["id"]
            of_stream.setdefault(contract.ingest_stream(run, STREAMS), []).append(run)
            number += 1
    return [run for runs in of_stream.values() for run in runs[:2]]


def fill(cluster: Cluster, runs: list[str], begin: int, lines: int) -> None:
    """Messages that take each run's source from line `begin` on."""
    width = len(LINE) + 1
    with cluster.redis.primary.client(60.0) as client:
        pipeline = client.pipeline(transaction=False)
        for first in range(begin, begin + lines // len(runs), EACH):
            for run in runs:
                message = {
                    "type": "lines",
                    "run_id": run,
                    "source": "bench",
                    "first_line": first + 1,
                    "first_offset": first * width,
                    "next_offset": (first + EACH) * width,
                    "lines": [LINE] * EACH,
                }
                pipeline.xadd(contract.ingest_stream(run, STREAMS), {"m": json.dumps(message)})
            if len(pipeline) >= 500:
                pipeline.execute()
        pipeline.execute()


async def are_stored(connection: asyncpg.Connection, lines: int) -> bool:
    return bool(await connection.fetchval("SELECT sum(last_line_number) >= $1 FROM runs", lines))


async def shared(cluster: Cluster, apis: int) -> list[float]:
    """Waits until the streams are shared out; how many each leads."""
    running = cluster.apis[:apis]
    async with asyncio.timeout(START_SECONDS):
        while True:
            led = [await metric(cluster, each, "runcast_ingest_leading") or 0.0 for each in running]
            if sum(led) == LED and max(led) - min(led) <= 1:
                return led
            await asyncio.sleep(0.1)


async def drained(
    cluster: Cluster, runs: list[str], begin: int, lines: int, apis: int
) -> tuple[float, list[float]]:
    """Lines a second, with this many APIs; and how many streams each of them leads."""
    for each in cluster.apis[:apis]:
        each.start()
    led = await shared(cluster, apis)
    connection = await cluster.connect()
    try:
        filling = asyncio.create_task(
            asyncio.to_thread(fill, cluster, runs, begin // len(runs), lines)
        )
        began = time.monotonic()
        await until(lambda: are_stored(connection, begin + lines), "all lines", seconds=600)
        seconds = time.monotonic() - began
        await filling
    finally:
        await connection.close()
    return lines / seconds, led


def measure(cluster: Cluster, lines: int, repeats: int) -> None:
    runs = make_runs(cluster)
    rates: dict[int, list[float]] = {1: [], 2: []}
    for number in range(2 * repeats):
        apis = number % 2 + 1
        for each in cluster.apis:
            each.end()
        rate, led = asyncio.run(drained(cluster, runs, number * lines, lines, apis))
        rates[apis].append(rate)
        print(f"{apis} API: {rate:8,.0f} lines/s, streams led {led}", flush=True)
    one, two = (statistics.median(rates[apis]) for apis in (1, 2))
    print(f"two of one: {two / one:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=400_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(machine())
    root = Path(tempfile.mkdtemp(prefix="runcast-apis-"))
    cluster = Cluster(root, apis=2, hubs=0, tailers=0)
    try:
        cluster.start(RUNCAST_INGEST_STREAMS=str(STREAMS))
        for each in cluster.apis:
            wait(each.listens, f"{each.name} takes connections")
        measure(cluster, options.lines // 800 * 800, options.repeats)
    finally:
        cluster.stop()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
