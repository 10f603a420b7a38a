"""The API: how long a log line takes to be stored, how many a core takes, how fast a log is read back.

    python -m bench.latency [--seconds 10] [--lines 1000000]

Single lines by POST at 500/s over 16 connections: alone, beside bulk ingest of another project, and beside
bulk ingest of another run of the same one; each is timed from when it was due. Then as many as 64 clients
get through, NDJSON bodies, and a log of a million lines read back. The client is a loop in C
(`bench/poster.c`) on the second processor, beside Postgres and Valkey; the server has the first, and in
bulk ingest both share both.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from bench import floods
from bench.floods import LINE
from bench.ingest import database_url, spread
from bench.resume import stores_cpu_seconds
from bench.seed_data import Filled, lengthen
from bench.server import Server, compiled, machine, server

PER_SECOND = 500
CLIENTS_AT_RATE = 16
CLIENTS = 64
NDJSON_LINES = 300_000
BARE_COMMITS = 1_000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--lines", type=int, default=1_000_000)
    options = parser.parse_args()
    print(machine())
    with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one:
        run, other, beside = (new_run(one, slug) for slug in ("bench", "other", "bench"))
        posts(one, run, 0, 1.0)
        print(asyncio.run(bare_commits(database_url(one))), flush=True)
        show_latency(one, "alone", run, options.seconds, 10)
        spread(one)
        with bulk(one, other[1]) as taken:
            show_latency(one, "beside bulk ingest of another project", run, options.seconds, 40)
        print(f"            meanwhile {taken()}")
        with bulk(one, beside[1]) as taken:
            show_latency(one, "beside bulk ingest of its own project", run, options.seconds, 40)
        print(f"            meanwhile {taken()}")
    with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one:
        run, long = (new_run(one, slug) for slug in ("bench", "long"))
        posts(one, run, 0, 1.0)
        show_rate(one, run, options.seconds)
        print(ndjson(one, run), flush=True)
        asyncio.run(lengthen(database_url(one), Filled(*long, 0), options.lines))
        print(read_back(one, long[1], options.lines, "application/x-ndjson", 300_000), flush=True)
        print(read_back(one, long[1], options.lines, "text/plain", 300_000), flush=True)


def new_run(one: Server, slug: str) -> tuple[UUID, UUID]:
    """A run of this project, which is made where it isn't there: the ids of both."""
    with one.http() as http:
        if http.get(f"/projects/{slug}").status_code == 404:
            http.post("/projects", json={"name": slug, "slug": slug}).raise_for_status()
        made = http.post(f"/projects/{slug}/runs", json={"status": "running"}).raise_for_status()
        return UUID(made.json()["project_id"]), UUID(made.json()["id"])


def posts(
    one: Server, run: tuple[UUID, UUID], rate: float, seconds: float, clients: int = CLIENTS
) -> dict[str, Any]:
    """Single log lines by POST: what `poster` reports."""
    command = [compiled(Path(__file__).with_name("poster.c")), "127.0.0.1", str(one.port)]
    command += [str(clients), str(rate), str(seconds)]
    body = json.dumps({"message": LINE}).encode()
    done = subprocess.run(
        command, input=request(one, f"/runs/{run[1]}/logs", body), capture_output=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["refused"] == 0, done.stderr
    return found


def request(one: Server, path: str, body: bytes, kind: str = "application/json") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {one.token}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def bare_commits(url: str) -> str:
    """What the disk allows: a row changed and committed at the same pace, one connection, nothing else. A
    line waits for the commit that is under way, and then for its own."""
    connection = await asyncpg.connect(url)
    taken: list[float] = []
    try:
        await connection.execute("CREATE TABLE bench_commit (n bigint)")
        await connection.execute("INSERT INTO bench_commit VALUES (0)")
        for _ in range(BARE_COMMITS):
            begin = time.perf_counter()
            await connection.execute("UPDATE bench_commit SET n = n + 1")
            taken.append((time.perf_counter() - begin) * 1e3)
            await asyncio.sleep(max(0.0, 1 / PER_SECOND - taken[-1] / 1e3))
    finally:
        await connection.close()
    taken.sort()
    return (
        f"a bare commit of one row: p50 {taken[len(taken) // 2]:.1f} ms, "
        f"p99 {taken[int(len(taken) * 0.99)]:.1f} ms, most {taken[-1]:.0f} ms"
    )


def verdict(met: bool) -> str:
    return "met" if met else "NOT MET"


def show_latency(
    one: Server, where: str, run: tuple[UUID, UUID], seconds: float, mark_ms: float
) -> None:
    found = posts(one, run, PER_SECOND, seconds, CLIENTS_AT_RATE)
    p50, p99, p999, most = found["latency_ms"]
    print(
        f"POST a line {PER_SECOND}/s, {where}: p50 {p50:.1f} ms, p99 {p99:.1f} ms, p99.9 {p999:.1f} ms, "
        f"most {most:.0f} ms; mark p99 ≤ {mark_ms:.0f} ms: {verdict(p99 <= mark_ms)}",
        flush=True,
    )


def show_rate(one: Server, run: tuple[UUID, UUID], seconds: float) -> None:
    cpu, stores = one.cpu_seconds(), stores_cpu_seconds(one)
    found = posts(one, run, 0, seconds)
    number = found["requests"]
    rate = number / found["seconds"]
    cpu = one.cpu_seconds() - cpu
    stores = stores_cpu_seconds(one) - stores
    print(
        f"POST a line as fast as {CLIENTS} clients go: {rate:,.0f}/s, {cpu / number * 1e6:.0f} µs of the "
        f"server's processor each ({number / cpu:,.0f}/s per core), {stores / number * 1e6:.0f} µs of the "
        f"stores', p99 {found['latency_ms'][1]:.0f} ms; mark ≥ 2,500/s per core: "
        f"{verdict(number / cpu >= 2_500)}",
        flush=True,
    )


def ndjson(one: Server, run: tuple[UUID, UUID]) -> str:
    """One long body."""
    body = (json.dumps({"message": LINE}) + "\n").encode() * NDJSON_LINES
    with socket.create_connection(("127.0.0.1", one.port)) as connection:
        cpu, begin = one.cpu_seconds(), time.monotonic()
        connection.sendall(request(one, f"/runs/{run[1]}/logs", body, "application/x-ndjson"))
        answer = connection.recv(65536)
        seconds = time.monotonic() - begin
    assert answer.startswith(b"HTTP/1.1 201"), answer
    rate = NDJSON_LINES / seconds
    return (
        f"NDJSON, one body of {NDJSON_LINES:,} lines: {rate:,.0f} lines/s, "
        f"{(one.cpu_seconds() - cpu) / NDJSON_LINES * 1e6:.1f} µs of the server's processor a line; "
        f"mark ≥ 60,000: {verdict(rate >= 60_000)}"
    )


class ReadBack(NamedTuple):
    """How long reading all of a log took, the server's processor time, and by how many bytes its memory
    grew."""

    seconds: float
    cpu: float
    grown: int


def read_back(one: Server, run_id: UUID, lines: int, kind: str, mark: float) -> str:
    """All of a log: lines a second, and by how much the server's memory grew meanwhile."""
    found = read_seconds(one, run_id, lines, kind)
    return (
        f"read back {lines:,} lines as {kind}: {lines / found.seconds:,.0f} lines/s, "
        f"{found.cpu / lines * 1e6:.1f} µs of the server's processor a line, memory "
        f"+{found.grown / 2**20:.0f} MiB; mark ≥ {mark:,.0f}: {verdict(lines / found.seconds >= mark)}"
    )


def read_seconds(one: Server, run_id: UUID, lines: int, kind: str) -> ReadBack:
    """Reads all of a log."""
    asked = (
        f"GET /runs/{run_id}/logs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {one.token}\r\n"
        f"Accept: {kind}\r\nConnection: close\r\n\r\n"
    ).encode()
    before, most, found = one.resident_bytes(), 0, 0
    with socket.create_connection(("127.0.0.1", one.port)) as connection:
        cpu, begin = one.cpu_seconds(), time.monotonic()
        connection.sendall(asked)
        head = connection.recv(65536)
        assert head.startswith(b"HTTP/1.1 200"), head
        kept = head.partition(b"\r\n\r\n")[2]
        reads = 0
        while True:
            found += kept.count(b"finds in each")
            kept = connection.recv(1 << 20)
            if not kept:
                break
            reads += 1
            if reads % 100 == 0:
                most = max(most, one.resident_bytes())
        seconds = time.monotonic() - begin
    assert found >= lines * 0.999, (found, lines)
    return ReadBack(seconds, one.cpu_seconds() - cpu, max(0, most - before))


@contextlib.contextmanager
def bulk(one: Server, run_id: UUID) -> Iterator[Any]:
    """Lines on the ingest stream, always some waiting, while the block lasts. Yields what tells afterwards
    how many a second were taken."""
    with floods.running("lines", one.redis_url, run_id) as told:
        yield told


if __name__ == "__main__":
    main()
