"""A large board and a long history: what the REST API answers, and the plans that Postgres takes.

    python -m bench.board [--events 10000000] [--plans]

A board of 10,000 subtasks with 50,000 dependencies: listing it, and completing a subtask with 1,000
dependents. Runtime events by the million: the first page of each filter, the status, the tasks. With
`--plans` the statements' plans are printed, as `docs/runtime.md` shows them.
"""

import argparse
import asyncio
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from bench.ingest import database_url, spread
from bench.server import Server, machine, server

from runcast_api.runtime import events
from runcast_api.runtime.events import Wanted

SUBTASKS = 10_000
DEPENDENCIES_EACH = 5
DEPENDENTS = 1_000
REPEATS = 15
CHUNK = 500_000
DAYS = 8

_SUBTASKS = """
INSERT INTO tasks (id, project_id, parent_id, key, title, status, position, waits_for, depends_on, input)
SELECT ('00000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, $1, $2, 's' || n, 'subtask ' || n,
       CASE WHEN n <= $4 THEN 'PENDING' ELSE 'BLOCKED' END, n, CASE WHEN n <= $4 THEN 0 ELSE $4 END,
       CASE WHEN n <= $4 THEN '{}' ELSE ARRAY(
           SELECT '00000000-0000-4000-8000-' || lpad(to_hex(d), 12, '0')
           FROM generate_series(n - $4, n - 1) d) END, '{"command": ["true"]}'
FROM generate_series(1, $3) n
"""
_EDGES = """
INSERT INTO task_dependencies (project_id, subtask_id, depends_on_id)
SELECT project_id, id, unnest(depends_on)::uuid FROM tasks WHERE parent_id = $1
"""
_EVENTS = """
INSERT INTO runtime_events (id, layer, operation, reason_code, entity_id, task_id, worker_id, metadata,
                            occurred_at, created_at)
SELECT gen_random_uuid(),
    (ARRAY['provider_runtime', 'tool_runtime', 'model_adapter', 'execution', 'dispatcher', 'worker'])
        [1 + n % 6],
    (ARRAY['CALL', 'FALLBACK', 'RETRY', 'TOOL_CALL', 'TOOL_LOOP', 'TASK', 'HEARTBEAT', 'BREAKER'])
        [1 + n % 8],
    'REASON_' || n % 40, 'entity-' || n % 5000,
    ('00000000-0000-4000-8000-' || lpad(to_hex(n % 100000), 12, '0'))::uuid, 'worker-' || n % 200,
    '{"provider": "acme", "model": "large-3", "ms": 812}', at, at
FROM generate_series($1::bigint, $2::bigint) n,
    LATERAL (SELECT $3::timestamptz + (n::float8 / $4) * $5::interval AS at) t
"""
_WORKERS = """
INSERT INTO worker_status (worker_id, agent_type, status, last_heartbeat)
SELECT 'worker-' || n, 'runner', 'IDLE', now() FROM generate_series(0, 199) n
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--plans", action="store_true")
    options = parser.parse_args()
    print(machine())
    with server(RUNCAST_REQUESTS_PER_MINUTE="0") as one:
        spread(one)
        with one.http() as http:
            board(one, http)
            if options.events:
                asyncio.run(fill_events(one, options.events))
                runtime(http, options.events)
        if options.plans:
            asyncio.run(print_plans(one))


def board(one: Server, http: httpx.Client) -> None:
    """A chain-like graph of 10,000, and a fan of 1,000."""
    big = new_task(http, "Ten thousand")
    asyncio.run(fill_board(one, UUID(big["id"]), UUID(big["project_id"])))
    body, took = timed(http, "/projects/default/tasks")
    number = sum(len(task["subtasks"]) for task in body["tasks"])
    print(f"board: list, {number:,} subtasks at once   {took}")
    ids = new_tasks_of_hundred(http)
    body, took = timed(http, "/projects/default/tasks?limit=10")
    print(f"board: list, 10 tasks of {len(ids) // 10} subtasks   {took}")

    fan: list[dict[str, object]] = [{"title": "root", "key": "root"}]
    fan += [{"title": f"leaf {n}", "depends_on": ["root"]} for n in range(DEPENDENTS - 1)]
    seconds: list[float] = []
    for _ in range(5):
        task = new_task(http, "A fan", subtasks=fan)
        root = task["subtasks"][0]["id"]
        http.post(f"/tasks/{task['id']}/subtasks", json={"title": "x", "depends_on": [root]})
        http.post(f"/tasks/{task['id']}/activate").raise_for_status()
        http.post(f"/subtasks/{root}/start").raise_for_status()
        begun = time.perf_counter()
        http.post(f"/subtasks/{root}/complete").raise_for_status()
        seconds.append(time.perf_counter() - begun)
    print(f"board: complete one with {DEPENDENTS:,} dependents   {summary(seconds)}")


def new_task(http: httpx.Client, title: str, **members: Any) -> dict[str, Any]:
    made = http.post("/projects/default/tasks", json={"title": title} | members, timeout=60)
    found: dict[str, Any] = made.raise_for_status().json()
    return found


def new_tasks_of_hundred(http: httpx.Client) -> list[str]:
    """Ten tasks in front of the board, each with a hundred subtasks."""
    found = []
    for place in range(10):
        subtasks = [{"title": f"s{n}", "key": f"s{n}"} for n in range(100)]
        task = new_task(http, "A hundred", subtasks=subtasks, position=-place)
        found += [subtask["id"] for subtask in task["subtasks"]]
    return found


async def fill_board(one: Server, task_id: UUID, project_id: UUID) -> None:
    connection = await asyncpg.connect(database_url(one))
    await connection.execute(_SUBTASKS, project_id, task_id, SUBTASKS, DEPENDENCIES_EACH)
    await connection.execute(_EDGES, task_id)
    await connection.execute("UPDATE tasks SET open_subtasks = $2 WHERE id = $1", task_id, SUBTASKS)
    await connection.execute("ANALYZE tasks, task_dependencies")
    await connection.close()


async def fill_events(one: Server, number: int) -> None:
    """Events over eight days, into tables without indexes, which are made afterwards."""
    connection = await asyncpg.connect(database_url(one), timeout=60, command_timeout=3600)
    now = datetime.now(UTC)
    for day in range(DAYS + 1):
        await connection.execute("SELECT make_late_partition($1)", now - timedelta(days=day))
    indexes = await connection.fetch(
        """SELECT indexname, indexdef FROM pg_indexes
           WHERE tablename = 'runtime_events' AND indexname <> 'runtime_events_pkey'"""
    )
    for row in indexes:
        await connection.execute(f"DROP INDEX {row['indexname']}")
    begun = time.perf_counter()
    start = now - timedelta(days=DAYS)
    for first in range(0, number, CHUNK):
        last = min(first + CHUNK, number) - 1
        span = timedelta(days=DAYS)
        await connection.execute(_EVENTS, first, last, start, float(number), span)
    await connection.execute("SET maintenance_work_mem = '512MB'")
    for row in indexes:
        await connection.execute(row["indexdef"].replace(" ON ONLY ", " ON "))
    await connection.execute(_WORKERS)
    await connection.execute("VACUUM ANALYZE runtime_events")
    await connection.execute("VACUUM ANALYZE worker_status")
    size = await connection.fetchval(
        """SELECT pg_size_pretty(sum(pg_total_relation_size(inhrelid))) FROM pg_inherits
           WHERE inhparent = 'runtime_events'::regclass"""
    )
    print(f"runtime: {number:,} events, {size}, filled in {time.perf_counter() - begun:.0f} s")
    await connection.close()


def filters() -> dict[str, dict[str, str]]:
    """Each filter of the events, with a value that has rows, and one that has none."""
    middle = datetime.now(UTC) - timedelta(days=DAYS / 2)
    return {
        "none": {},
        "layer": {"layer": "execution"},
        "reason_code": {"reason_code": "REASON_7"},
        "reason_code (unknown)": {"reason_code": "ABSENT"},
        "entity_id": {"entity_id": "entity-77"},
        "task_id": {"task_id": "00000000-0000-4000-8000-000000000100"},
        "worker_id": {"worker_id": "worker-5"},
        "from": {"from": middle.isoformat()},
        "to": {"to": middle.isoformat()},
        "from, to": {"from": middle.isoformat(), "to": (middle + timedelta(minutes=1)).isoformat()},
    }


def runtime(http: httpx.Client, number: int) -> None:
    for name, params in filters().items():
        body, took = timed(http, "/admin/runtime/events", params)
        print(f"runtime/events by {name:24} {len(body['events']):3} events   {took}")
    page, _ = timed(http, "/admin/runtime/events", {"limit": "1000"})
    for _ in range(20):
        cursor = {"limit": "1000", "cursor": page["next_cursor"]}
        page = http.get("/admin/runtime/events", params=cursor).json()
    _, took = timed(http, "/admin/runtime/events", {"cursor": page["next_cursor"], "limit": "1000"})
    print(f"runtime/events, page 22 of a thousand each      {took}")
    for path in ("status", "tasks", "tasks?stuck=true"):
        _, took = timed(http, f"/admin/runtime/{path}")
        print(f"runtime/{path:40} {took}")


def timed(
    http: httpx.Client, path: str, params: dict[str, str] | None = None
) -> tuple[dict[str, Any], str]:
    """The answer, and how long it takes."""
    seconds = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        answer = http.get(path, params=params or None, timeout=60)
        seconds.append(time.perf_counter() - begun)
    return answer.raise_for_status().json(), summary(seconds)


def summary(seconds: list[float]) -> str:
    ordered = sorted(each * 1000 for each in seconds)
    return f"median {statistics.median(ordered):.1f} ms, slowest {ordered[-1]:.1f} ms"


async def print_plans(one: Server) -> None:
    connection = await asyncpg.connect(database_url(one), timeout=60)
    wanted = {
        "none": Wanted(),
        "layer": Wanted(layer="execution"),
        "reason_code": Wanted(reason_code="REASON_7"),
        "entity_id": Wanted(entity_id="entity-77"),
        "task_id": Wanted(task_id=UUID("00000000-0000-4000-8000-000000000100")),
        "worker_id": Wanted(worker_id="worker-5"),
        "from": Wanted(since=datetime.now(UTC) - timedelta(days=4)),
        "to": Wanted(until=datetime.now(UTC) - timedelta(days=4)),
    }
    for name, each in wanted.items():
        statement, values = events.query(each, None, 51)
        rows = await connection.fetch(
            f"EXPLAIN (ANALYZE, COSTS OFF, BUFFERS OFF) {statement}", *values
        )
        lines = [row[0] for row in rows if "never executed" not in row[0]]
        shown = [line for line in lines if "Index Cond" not in line or "occurred" in line]
        print(f"\n{name}: {statement}\n" + "\n".join(shown))
    await connection.close()


if __name__ == "__main__":
    main()
