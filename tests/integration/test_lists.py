"""Lists: pages under concurrent writes, cursors everywhere, filters that mean something, honest totals."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from runcast_api.http import totals
from runcast_api.runs import listing
from tests.integration.rest import Rest, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


async def pages(rest: Rest, path: str, plural: str, **query: Any) -> list[Any]:
    """Everything of a list, page by page."""
    shown: list[Any] = []
    cursor: Any = ""
    while cursor is not None:
        given = query | ({"cursor": cursor} if cursor else {})
        page = await rest.admin.get(path, params=given)
        assert page.status_code == 200, page.text
        shown += page.json()[plural]
        cursor = page.json()["next_cursor"]
    return shown


async def make(rest: Rest, *bodies: dict[str, Any]) -> list[str]:
    items = [{"op": "create", "body": body} for body in bodies]
    answer = await rest.admin.post("/projects/demo/runs/bulk", json={"items": items})
    assert answer.json()["refused"] == 0, answer.text
    return [result["run"]["id"] for result in answer.json()["results"]]


async def test_pages_neither_skip_nor_repeat_while_others_write(rest: Rest) -> None:
    before = await make(rest, *({"key": f"before-{number}"} for number in range(60)))
    stop = asyncio.Event()

    async def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await rest.run(key=f"later-{number}")
            await rest.admin.patch(f"/runs/{before[number % 60]}", json={"name": f"n{number}"})

    writing = asyncio.create_task(write())
    for sort in ("-created_at", "number", "created_at"):
        shown = await pages(rest, "/projects/demo/runs", "runs", limit=7, sort=sort)
        ids = [run["id"] for run in shown]
        assert len(set(ids)) == len(ids), sort
        assert set(before) <= set(ids), sort
    stop.set()
    await writing


async def test_every_version_of_an_artifact_can_be_listed(rest: Rest) -> None:
    run = await rest.run(status="running")
    for number in range(23):
        await rest.admin.post(
            f"/runs/{run}/artifacts", json={"step_name": f"s{number % 2}", "content": number}
        )
    path = f"/runs/{run}/artifacts"
    every = await pages(rest, path, "artifacts", versions="all", limit=4)
    assert [(each["step_name"], each["version"]) for each in every] == [
        *(("s0", version) for version in range(12, 0, -1)),
        *(("s1", version) for version in range(11, 0, -1)),
    ]
    page = (await rest.admin.get(path, params={"versions": "all", "limit": 4})).json()
    assert page["total"] == 23
    latest = await pages(rest, path, "artifacts", limit=1)
    assert [(each["step_name"], each["version"]) for each in latest] == [("s0", 12), ("s1", 11)]
    assert (await rest.admin.get(path)).json()["total"] == 2
    foreign = await rest.admin.get(path, params={"cursor": page["next_cursor"]})
    assert foreign.json()["errors"][0]["field"] == "query.cursor"


async def test_active_runs_tails_and_transitions_have_pages_and_totals(rest: Rest) -> None:
    runs = await make(rest, *({"status": "running"} for _ in range(5)))
    shown = await pages(rest, "/projects/demo/active-runs", "runs", limit=2)
    assert [run["id"] for run in shown] == runs[::-1]
    page = (await rest.admin.get("/projects/demo/active-runs?limit=2")).json()
    assert (len(page["runs"]), page["total"]) == (2, 5)
    for name in ("a", "b", "c"):
        await rest.admin.post(f"/runs/{runs[0]}/tail", json={"path": f"{name}.log"})
    tails = await pages(rest, f"/runs/{runs[0]}/tail", "tails", limit=2)
    assert [tail["source"] for tail in tails] == ["a.log", "b.log", "c.log"]
    assert (await rest.admin.get(f"/runs/{runs[0]}/tail?limit=1")).json()["total"] == 3
    task = (await rest.admin.post("/projects/demo/tasks", json={"title": "t"})).json()["id"]
    await rest.admin.post(f"/tasks/{task}/activate")
    history = (await rest.admin.get(f"/tasks/{task}/transitions?limit=1")).json()
    assert (len(history["transitions"]), history["total"]) == (1, 2)


async def test_filters_together_and_in_one_form(rest: Rest) -> None:
    await make(
        rest,
        {"key": "one", "status": "running", "agent_name": "Ada", "labels": {"m": "x"}},
        {"key": "two", "status": "failed", "agent_name": "Bob", "labels": {"m": "y"}},
        {"key": "three", "status": "completed", "agent_name": "Ada"},
    )
    for path in ("/projects/demo/runs", "/runs"):
        for query, keys in (
            ("status=running&status=failed", ["two", "one"]),
            ("status=running,failed", ["two", "one"]),
            ("agent=Ada,Bob&status=failed", ["two"]),
            ("label=m=x", ["one"]),
            ("label=m", ["two", "one"]),
            ("liveness=ok&sort=number", ["one", "two", "three"]),
            ("liveness=lost,stalled", []),
            ("q=THRE", ["three"]),
            ("q=ada%20o&sort=created_at", ["one"]),
            ("q=wo", ["two"]),
            ("created_after=2020-01-01T00:00:00Z&limit=1", ["three"]),
            ("parent=none&agent=Bob", ["two"]),
            ("key=two", ["two"]),
        ):
            page = await rest.admin.get(f"{path}?{query}")
            assert page.status_code == 200, page.text
            assert [run["key"] for run in page.json()["runs"]] == keys, (path, query)
        slim = (await rest.admin.get(f"{path}?fields=key,status&fields=number&limit=1")).json()
        assert slim["runs"] == [{"key": "three", "status": "completed", "number": 3}]
    run = (await rest.admin.get("/runs?key=one")).json()["runs"][0]["id"]
    assert [each["id"] for each in (await rest.admin.get(f"/runs?q={run}")).json()["runs"]] == [run]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (
            "/runs?created_after=2026-01-02T00:00:00Z&created_before=2026-01-01T00:00:00Z",
            "created_before",
        ),
        ("/runs?label=a=1&label=a=2", "label"),
        ("/runs?status=lost", "status.0"),
        ("/runs?parent=some-key", "parent"),
        ("/projects/demo/events/history?after=5&before=3", "before"),
        ("/projects/demo/runs?fields=idd", "fields"),
        ("/runs?attention=none", "attention"),
    ],
)
async def test_filters_that_contradict_are_refused(rest: Rest, path: str, field: str) -> None:
    refused = await rest.admin.get(path)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["field"] == f"query.{field}"


async def test_a_cursor_of_another_filter_is_refused(rest: Rest) -> None:
    await make(rest, {}, {}, {})
    page = (await rest.admin.get("/projects/demo/runs?limit=1")).json()
    for query in ("status=queued", "sort=number", "q=x"):
        refused = await rest.admin.get(
            f"/projects/demo/runs?limit=1&{query}&cursor={page['next_cursor']}"
        )
        assert refused.json()["errors"][0]["field"] == "query.cursor", query


async def test_a_total_beyond_ten_thousand_says_that_it_is_an_estimate(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(rest, *({"key": f"k{number}"} for number in range(20)))
    assert "total_estimated" not in (await rest.admin.get("/runs")).json()
    monkeypatch.setattr(totals, "EXACT", 5)
    monkeypatch.setattr(listing, "MANY", 6)
    for query in ("q=k1", "q=k1&status=awaiting_feedback", "created_after=2020-01-01&q=k1"):
        page = (await rest.admin.get(f"/runs?{query}")).json()
        assert page["total_estimated"] is True, query
        assert page["total"] >= 6
        assert len(page["runs"]) == 11
    exact = (await rest.admin.get("/runs?q=k1&status=failed")).json()
    assert (exact["total"], exact["runs"], "total_estimated" in exact) == (0, [], False)


async def test_a_page_of_many_is_planned_for_its_own_values(database_url: str) -> None:
    """A plan that the connection kept from before would sort."""
    statement = "SELECT current_setting('enable_sort'), current_setting('plan_cache_mode')"
    connection: Any = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            for are_many, values in ((True, ("off", "force_custom_plan")), (False, ("on", "auto"))):
                [row] = await listing._fetch(connection, statement, (), are_many=are_many)
                assert tuple(row) == values
    finally:
        await connection.close()


async def test_a_search_finds_what_the_caller_may_see_alone(rest: Rest) -> None:
    label = {"labels": {"for": "needles"}}
    one = await rest.run(key="hidden-needle", **label)
    await rest.run(key="other-needle", **label)
    await rest.project("gone")
    await rest.run("gone", key="gone-needle", **label)
    await rest.admin.delete("/projects/gone")
    made = await rest.admin.post("/projects/demo/share-links", json={"run_id": one})
    link = {"Authorization": f"Bearer {made.json()['token']}"}
    for query in ("q=needle", "label=for=needles", "q=needle&label=for=needles", "q=n"):
        for headers, keys in (
            (rest.person("stranger"), []),
            (link, ["hidden-needle"]),
            (dict(rest.admin.headers), ["other-needle", "hidden-needle"]),
        ):
            page = (await rest.admin.get(f"/runs?{query}", headers=headers)).json()
            assert [run["key"] for run in page["runs"]] == keys, query
            assert page["total"] == len(keys), query
    for query, keys in (
        ("label=for=needles&key=other-needle", ["other-needle"]),
        ("label=for=needles&key=", []),
        ("label=for=needle", []),
        ("label=for=needles&label=no=such", []),
        ("label=for=needles&q=hid", ["hidden-needle"]),
        ("label=for=needles&limit=1", ["other-needle"]),
    ):
        page = (await rest.admin.get(f"/projects/demo/runs?{query}")).json()
        assert [run["key"] for run in page["runs"]] == keys, query
