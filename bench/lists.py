"""Half a million runs in thirty projects: what a page of them, a filter and a search take.

    python -m bench.lists [--runs 500000] [--projects 30]

Each list is asked for some times over HTTP, with its total. The first figure is the median in milliseconds,
the second the slowest, the third the median as a multiple of that of a project with a hundred runs on the
same server: how much the size costs. The marks are 50 ms for a page and 300 ms for a search.
"""

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from bench.ingest import database_url
from bench.server import Server, machine, server

from runcast._support.ids import uuid7

REPEATS = 15
FEW = 100
LABELLED = ', "only": "one"'
STATUSES = ("completed", "completed", "completed", "failed", "cancelled", "running", "queued")
COLUMNS = (
    "id", "project_id", "key", "name", "number", "phase", "current_step", "steps", "status", "agent_type",
    "agent_name", "input", "metadata", "step_timestamps", "created_at", "updated_at", "labels",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500_000)
    parser.add_argument("--projects", type=int, default=30)
    options = parser.parse_args()
    print(machine())
    with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one, one.http() as http:
        http.timeout = httpx.Timeout(120)
        few = _project(http, "few")
        many = [_project(http, f"many-{number}") for number in range(options.projects)]
        asyncio.run(_fill(one, few, many, options.runs))
        _measure(http)


def _project(http: httpx.Client, slug: str) -> UUID:
    return UUID(http.post("/projects", json={"name": slug, "slug": slug}).json()["id"])


async def _fill(one: Server, few: UUID, many: list[UUID], runs: int) -> None:
    connection = await asyncpg.connect(database_url(one), command_timeout=900)
    for name, version in (("json", b""), ("jsonb", b"\x01")):

        def encoded(text: str, version: bytes = version) -> bytes:
            return version + text.encode()

        await connection.set_type_codec(
            name,
            schema="pg_catalog",
            format="binary",
            encoder=encoded,
            decoder=bytes,
        )
    begun = time.monotonic()
    # Numbered here: a counter that half a million rows of one transaction move is read ever more slowly.
    await connection.execute("ALTER TABLE runs DISABLE TRIGGER number_run")
    await _copy(connection, _rows([few], FEW))
    await _copy(connection, _rows(many, runs))
    await connection.execute("ALTER TABLE runs ENABLE TRIGGER number_run")
    await connection.execute(
        """INSERT INTO run_counters (project_id, last_number)
           SELECT project_id, max(number) FROM runs GROUP BY project_id"""
    )
    await connection.execute("VACUUM ANALYZE runs")
    print(f"filled in {time.monotonic() - begun:.0f} s")
    await connection.close()


async def _copy(connection: Any, rows: Iterator[tuple[Any, ...]]) -> None:
    await connection.copy_records_to_table("runs", records=rows, columns=COLUMNS)


def _rows(projects: list[UUID], count: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(7)
    start = datetime.now(UTC) - timedelta(days=90)
    for number in range(1, count + 1):
        at = start + timedelta(days=90) * (number / count)
        yield (
            uuid7(), projects[number % len(projects)], f"run-{number}",
            f"{chance.choice(('index', 'review', 'deploy', 'triage'))} {chance.getrandbits(32):08x}",
            (number - 1) // len(projects) + 1,
            "phase1", "idea", ["idea", "outline"], chance.choice(STATUSES), "WORKER",
            f"agent-{chance.randrange(40)}", '{"prompt": "read the files and say what is in them"}', "{}",
            "{}", at, at,
            f'{{"model": "m{chance.randrange(5)}"{LABELLED if number == count // 2 else ""}}}',
        )  # fmt: skip


def _measure(http: httpx.Client) -> None:
    base = _median(http, "/projects/few/runs")[0]
    print(f"{'a project with a hundred runs':44} {base:8.1f} ms")
    cursor = http.get("/runs?limit=1000").json()["next_cursor"]
    for said, path in (
        ("first page of all", "/runs"),
        ("a later page of all", f"/runs?limit=1000&cursor={cursor}"),
        ("first page of a project", "/projects/many-3/runs"),
        ("failed ones of all", "/runs?status=failed"),
        ("failed ones of a project", "/projects/many-3/runs?status=failed"),
        ("a label in a project", "/projects/many-3/runs?label=model=m2"),
        ("an agent in a project", "/projects/many-3/runs?agent=agent-7"),
        ("a search that finds nothing", "/runs?q=nothingness"),
        ("a search that finds one", "/runs?q=run-417311"),
        ("a search that finds a quarter", "/runs?q=triage"),
        ("a search in a project, nothing", "/projects/many-3/runs?q=nothingness"),
        ("a search in a project, a quarter", "/projects/many-3/runs?q=triage"),
        ("a search that finds a quarter, failed ones", "/runs?q=triage&status=failed"),
        ("a search of two letters", "/runs?q=zq"),
        ("a label that one run has", "/runs?label=only=one"),
        ("a label that a fifth has", "/runs?label=model=m2"),
        ("lost ones of all", "/runs?liveness=lost"),
        ("those that need a person, of all", "/runs?attention=any"),
        ("by the last change, of all", "/runs?sort=-updated_at"),
    ):
        median, slowest = _median(http, path)
        print(f"{said:44} {median:8.1f} ms {slowest:8.1f} ms {median / base:6.1f} times")


def _median(http: httpx.Client, path: str) -> tuple[float, float]:
    took: list[float] = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        answer = http.get(path)
        took.append((time.perf_counter() - begun) * 1000)
        assert answer.status_code == 200, answer.text
    return statistics.median(took), max(took)


if __name__ == "__main__":
    main()
