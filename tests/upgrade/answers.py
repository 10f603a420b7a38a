"""Everything that can be read of a database's logs and events, as text: asked before and after an upgrade."""

from __future__ import annotations

import lzma
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson

from tests.integration.rest import Rest, serving
from tests.integration.streams import Frame, Served, hub, stream
from tests.upgrade.dumps import FOLDER

Answers = dict[str, str]

TEXT, NDJSON = {"Accept": "text/plain"}, {"Accept": "application/x-ndjson"}
WINDOWS = (
    "limit=100",
    "limit=7&after_line=3",
    "limit=50&before_line=40",
    "after_line=11&before_line=29&limit=1000",
    "tail=25",
    "limit=20&q=token",
    "limit=20&q=%25_of",
    "limit=1000&level=error",
    "limit=30&level=warning&before_line=900",
    "limit=1000&agent_name=agent%201",
)
SEARCHES = (
    "q=merge%20token",
    "q=E&level=error",
    "q=%5Bst%5D%20%5B0-9%5D%2B%24&regex=true",
    "q=absent",
)
HISTORIES = (
    "limit=1000",
    "limit=13&after=40",
    "limit=20&before=200",
    "limit=1000&types=run:created,x:end,log:closed,run:liveness_changed",
    "limit=400&types=agent:log&after=500",
    "limit=50&after=100&before=140",
)
ADDED_SINCE = re.compile(r',"next_before":(?:null|[0-9]+)(?=}$)')
"""Members of answers that version 0.1 didn't have: an addition is no change."""
GAP_OF_A_PROJECT = re.compile(r'(\ndata: \{)"project_id":"[0-9a-f-]{36}",(?="from":)')
"""A gap names its project since one connection may have several."""

_NUMBERS = {
    "counters": """SELECT p.slug, c.epoch, c.last_seq, c.floor_seq FROM project_counters c
                   JOIN projects p ON p.id = c.project_id ORDER BY p.slug""",
    "runs": """SELECT p.slug, r.key, r.status, r.last_line_number FROM runs r
               JOIN projects p ON p.id = r.project_id WHERE p.deleted_at IS NULL ORDER BY r.id""",
    "sources": """SELECT r.key, s.source, s.generation, s.next_line, s.next_offset, s.lines, s.bytes,
                         s.bytes_after_end, s.closed_reason
                  FROM log_sources s JOIN runs r ON r.id = s.run_id ORDER BY r.id, s.source""",
}


def read(name: str) -> Answers:
    """The answers that were kept."""
    answers: Answers = orjson.loads(lzma.decompress((FOLDER / f"{name}.answers.xz").read_bytes()))
    return answers


async def ask_everything(database_url: str, redis_url: str, data: Path) -> Answers:
    """All questions and their answers."""
    answers: Answers = {}
    async with serving(database_url, redis_url, data) as rest:
        await _ask_numbers(rest, answers)
        projects = (await rest.admin.get("/projects", params={"limit": 1000})).json()["projects"]
        runs: dict[str, list[str]] = {}
        for project in projects:
            page = await rest.admin.get(f"/projects/{project['id']}/runs", params={"limit": 1000})
            runs[project["id"]] = sorted(run["id"] for run in page.json()["runs"])
        for project_id, run_ids in sorted(runs.items()):
            await _ask_history(rest, project_id, run_ids, answers)
            for run_id in run_ids:
                await _ask_log(rest, run_id, answers)
    async with hub(database_url, redis_url) as served:
        for project_id, run_ids in sorted(runs.items()):
            await _ask_streams(served, project_id, run_ids, answers)
    return answers


async def _ask_numbers(rest: Rest, answers: Answers) -> None:
    async with rest.resources.database.log.acquire() as connection:
        for name, query in _NUMBERS.items():
            rows = [list(row) for row in await connection.fetch(query)]
            answers[f"numbers of {name}"] = orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode()


async def _ask_history(rest: Rest, project_id: str, run_ids: list[str], answers: Answers) -> None:
    path = f"/projects/{project_id}/events/history"
    for query in HISTORIES:
        answers[f"{path}?{query}"] = await _text(rest, f"{path}?{query}")
    for run_id in run_ids:
        query = f"limit=1000&run_id={run_id}"
        answers[f"{path}?{query}"] = await _text(rest, f"{path}?{query}")
    pages = [page async for page in _pages(rest, f"{path}?limit=1000", "next_after", "after")]
    answers[f"{path} page by page"] = "\n".join(pages)


async def _ask_log(rest: Rest, run_id: str, answers: Answers) -> None:
    path = f"/runs/{run_id}/logs"
    answers[f"{path} as text"] = await _text(rest, path, TEXT)
    answers[f"{path} as NDJSON"] = await _text(rest, path, NDJSON)
    answers[f"{path} errors as NDJSON"] = await _text(rest, f"{path}?level=error", NDJSON)
    for query in WINDOWS:
        answers[f"{path}?{query}"] = await _text(rest, f"{path}?{query}")
    for query in SEARCHES:
        found = await _text(rest, f"{path}/search?{query}")
        matches = [line for line in found.split("\n") if "searched_to_line" not in line]
        answers[f"{path}/search?{query}"] = "\n".join(matches)
    for number in (1, 2, 42):
        answers[f"{path}/{number}/raw"] = await _text(rest, f"{path}/{number}/raw")
    pages = [page async for page in _pages(rest, f"{path}?limit=300", "next_cursor", "cursor")]
    answers[f"{path} page by page"] = "\n".join(pages)


async def _text(rest: Rest, path: str, headers: dict[str, str] | None = None) -> str:
    """Status and body; where a page goes on is said without the cursor, which is opaque."""
    answer = await rest.admin.get(path, headers=headers or {})
    body = answer.content.decode()
    if answer.headers["content-type"] == "application/json" and '"next_cursor"' in body:
        cursor = answer.json()["next_cursor"]
        body = body if cursor is None else body.replace(f'"{cursor}"', '"…"')
    return f"{answer.status_code}\n{ADDED_SINCE.sub('', body)}"


async def _pages(rest: Rest, path: str, member: str, parameter: str) -> AsyncIterator[str]:
    place: Any = ""
    while place is not None:
        start = f"&{parameter}={place}" if place else ""
        answer = await rest.admin.get(path + start)
        place = answer.json()[member]
        # What stands before the place at which the next page begins.
        yield answer.content.decode().partition(f'"{member}"')[0]


async def _ask_streams(
    served: Served, project_id: str, run_ids: list[str], answers: Answers
) -> None:
    async with served.resources.database.log.acquire() as connection:
        last = await connection.fetchval(
            "SELECT last_seq FROM project_counters WHERE project_id = $1", project_id
        )
    if not last:
        return
    path = f"/projects/{project_id}/events"
    for query in ("", "?subscribe_logs=all", f"?subscribe_logs={','.join(run_ids[::2])}"):
        for position in (1, last // 2, last - 1):
            answers[f"{path}{query} after {position}"] = await _frames(
                served, path + query, last, str(position)
            )
    for run_id in run_ids:
        await _ask_stream_of_run(served, run_id, answers)


async def _ask_stream_of_run(served: Served, run_id: str, answers: Answers) -> None:
    """A run's stream, whose last event is one of its own kind (see `world`)."""
    path = f"/runs/{run_id}/stream"
    async with stream(served, f"{path}?log_tail=30") as reader:
        await reader.until(lambda r: bool(r.of("backfill")))
        answers[f"{path} with backfill"] = _shown(reader.frames)
    async with stream(served, path, last_event_id="1") as reader:
        await reader.until(lambda r: bool(r.of("x:end")))
        answers[path] = _shown(reader.frames)


async def _frames(served: Served, path: str, last: int, position: str) -> str:
    async with stream(served, path, last_event_id=position) as reader:
        await reader.until(lambda r: last in r.ids)
        return _shown(reader.frames)


def _shown(frames: list[Frame]) -> str:
    """The frames of events, gaps and lines sent as backfill, as they came."""
    told = [frame for frame in frames if frame.event not in ("", "connected", "bye")]
    return GAP_OF_A_PROJECT.sub(r"\1", b"".join(frame.raw for frame in told).decode())
