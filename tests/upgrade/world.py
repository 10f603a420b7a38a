"""What an earlier version has stored: runs of every kind, through every entrance, with odd bytes."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from runcast_api.runs.liveness import Judge
from runcast_server.eventlog.bus import INGEST_STREAM
from tests.integration.rest import Rest, serving
from tests.waiting import until

LINES = 3_000
"""Of the long log."""
WORDS = [
    "plan",
    "fetch",
    "build",
    "test",
    "retry",
    "merge",
    "token",
    "model",
    "prompt",
    "answer",
    "step",
    "cache",
    "index",
    "agent",
    "tool",
]
ODD = (
    "",
    " ",
    "\x1b[31mERROR\x1b[0m something in red \x1b[38;5;208mand orange\x1b[0m",
    "progress 10%\rprogress 55%\rprogress 100%",
    "a NUL \x00 between, and \x00\x00 two at the end\x00\x00",
    "".join(map(chr, range(1, 10))) + "".join(map(chr, range(11, 32))) + "\x7f",
    'quotes " and \' and \\ and \\" and \\u0000 and </script> & <b>',
    "\u2028 a line separator \u2029 and a paragraph's, \x85 and \x0b and \x0c",
    "emoji 👩‍👩‍👧‍👦 🏳️‍🌈, accents e\u0301 é, right to left \u202eabc\u202c, שלום, 漢字",
    "\ufeffa byte order mark, \ufffd\uffff and \U0010ffff",
    '{"level":"warn","message":"an object","ts":"2026-01-31T10:00:00Z","n":[1,2,{"a":null}]}',
    "{not an object}",
    "[12:30:01] a time of day",
    "2026-01-31T12:30:01.5+02:00 [WARNING] its own time and level",
    "[ERROR] a level",
    "DEBUG a bare level",
    "99%_of\\all patterns",
    "x" * 5_000,
    "id: 7\nevent: agent:log\ndata: {}\n\n",
)
"""Lines that have broken somebody's log. (The last one holds line ends: only entries may.)"""
KINDS = frozenset(
    [
        "run:created",
        "run:status_changed",
        "run:step_changed",
        "run:liveness_changed",
        "run:updated",
        "run:progress",
        "agent:started",
        "agent:completed",
        "agent:failed",
        "agent:log",
        "log:closed",
        "log:reopened",
        "artifact:created",
        "task:status_changed",
        "task:updated",
        "task:deleted",
        "subtask:status_changed",
        "subtask:unblocked",
        "subtask:updated",
        "subtask:deleted",
        "x:odd.Name-1",
    ]
)


def sentence(chance: random.Random) -> str:
    """A line as agents print most of them."""
    return " ".join(chance.choices(WORDS, k=chance.randint(3, 14)))


def text(number: int, chance: random.Random) -> str:
    """Line `number` of a log: an odd one now and then, some with a time or a level."""
    if number % 41 == 0:
        return ODD[number // 41 % (len(ODD) - 1)]
    start = ("", "", "", "[INFO] ", "[12:00:05] ", "2026-03-04T05:06:07Z ERROR ")[number % 6]
    return f"{start}{sentence(chance)} {number}"


async def make(database_url: str, redis_url: str, data: Path) -> None:
    """Fills an empty database."""
    async with serving(database_url, redis_url, data, is_running=True) as rest:
        await _alpha(rest)
        await _beta(rest)
        await _gone(rest)
        await rest.project("empty")
        await rest.project("one")
        await rest.run("one", key="only")
        await _end(rest)
        await _age(rest)
        await _check(rest)
        await rest.admin.delete("/projects/gone")


async def _send(rest: Rest, *messages: dict[str, Any] | bytes) -> None:
    """Puts messages on the ingest stream, and waits until they are done with."""
    client = rest.resources.bus.client
    for message in messages:
        raw = message if isinstance(message, bytes) else orjson.dumps(message)
        await client.xadd(INGEST_STREAM, {"m": raw})

    async def is_empty() -> bool:
        return not await client.xlen(INGEST_STREAM)

    await until(is_empty, "the ingest stream to be read")


async def _post(rest: Rest, path: str, body: Any = None, **more: Any) -> Any:
    answer = await rest.admin.post(path, json=body, **more)
    assert answer.status_code < 300, (path, answer.status_code, answer.text)
    return answer.json() if answer.content else None


def _lines(run: str, texts: list[str], first: int, offset: int, **more: Any) -> dict[str, Any]:
    place = {"first_line": first, "first_offset": offset}
    kind = {"type": "lines", "run_id": run, "source": "logs.txt", "generation": 1}
    return kind | place | {"lines": texts, "at": "2026-11-20T10:00:00Z"} | more


def _size(texts: list[str]) -> int:
    return sum(len(text.encode()) + 1 for text in texts)


async def _alpha(rest: Rest) -> None:
    """A project with a run of each kind."""
    await rest.project("alpha")
    long, entries = (
        await rest.run("alpha", key="long", status="running"),
        await rest.run("alpha", key="entries"),
    )
    await _long_log(rest, long)
    await _entries(rest, entries)
    await _interleaved(rest)
    await _state(rest, entries)
    await _board(rest)
    await _workers(rest)


async def _long_log(rest: Rest, run: str) -> None:
    """A tailed file: batches of all sizes, sent again and too early, cut, replaced, closed, reopened."""
    chance = random.Random(1)
    texts = [text(number, chance) for number in range(1, LINES + 1)]
    offsets = [0]
    for each in texts:
        offsets.append(offsets[-1] + len(each.encode()) + 1)
    place = 0
    while place < LINES:
        end = min(LINES, place + chance.choice((1, 1, 2, 7, 60, 400)))
        flags = (
            {"0": {"cut": {"offset": offsets[place], "length": 70_000}}} if place % 5 == 1 else {}
        )
        flags |= {"1": {"invalid_utf8": True}} if place % 7 == 1 and end - place > 1 else {}
        batch = _lines(run, texts[place:end], place + 1, offsets[place], flags=flags)
        early = _lines(run, ["too early"], end + 50, offsets[end] + 5_000)
        await _send(
            rest, batch, *([batch] if place % 3 == 0 else []), *([early] if place % 4 == 0 else [])
        )
        place = max(0, end - 3) if place % 9 == 2 and end < LINES else end
    again = ["the file was replaced", "", "and goes on"]
    size = _size(again)
    await _send(
        rest,
        _lines(run, again, 1, 0, generation=2),
        _lines(run, [], 4, size, generation=2, closed={"reason": "stopped"}),
        _lines(run, ["reopened", "=== Run Complete ==="], 4, size, generation=2,
               closed={"reason": "sentinel"}),
        _lines(run, ["a file of its own"], 1, 0, source="stdout", flags={"0": {"lost": {"bytes": 9}}}),
    )  # fmt: skip


async def _entries(rest: Rest, run: str) -> None:
    """Entries over HTTP: alone, as an array, as NDJSON, with all that they may hold."""
    chance = random.Random(2)
    for number, odd in enumerate(ODD):
        entry = {
            "message": odd,
            "level": ("info", "WARN", "fatal", "odd")[number % 4],
            "agent_name": f"agent {number % 3}",
        }
        await _post(rest, f"/runs/{run}/logs", entry)
    await _post(
        rest, f"/runs/{run}/logs", {"payload": {"message": "shown", "deep": [{"\x00": "\x00"}]}}
    )
    await _post(
        rest, f"/runs/{run}/logs", {"event_type": "tool_call", "ts": "2026-01-31T10:00:00.123456Z"}
    )
    many = [
        {"message": sentence(chance), "payload": {"n": n}, "event_type": "said"} for n in range(250)
    ]
    await _post(rest, f"/runs/{run}/logs", many)
    body = b"\n".join(orjson.dumps({"message": sentence(chance)}) for _ in range(1_200))
    answer = await rest.admin.post(
        f"/runs/{run}/logs", content=body, headers={"Content-Type": "application/x-ndjson"}
    )
    assert answer.status_code == 201, answer.text
    await _send(
        rest,
        *[
            {"type": "agent:log", "run_id": run, "data": {"message": f"worker {n}"}}
            for n in range(20)
        ],
        b'{"type":"agent:log","run_id":"%b","data":{"message":"half a pair \\ud83d"}}'
        % run.encode(),
        b'{"type":"agent:log","run_id":"%b","data":{"message":5}}' % run.encode(),
    )


async def _interleaved(rest: Rest) -> None:
    """Runs that trickle: one line at a time, in turns."""
    runs = [await rest.run("alpha", key=f"trickle-{n}", status="running") for n in range(4)]
    for number in range(60):
        await _post(rest, f"/runs/{runs[number % 3]}/logs", {"message": f"trickle {number}"})
        if number % 10 == 0:
            await asyncio.gather(
                *[
                    _post(rest, f"/runs/{run}/logs", {"message": f"at once {number}"})
                    for run in runs
                ]
            )


async def _state(rest: Rest, run: str) -> None:
    """Changes of state of every kind, with what JSON can hold."""
    await _post(rest, f"/runs/{run}/heartbeat", {"expect_next_in_s": 0.001})
    await rest.admin.patch(f"/runs/{run}", json={"status": "running"})
    await _post(rest, f"/runs/{run}/heartbeat", {"expect_next_in_s": 0.001})
    log, events = rest.resources.database.log, rest.resources.eventlog
    await Judge(log, events, 0.001, time.monotonic() - 1_000).judge()
    await rest.admin.patch(
        f"/runs/{run}", json={"current_step": "outline", "metadata": {"k": ["\x00", 1e300]}}
    )
    progress = {
        "stage": "outline",
        "message": "halfway \u2028",
        "percent": 50,
        "step": 1,
        "total_steps": 2,
    }
    await _post(rest, f"/runs/{run}/progress", progress)
    await _post(rest, f"/runs/{run}/artifacts", {"step_name": "outline", "content": {"title": "é"}})
    await rest.admin.patch(
        f"/runs/{run}", json={"status": "completed", "result": {"b": 1, "a": 2}, "pr_url": "u"}
    )
    failed = await rest.run("alpha", key="failed", status="running")
    await rest.admin.patch(
        f"/runs/{failed}", json={"status": "failed", "error": "why", "will_retry": True}
    )
    await _post(rest, f"/runs/{failed}/retry")


async def _board(rest: Rest) -> None:
    """A task whose second subtask waits for the first."""
    subtasks = [{"title": "one", "key": "one"}, {"title": "two", "depends_on": ["one"]}]
    task = await _post(rest, "/projects/alpha/tasks", {"title": "a task", "subtasks": subtasks})
    await _post(rest, f"/tasks/{task['id']}/activate")
    claimed = await _post(rest, "/projects/alpha/subtasks/claim", {"worker_id": "w"})
    subtask = claimed["subtask"]["id"]
    await _post(rest, f"/subtasks/{subtask}/complete", {"worker_id": "w"})
    other = await _post(
        rest, "/projects/alpha/tasks", {"title": "other", "subtasks": [{"title": "x"}]}
    )
    await rest.admin.patch(f"/tasks/{other['id']}", json={"title": "another"})
    [inner] = (await rest.admin.get(f"/tasks/{other['id']}")).json()["subtasks"]
    await rest.admin.patch(f"/subtasks/{inner['id']}", json={"title": "y"})
    await rest.admin.delete(f"/subtasks/{inner['id']}")
    await rest.admin.delete(f"/tasks/{other['id']}")


async def _workers(rest: Rest) -> None:
    """Events of workers' own, whose data keep their order and form."""
    run = await rest.run("alpha", key="worker", status="running")
    datas: list[Any] = [
        {},
        {"b": 1, "a": {"z": [], "y": "\x00"}},
        {"text": "é\u2028\x1b[0m", "big": "x" * 20_000},
    ]
    await _send(rest, *[{"type": "x:odd.Name-1", "run_id": run, "data": data} for data in datas])


async def _beta(rest: Rest) -> None:
    """A project whose beginning retention has dropped."""
    await rest.project("beta")
    for name in ("old", "kept"):
        chance = random.Random(name)
        run = await rest.run("beta", key=name, status="running")
        texts = [sentence(chance) for _ in range(400)]
        await _send(rest, _lines(run, texts, 1, 0))


async def _gone(rest: Rest) -> None:
    """A project that is deleted and not emptied yet."""
    await rest.project("gone")
    run = await rest.run("gone")
    await _post(rest, f"/runs/{run}/logs", [{"message": f"gone {n}"} for n in range(30)])


async def _end(rest: Rest) -> None:
    """An event that every filter lets through as the last one of every run, and so of every project."""
    for project in ("alpha", "beta", "one"):
        page = (await rest.admin.get(f"/projects/{project}/runs", params={"limit": 1000})).json()
        for run in reversed(page["runs"]):
            await _send(rest, {"type": "x:end", "run_id": run["id"], "data": {"is_end": True}})


async def _age(rest: Rest) -> None:
    """Lets events be older than they are: in alpha over several days, in beta until some are dropped."""
    pool = rest.resources.database.log
    async with pool.acquire() as connection:
        heads = dict(
            await connection.fetch(
                "SELECT p.slug, c.last_seq FROM projects p JOIN project_counters c ON c.project_id = p.id"
            )
        )
    for slug, first, last, days in (
        ("alpha", 1, heads["alpha"] // 3, 3),
        ("alpha", heads["alpha"] // 3 + 1, heads["alpha"] // 2, 1),
        ("beta", 1, 300, 45),
        ("beta", 301, 500, 35),
        ("beta", 501, 600, 9),
    ):
        await _make_older(rest, slug, first, last, days)
    async with pool.acquire() as connection:
        dropped = await connection.fetchval("SELECT drop_partitions('events', interval '30 days')")
    assert dropped == 2


async def _make_older(rest: Rest, slug: str, first: int, last: int, days: int) -> None:
    from_owner = rest.resources.settings.postgres.database_url
    assert from_owner is not None
    connection = await asyncpg.connect(from_owner)
    try:
        day: datetime = await connection.fetchval(
            "SELECT date_trunc('day', now(), 'UTC') - make_interval(days => $1)", days
        )
        name = f"events_{day:%Y%m%d}"
        if not await connection.fetchval("SELECT to_regclass($1)", name):
            await connection.execute(
                f"CREATE TABLE {name} PARTITION OF events FOR VALUES FROM ('{day:%Y-%m-%d}Z')"
                f" TO ('{day:%Y-%m-%d}Z'::timestamptz + interval '1 day')"
            )
        await connection.execute(
            """UPDATE events SET at = $4::timestamptz + make_interval(secs => (seq - $2) * 0.5)
               WHERE seq BETWEEN $2 AND $3 AND project_id = (SELECT id FROM projects WHERE slug = $1)""",
            slug, first, last, day,
        )  # fmt: skip
        await connection.execute(
            """UPDATE runs r SET created_at = least(r.created_at, $2::timestamptz) FROM projects p
               WHERE p.id = r.project_id AND p.slug = $1""",
            slug, day,
        )  # fmt: skip
    finally:
        await connection.close()


async def _check(rest: Rest) -> None:
    """Nothing that the earlier version can tell is missing."""
    async with rest.resources.database.log.acquire() as connection:
        kinds = {row[0] for row in await connection.fetch("SELECT DISTINCT type FROM events")}
        rejects = await connection.fetchval("SELECT count(*) FROM ingest_rejects")
    assert kinds >= KINDS, KINDS - kinds
    assert rejects == 1, rejects
