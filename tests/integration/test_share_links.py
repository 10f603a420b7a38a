"""What the holder of a share link reaches: one run or project, within limits, and no other holder."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration import whole
from tests.integration.test_people import bearer
from tests.integration.whole import Whole
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def link(served: Whole, **fields: Any) -> dict[str, str]:
    made = await served.make("/projects/demo/share-links", fields)
    return bearer(made["token"])


async def connection_of(lines: AsyncIterator[str]) -> str:
    """The id that a stream tells whoever opened it."""
    while not (line := await anext(lines)).startswith("data: "):
        pass
    return str(json.loads(line.removeprefix("data: "))["connection_id"])


async def test_holders_of_one_link_neither_see_nor_end_each_others_streams(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with whole.serving(database_url, redis_url, tmp_path) as served:
        await served.make("/projects", {"name": "demo"})
        holder, client = await link(served), served.client
        path = "/projects/demo/events"
        async with (
            client.stream("GET", path, headers=holder) as first,
            client.stream("GET", path, headers=holder) as second,
        ):
            lines = first.aiter_lines(), second.aiter_lines()
            own, other = [await connection_of(each) for each in lines]
            assert own != other
            listed = (await client.get("/connections", headers=holder)).json()
            assert (listed["connections"], listed["total"]) == ([], 0)
            guessed = f"{other.partition('.')[0]}.{'x' * 16}"
            ended = await client.delete(f"/connections/{guessed}", headers=holder)
            assert ended.status_code == 404
            everyone = (await client.get("/admin/connections", headers=served.admin)).json()
            assert everyone["total"] == 2
            ended = await client.delete(f"/connections/{own}", headers=holder)
            assert ended.status_code == 204


async def test_a_link_to_a_run_shows_nothing_else_of_the_server(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with whole.serving(database_url, redis_url, tmp_path) as served:
        await served.make("/projects", {"name": "demo"})
        run = await served.make("/projects/demo/runs", {})
        await served.make("/projects/demo/runs", {"name": "other"})
        holder = await link(served, run_id=run["id"])
        seen = {}
        for path in ("/projects", "/runs", "/connections"):
            seen[path] = (await served.client.get(path, headers=holder)).json()
        assert seen["/projects"] == {"projects": [], "total": 0, "next_cursor": None}
        assert [each["id"] for each in seen["/runs"]["runs"]] == [run["id"]]
        assert "demo" not in str(seen)


@pytest.mark.parametrize(
    ("setting", "path", "more"),
    [
        ({"share_requests_per_minute": 5}, "/projects/demo/events", {}),
        ({"share_searches_per_minute": 3}, "/runs/{run}/logs/search?q=x", {}),
        # A byte of a log costs reading all of it.
        (
            {"share_searches_per_minute": 3},
            "/runs/{run}/logs",
            {"Accept": "text/plain", "Range": "bytes=0-0"},
        ),
        ({"share_bytes_per_minute": 100_000}, "/runs/{run}/logs?limit=1000", {}),
    ],
    ids=["streams", "searches", "parts", "bytes"],
)
async def test_a_link_has_limits_of_its_own_in_every_service(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    setting: dict[str, int],
    path: str,
    more: dict[str, str],
) -> None:
    # No other limit may do instead: asking again and again reaches that of requests, too.
    given = {"share_requests_per_minute": 0, "share_bytes_per_minute": 0} | setting
    given |= {"sse_max_connections_per_share_link": 0, "sse_connection_timeout_m": 0.001}
    async with whole.serving(database_url, redis_url, tmp_path, **given) as served:
        await served.make("/projects", {"name": "demo"})
        run = (await served.make("/projects/demo/runs", {}))["id"]
        await served.make(f"/runs/{run}/logs", [{"message": "x" * 40_000}])
        holder = await link(served)

        async def is_refused(path: str) -> bool:
            answer = await served.client.get(path.format(run=run), headers=holder | more)
            assert answer.status_code in (200, 206, 429), answer.text
            return "retry-after" in answer.headers

        for asked in (path, f"/runs/{run}"):
            await until(partial(is_refused, asked))
        assert (await served.client.get(f"/runs/{run}", headers=served.admin)).status_code == 200


async def test_a_run_with_much_content_is_answered_with_a_part_of_it(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with whole.serving(database_url, redis_url, tmp_path) as served:
        await served.make("/projects", {"name": "demo"})
        run = (await served.make("/projects/demo/runs", {}))["id"]
        for number in range(8):
            new = {"step_name": f"step {number}", "content": "x" * 1_000_000}
            await served.make(f"/runs/{run}/artifacts", new)
        answer = await served.client.get(f"/runs/{run}", headers=await link(served))
        assert len(answer.content) < 5_000_000
        shown = answer.json()["artifacts"]
        assert [each["content"] is not None for each in shown] == [True] * 4 + [False] * 4
        whole_one = await served.client.get(
            f"/artifacts/{shown[7]['id']}/content", headers=served.admin
        )
        assert len(whole_one.content) == 1_000_002
