"""Ingest, end to end: a growing file, through tailer, Redis, ingester and Postgres, to open streams.

    python -m bench.ingest [--lines 1000000] [--subscribers 5]

Lines a second from the first byte written to the last row committed and the last frame received, with
everything on this machine's processors; the delay from write to frame at 1,000 lines a second; memory of
the server's process as it goes; what a line takes on disk and in the write-ahead log; and as the yardstick
the same lines as bare rows, one a line, in a table with three indexes, by COPY and by unnest.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import asyncpg
from bench.server import Load, Server, load, machine, server

LINE = b"%09d the agent reads one file after another and says what it finds in each of them, at length\n"
CHUNK_LINES = 10_000
AHEAD_BYTES = 64 * 1024 * 1024
BARE_ROWS = 200_000
ROWS_PER_TRANSACTION = 1_000
DELAY_SECONDS = 10.0
DELAY_PER_SECOND = 1_000

_INSERT = """
INSERT INTO bare_rows (project_id, seq, at, type, run_id, line_number, data)
SELECT $1, n, $2, 'agent:log', $3, n, d::json FROM unnest($4::bigint[], $5::text[]) AS e (n, d)
"""
_BARE_TABLE = """
CREATE TABLE bare_rows (
    project_id uuid NOT NULL, seq bigint NOT NULL, at timestamptz NOT NULL, type text NOT NULL, run_id uuid,
    line_number bigint, data json NOT NULL, PRIMARY KEY (project_id, seq, at)
);
CREATE INDEX ON bare_rows (project_id, seq) WHERE line_number IS NULL;
CREATE INDEX ON bare_rows (run_id, seq) WHERE line_number IS NULL AND run_id IS NOT NULL;
CREATE INDEX ON bare_rows (run_id, line_number) WHERE line_number IS NOT NULL;
"""
_TAKEN = """
SELECT (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'segments'::regclass),
       pg_current_wal_lsn() - '0/0'::pg_lsn
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--subscribers", type=int, default=5)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder, server(RUNCAST_RUNS_DIR=folder) as one:
        spread(one)
        path = Path(folder) / "bench" / "logs.txt"
        path.parent.mkdir()
        streams = ["/projects/default/events?subscribe_logs=all"]
        with load(one, options.subscribers, streams) as clients:
            rate = flood(one, clients, path, options.lines, options.subscribers).rate
        print(delay(one, path))
        bare = asyncio.run(insert_bare(one))
        for way, rows in bare.items():
            print(f"bare    {rows:10,.0f} rows/s by {way}")
        print(f"ingest  {rate / max(bare.values()):10.0%} of the faster of them")


def spread(one: Server) -> None:
    """Takes the pinning back: who runs where is the machine's business here."""
    everywhere = set(range(os.cpu_count() or 1))
    os.sched_setaffinity(0, everywhere)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                for task in (entry / "task").iterdir():
                    os.sched_setaffinity(int(task.name), everywhere)


class Flood(NamedTuple):
    """Lines a second; processor time a line by process, in microseconds; bytes a line on disk and in the
    log; the most memory of the server."""

    rate: float
    spent: dict[str, float]
    on_disk: float
    logged: float
    memory_mib: float


def flood(one: Server, clients: Load, path: Path, lines: int, subscribers: int) -> Flood:
    """Writes lines as fast as they are taken, and prints what that took."""
    frames, cpu, taken = clients.frames, cpu_seconds(one), asyncio.run(disk_and_log(one))
    memory: list[int] = []
    begin = time.monotonic()
    writer = threading.Thread(target=write, args=(path, lines, clients, frames, subscribers))
    writer.start()
    while clients.frames < frames + lines * subscribers:
        memory.append(one.resident_bytes())
        time.sleep(0.2)
        if time.monotonic() - begin > 600:
            raise SystemExit(f"stuck at {clients.frames - frames} frames")
    seconds = time.monotonic() - begin
    writer.join()
    rate = lines / seconds
    print(
        f"ingest  {rate:10,.0f} lines/s of {len(LINE % 0)} bytes to {subscribers} streams "
        f"({lines:,} lines)"
    )
    spent = {name: (now - cpu[name]) / lines * 1e6 for name, now in cpu_seconds(one).items()}
    parts = ", ".join(f"{used:.2f} {name}" for name, used in spent.items())
    print(f"cpu     {sum(spent.values()):10.2f} us a line: {parts}")
    now = asyncio.run(disk_and_log(one))
    on_disk, logged = ((after - before) / lines for after, before in zip(now, taken, strict=True))
    print(f"stored  {on_disk:10.1f} bytes a line on disk, {logged:.1f} of write-ahead log")
    quarter = max(len(memory) // 4, 1)
    print(
        f"memory  {statistics.mean(memory[:quarter]) / 2**20:10.0f} MiB in the first quarter, "
        f"{statistics.mean(memory[-quarter:]) / 2**20:.0f} MiB in the last, {max(memory) / 2**20:.0f} at most"
    )
    return Flood(rate, spent, on_disk, logged, max(memory) / 2**20)


async def disk_and_log(one: Server) -> tuple[float, float]:
    """Bytes that segments take on disk, with indexes and TOAST, and that the log was written so far."""
    connection = await asyncpg.connect(database_url(one))
    try:
        row = await connection.fetchrow(_TAKEN)
        assert row is not None
        return float(row[0]), float(row[1])
    finally:
        await connection.close()


def cpu_seconds(one: Server) -> dict[str, float]:
    """Processor time so far of the server's own process, of its Postgres and Valkey, and of the load client
    and this process, which write and receive."""
    spent = {"server": 0.0, "Postgres": 0.0, "Valkey": 0.0, "bench": 0.0}
    postmaster = int((home(one) / "postgres/postmaster.pid").read_text().split()[0])
    valkey = int((home(one) / "valkey/pid").read_text())
    owners = {one.pid: "server", postmaster: "Postgres", valkey: "Valkey", os.getpid(): "bench"}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                parent = int(fields[1])
                owner = owners.get(int(entry.name))
                if owner is None and parent in (postmaster, os.getpid()):
                    owner = owners[parent]
                if owner is not None:
                    spent[owner] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return spent


def home(one: Server) -> Path:
    """Where a server keeps its data."""
    return Path(os.readlink(f"/proc/{one.pid}/cwd")) / ".runcast"


def write(path: Path, lines: int, clients: Load, frames: int, subscribers: int) -> None:
    """Appends the lines, never further ahead of the streams than some megabytes."""
    size = len(LINE % 0)
    with path.open("ab", buffering=0) as file:
        for first in range(0, lines, CHUNK_LINES):
            received = (clients.frames - frames) // subscribers
            while (first - received) * size > AHEAD_BYTES:
                time.sleep(0.05)
                received = (clients.frames - frames) // subscribers
            last = min(first + CHUNK_LINES, lines)
            file.write(b"".join([LINE % number for number in range(first, last)]))


def delay(one: Server, path: Path) -> str:
    """From the write of a line to its frame, at a steady trickle."""
    delays: list[float] = []
    total = int(DELAY_SECONDS * DELAY_PER_SECOND)

    def read() -> None:
        url = "/projects/default/events?subscribe_logs=all"
        with one.http() as http, http.stream("GET", url, timeout=30) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: ") and '"line":"at ' in line:
                    written = float(json.loads(line[6:])["line"].split(" ")[1])
                    delays.append(time.time() - written)
                    if len(delays) >= total:
                        return

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(1.0)
    begin = time.monotonic()
    with path.open("ab", buffering=0) as file:
        for number in range(total):
            time.sleep(max(0.0, begin + number / DELAY_PER_SECOND - time.monotonic()))
            file.write(b"at %.6f %s\n" % (time.time(), b"x" * 70))
    reader.join(30)
    ordered = sorted(delays)
    p50, p99 = (ordered[int(len(ordered) * share)] * 1e3 for share in (0.5, 0.99))
    return (
        f"delay   {p50:10.0f} ms median, {p99:.0f} ms p99 from write to frame "
        f"at {DELAY_PER_SECOND:,} lines/s"
    )


def database_url(one: Server) -> str:
    """The embedded Postgres of a server, by its socket's directory (`postmaster.pid`, line 5)."""
    sockets = (home(one) / "postgres/postmaster.pid").read_text().splitlines()[4]
    return f"postgresql://postgres@/runcast?host={sockets}"


async def insert_bare(one: Server) -> dict[str, float]:
    """Rows a second of the same size into a table of rows, one connection, nothing else: each statement
    commits by itself."""
    connection = await asyncpg.connect(database_url(one))
    run_id, project_id = UUID(int=1), UUID(int=2)
    text = LINE[:-1].decode() % 0
    data = (
        '{"run_id":"%s","line_number":%d,"line":"%s","ts":"2026-11-20T14:00:00.000Z",'
        '"source":"logs.txt","source_line":%d}'
    )
    at = datetime.now(UTC)
    rates: dict[str, float] = {}
    try:
        await connection.execute(_BARE_TABLE)
        for way in ("COPY", "unnest"):
            seconds = 0.0
            for first in range(0, BARE_ROWS, ROWS_PER_TRANSACTION):
                numbers = [
                    first + n + (way == "COPY") * BARE_ROWS for n in range(ROWS_PER_TRANSACTION)
                ]
                datas = [data % (run_id, number, text, number) for number in numbers]
                begin = time.monotonic()
                if way == "COPY":
                    await connection.copy_records_to_table(
                        "bare_rows",
                        records=[
                            (project_id, n, at, "agent:log", run_id, n, d)
                            for n, d in zip(numbers, datas, strict=True)
                        ],
                    )
                else:
                    await connection.execute(_INSERT, project_id, at, run_id, numbers, datas)
                seconds += time.monotonic() - begin
            rates[way] = BARE_ROWS / seconds
    finally:
        await connection.close()
    return rates


if __name__ == "__main__":
    main()
