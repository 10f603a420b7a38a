"""A segment that can't be read: each reader says so, and what lies before and behind it stays readable."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from runcast_api.storage import compaction, usage
from runcast_api.storage.compaction import Compactor
from runcast_api.storage.retention import drop
from runcast_hub import backfill
from runcast_server.db import acquire
from runcast_server.eventlog import history
from runcast_server.eventlog.bus import Keys
from tests.integration import streams
from tests.integration.rest import Rest, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio

NOW = timedelta(0)
AROUND = 260
"""Lines before and behind: more than a segment has that is merged."""
BIT = "8 * (length(body) / 2) + 7"
DAMAGES = {
    "cut": "body = substr(body, 1, length(body) - 4)",
    "bit": f"body = set_bit(body, {BIT}, 1 - get_bit(body, {BIT}))",
    "no JSON": r"""codec = 0, size = 5 * count - 1,
                   body = convert_to(repeat(E'"a":\n', count - 1) || '"a":', 'UTF8')""",
    "codec": "codec = 7",
    "size": "size = -5",
    "records": r"codec = 0, size = 23, body = convert_to(E'\"line\":\"x\"}\n\"line\":\"y\"}', 'UTF8')",
    "empty": "body = ''",
    "cut pieces": "pieces = substr(pieces, 1, length(pieces) - 2)",
    "no pieces": "pieces = ''",
    "wild pieces": r"pieces = decode(repeat('ff7f', 30), 'hex')",
}


@pytest.fixture
async def rest(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Rest]:
    monkeypatch.setattr(compaction, "STEP_SECONDS", 600.0)
    async with serving(database_url, redis_url, tmp_path) as served:
        yield served


class History:
    """A run whose lines lie in three segments, and one beside it."""

    def __init__(self, rest: Rest, project: str, run: str, first: int, last: int) -> None:
        self.rest, self.project, self.run = rest, project, run
        self.first, self.last = first, last
        """The lines of the one in the middle."""

    async def get(self, path: str, accept: str = "application/json") -> Any:
        answer = await self.rest.admin.get(path, headers={"Accept": accept})
        assert answer.status_code == 200, (path, answer.text)
        return answer.json() if accept == "application/json" else answer.text

    @property
    def readable(self) -> list[int]:
        everything = range(1, self.last + AROUND + 1)
        return [n for n in everything if not self.first <= n <= self.last]

    def check_entries(self, entries: list[dict[str, Any]]) -> None:
        """Of what can be read each line, of what can't one entry that says which lines those are."""
        told = [entry for entry in entries if "damaged" in entry]
        assert [entry["damaged"] for entry in told] == [
            {"from_line": self.first, "to_line": self.last}
        ]
        assert "can't be read" in told[0]["message"]
        numbers = [entry["line_number"] for entry in entries if "damaged" not in entry]
        assert numbers == self.readable


async def made(rest: Rest, slug: str, number: int) -> History:
    """The one in the middle has so many lines; of some it is merged."""
    project = await rest.project(slug)
    run, other = await rest.run(slug), await rest.run(slug)

    async def post(to: str, count: int) -> None:
        lines = [{"message": f"needle {count} {n}", "level": "info"} for n in range(count)]
        made = await rest.admin.post(f"/runs/{to}/logs", json=lines if count > 1 else lines[0])
        assert made.status_code == 201, made.text

    await post(run, AROUND)
    for _ in range(number if number < AROUND else 1):
        await post(run, number if number >= AROUND else 1)
        await post(other, 1)
    await post(run, AROUND)
    return History(rest, project, run, AROUND + 1, AROUND + number)


async def damage(database_url: str, found: History, change: str) -> None:
    owner = await asyncpg.connect(database_url)
    try:
        done = await owner.execute(
            f"UPDATE segments SET {change} WHERE run_id = $1 AND first_line = $2",
            UUID(found.run),
            found.first,
        )
        assert done == "UPDATE 1"
    finally:
        await owner.close()


@pytest.mark.parametrize(
    ("number", "kinds"),
    [
        (1, ["cut", "bit", "no JSON", "size"]),
        (12, ["codec", "no JSON", "cut pieces", "no pieces", "wild pieces"]),
        (300, ["bit", "records", "empty"]),
    ],
)
async def test_every_reader_goes_on(
    rest: Rest, database_url: str, number: int, kinds: list[str]
) -> None:
    for place, name in enumerate(kinds):
        found = await made(rest, f"p{place}", number)
        if number == 12:
            log = rest.resources.database.log
            await Compactor(log, age=NOW, idle=NOW).compact()
        await damage(database_url, found, DAMAGES[name])
        try:
            await check_logs(found)
            await check_events(found)
            await check_upkeep(found)
        except BaseException as error:
            error.add_note(f"damage: {name}")
            raise


async def test_what_is_damaged_in_redis_is_read_from_postgres(
    database_url: str, redis_url: str
) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        run_id = await served.run(project_id)
        redis, keys = served.resources.bus.client, Keys.of(project_id)
        for _ in range(3):
            await served.lines(project_id, run_id, 400)

        async def are_published() -> bool:
            return bool(await redis.hget(keys.head, "seq") == b"1200")

        await until(are_published)
        entries = await redis.xrange(keys.stream)
        await redis.delete(keys.stream)
        for id, fields in entries:
            body = fields[b"f"]
            await redis.xadd(
                keys.stream, {"t": fields[b"t"], "f": body[:30] + b"\0" + body[31:]}, id
            )
        path = f"/projects/{project_id}/events?subscribe_logs=all&last_event_id=0"
        async with streams.stream(served, path) as reader:
            await reader.until(lambda r: len(r.ids) >= 1200)
            assert reader.ids == list(range(1, 1201))
            assert not [frame for frame in reader.frames if frame.event == "gap"]


async def check_logs(found: History) -> None:
    base = f"/runs/{found.run}/logs"
    page = await found.get(f"{base}?limit=1000")
    found.check_entries(page["logs"])
    page = await found.get(f"{base}?tail=1000")
    found.check_entries(page["logs"])
    for query in ("q=needle", "q=n.*dle&regex=true", "q=needle&level=info"):
        page = await found.get(f"{base}?limit=1000&{query}")
        found.check_entries(page["logs"])
        rows = (await found.get(f"{base}/search?{query}", "application/x-ndjson")).splitlines()
        found.check_entries([row for row in map(orjson.loads, rows) if "message" in row])
    text = await found.get(base, "text/plain")
    assert text.count("needle") == 2 * AROUND
    assert text.count(f"[lines {found.first} to {found.last} can't be read") == 1
    rows = (await found.get(base, "application/x-ndjson")).splitlines()
    found.check_entries([orjson.loads(row) for row in rows])
    for export in ("ndjson", "zip"):
        answer = await found.rest.admin.get(f"/runs/{found.run}/export?format={export}")
        assert answer.status_code == 200
    middle = (found.first + found.last) // 2
    for line, status in ((middle, 404), (found.last + 1, 200)):
        raw = await found.rest.admin.get(f"{base}/{line}/raw")
        assert raw.status_code == status, raw.text
    assert "can't be read" in (await found.rest.admin.get(f"{base}/{middle}/raw")).text


async def check_events(found: History) -> None:
    """The project's history as pages of JSON and as frames: every number is there, once and in order."""
    path = f"/projects/{found.project}/events/history?limit=1000"
    shown = await found.get(path)
    numbers = [event["id"] for event in shown["events"]]
    assert numbers == list(range(1, len(numbers) + 1))
    lost = [event for event in shown["events"] if event["type"] == "gap"]
    assert len(lost) == found.last - found.first + 1
    back = await found.get(f"{path}&before={len(numbers) + 1}")
    assert [event["id"] for event in back["events"]] == numbers
    await found.get(f"{path}&run_id={found.run}")
    project_id = UUID(found.project)
    log = found.rest.resources.database.log
    async with acquire(log) as connection:
        position = (await history.positions(connection, [project_id]))[project_id]
        whole = await history.page(
            connection, project_id, position.epoch, 0, position.last_seq, logs="all"
        )
        ids = [int(part[4:].split(b"\n")[0]) for part in whole.frames.split(b"\n\n")[:-1]]
        assert ids == numbers
        assert whole.frames.count(b"event: gap") >= 1
        chain = await history.chain(connection, project_id, position.epoch, 0, position.last_seq)
        assert chain is not None
        assert chain.last == position.last_seq
    chunks = [
        chunk
        async for chunk in backfill.last_lines(
            log, project_id, [UUID(found.run)], 1000, position.last_seq
        )
    ]
    assert b"".join(chunks).count(b"needle") == 2 * AROUND


async def check_upkeep(found: History) -> None:
    """Checking names it; merging leaves it; erasing and retention take it."""
    log = found.rest.resources.database.log
    checked = await found.get("/admin/segments/check")
    mine = [one for one in checked["damaged"] if one["project_id"] == found.project]
    assert [(one["first_line"], one["last_line"]) for one in mine] == [(found.first, found.last)]
    await Compactor(log, age=NOW, idle=NOW).compact()
    body = {"from_line": found.first - 1, "to_line": found.first}
    erased = await found.rest.admin.post(f"/runs/{found.run}/logs/redact", json=body)
    assert (erased.status_code, erased.json().get("lines")) == (200, 2), erased.text
    await usage.measure(log, UUID(found.project))
    async with acquire(log) as connection:
        assert await drop(connection, UUID(found.project), None, None, 0, batch=100)
        assert not await connection.fetchval(
            "SELECT count(*) FROM segments WHERE project_id = $1", UUID(found.project)
        )
