"""What a line costs on disk where runs trickle: before and after merging, while the month lasts.

    python -m bench.compaction [--lines 200000] [--runs 50]

Runs write single lines of 99 bytes in turn; what they wrote is merged and vacuumed part by part, as in a
month that goes on. Printed are bytes a line, with TOAST and all indexes: what a further line adds once the
room for the lines that aren't merged yet is there, what all lines take with that room, and what they would
take packed; and what merging wrote to the log and took of a processor.
"""

import argparse
import asyncio
import time
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
from bench.ingest import LINE, database_url
from bench.latency import new_run
from bench.server import Server, machine, server

from runcast_api.storage import usage
from runcast_api.storage.compaction import Compactor
from runcast_server import db

MARK_BYTES = 80
PART_LINES = 10_000
"""Lines that are merged together: some are always left."""
_TAKEN = """
SELECT (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'segments'::regclass),
       (SELECT sum(pg_indexes_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'segments'::regclass),
       pg_current_wal_lsn() - '0/0'::pg_lsn
"""
_TRICKLE = """
SELECT count(*) FROM (
    SELECT array_agg($1::uuid) AS projects, array_agg(run) AS runs, array_agg(true) AS are_lines,
           array_agg(NULL::bigint) AS from_lines, array_agg(1) AS counts, array_agg($3::integer) AS sizes,
           array_agg(0::smallint) AS codecs, array_agg(128::smallint) AS levels,
           array_agg(''::text) AS agents,
           array_agg($4::bytea) AS bodies
    FROM unnest($2::uuid[]) run
) g, take_numbers(projects, runs, are_lines, from_lines, counts, sizes, codecs, levels, agents, bodies)
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    print(machine())
    with server() as one:
        found = measure(one, options.lines, options.runs)
    for name, value in found.items():
        print(f"{name:28} {value:10.1f}")
    print(f"mark ≤ {MARK_BYTES}: {'met' if found['a further line'] <= MARK_BYTES else 'NOT MET'}")


def measure(one: Server, lines: int, runs: int) -> dict[str, float]:
    """Bytes and microseconds a line."""
    made = [new_run(one, "trickle") for _ in range(runs)]
    project, ids = made[0][0], [run for _, run in made]
    return asyncio.run(_measure(database_url(one), project, ids, lines))


async def _measure(url: str, project: UUID, runs: list[UUID], lines: int) -> dict[str, float]:
    owner = await asyncpg.connect(url, command_timeout=300)
    database = await db.open_database(url, requests=1, log=4)
    compactor = Compactor(database.log, age=timedelta(0))
    spent, written, sizes = 0.0, 0.0, [await _taken(owner)]
    try:
        for first in range(0, lines, PART_LINES):
            await _trickle(owner, project, runs, first // len(runs))
            await usage.measure(database.log, project)
            before, begin = await _taken(owner), time.process_time()
            await compactor.compact()
            spent += time.process_time() - begin
            written += (await _taken(owner)).log - before.log
            await owner.execute("VACUUM ANALYZE segments")
            sizes.append(await _taken(owner))
        rows = await owner.fetchval("SELECT count(*) FROM segments")
        await owner.execute("VACUUM FULL segments")
        packed = await _taken(owner)
    finally:
        await owner.close()
        await database.close()
    warm, last = sizes[len(sizes) // 2], sizes[-1]
    since = (len(sizes) - 1 - len(sizes) // 2) * PART_LINES
    return {
        "a further line": (last.size - warm.size) / since,
        "of it indexes": (last.indexes - warm.indexes) / since,
        "all lines": (last.size - sizes[0].size) / lines,
        "packed": (packed.size - sizes[0].size) / lines,
        "log of merging": written / lines,
        "processor of merging, us": spent / lines * 1e6,
        "lines a row": lines / rows,
    }


async def _trickle(owner: Any, project: UUID, runs: list[UUID], first: int) -> None:
    for number in range(first, first + PART_LINES // len(runs)):
        text = (LINE[:-1] % number).decode()
        record = (
            f'"line":"{text}","ts":"2026-11-20T14:00:00.000Z","source":"logs.txt",'
            f'"source_line":{number + 1}}}'
        ).encode()
        await owner.execute(_TRICKLE, project, runs, len(record), record)


class Taken(NamedTuple):
    """Bytes of the table with TOAST and indexes, of the indexes alone, and of the log so far."""

    size: float
    indexes: float
    log: float


async def _taken(owner: Any) -> Taken:
    return Taken(*map(float, await owner.fetchrow(_TAKEN)))


if __name__ == "__main__":
    main()
