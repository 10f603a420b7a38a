"""What a run carries besides its course: number, labels, parent, attention, usage, aliases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.integration import ingesting
from tests.integration.folding import State
from tests.integration.rest import Rest, serving

pytestmark = pytest.mark.anyio

IDLE = {"kind": "idle", "since": "2026-11-26T08:00:04Z", "summary": "Done."}
USAGE = {
    "input_tokens": 16,
    "output_tokens": 180,
    "requests": 4,
    "cost_usd": 0.04,
    "cost_by": "agent",
}


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


async def shown(rest: Rest, run: str, **query: Any) -> dict[str, Any]:
    answer = await rest.admin.get(f"/runs/{quote(run)}", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def numbers(rest: Rest, **query: Any) -> list[int]:
    """The numbers of the runs that a query lists, over all its pages."""
    found: list[int] = []
    cursor = None
    while True:
        params = {"limit": 2, "cursor": cursor} | query
        given = {name: value for name, value in params.items() if value is not None}
        page = await rest.admin.get("/projects/demo/runs", params=given)
        assert page.status_code == 200, page.text
        found += [run["number"] for run in page.json()["runs"]]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            assert page.json()["total"] == len(found)
            return found


async def test_runs_are_numbered_without_holes_and_found_by_number(rest: Rest) -> None:
    await asyncio.gather(*(rest.run(key=f"k{n}") for n in range(5)))
    repeated = await rest.admin.post("/projects/demo/runs", json={"key": "k1"})
    assert repeated.status_code == 409
    await rest.project("other")
    assert (await shown(rest, await rest.run("other")))["number"] == 1
    last = await rest.run(key="2")
    assert await numbers(rest, sort="number") == [1, 2, 3, 4, 5, 6]
    assert (await shown(rest, last))["number"] == 6
    for name in ("#6", "6", last):
        assert (await shown(rest, name, project="demo"))["id"] == last
    assert (await shown(rest, "2", project="demo"))["id"] == last, "a key wins over a number"
    assert (await shown(rest, "#2", project="demo"))["number"] == 2
    answer = await rest.admin.get("/runs/%237", params={"project": "demo"})
    assert answer.status_code == 404


async def test_what_is_said_about_a_run_is_kept_told_and_folded(rest: Rest) -> None:
    parent = await rest.run(key="p", status="running")
    run = await rest.run(
        labels={"team": "a", "env": "prod"}, parent_key="p", attention=IDLE, aliases=["claude-1"]
    )
    made = await shown(rest, run)
    assert made["attention"] == {
        "kind": "idle",
        "since": "2026-11-26T08:00:04.000Z",
        "summary": "Done.",
        "question_id": None,
    }
    assert (made["parent_run_id"], made["aliases"]) == (parent, ["claude-1"])
    state = State()
    state.show_run(made)
    changes = {
        "labels": {"env": None, "x": "y"},
        "usage": USAGE,
        "aliases": ["a", "b"],
        "name": "n",
    }
    for body in (changes, {"attention": None, "parent_run_id": None}):
        answer = await rest.admin.patch(f"/runs/{run}", json=body)
        assert answer.status_code == 200, answer.text
    now = await shown(rest, run)
    assert now["labels"] == {"team": "a", "x": "y"}
    assert now["usage"]["output_tokens"] == 180
    assert (now["attention"], now["parent_run_id"], now["name"]) == (None, None, "n")
    for event in await rest.events():
        if event["type"] != "run:created":
            state.apply(event["type"], event["data"])
    del now["artifacts"], now["usage_total"]
    assert state.runs[run] == now
    assert (await shown(rest, "b", project="demo"))["id"] == run
    gone = await rest.admin.get("/runs/claude-1", params={"project": "demo"})
    assert gone.status_code == 404


async def test_lists_are_filtered_and_sorted(rest: Rest) -> None:
    one = await rest.run(agent_name="claude", labels={"env": "prod", "team": "a"}, status="running")
    two = await rest.run(agent_name="codex", labels={"env": "test"}, attention=IDLE)
    await rest.run(agent_name="codex", parent_run_id=one, attention={"kind": "permission"})
    assert await numbers(rest) == [3, 2, 1]
    for query, wanted in (
        ({"label": "env=prod"}, [1]),
        ({"label": "env:test"}, [2]),
        ({"label": "env"}, [2, 1]),
        ({"label": ["env=prod", "team=b"]}, []),
        ({"agent": "codex"}, [3, 2]),
        ({"agent": "codex,claude"}, [3, 2, 1]),
        ({"attention": "permission,question"}, [3]),
        ({"attention": "any"}, [3, 2]),
        ({"parent": "none"}, [2, 1]),
        ({"parent": "#1"}, [3]),
        ({"created_after": (await shown(rest, two))["created_at"]}, [3, 2]),
        ({"created_before": (await shown(rest, two))["created_at"]}, [1]),
        ({"sort": "created_at"}, [1, 2, 3]),
        ({"sort": "-number", "status": "running"}, [1]),
        ({"sort": "attention"}, [3, 2, 1]),
        ({"sort": "-attention"}, [1, 2, 3]),
    ):
        assert await numbers(rest, **query) == wanted, query
    children = (await rest.admin.get(f"/runs/{one}/children")).json()
    assert [run["number"] for run in children["runs"]] == [3]
    page = await rest.admin.get("/projects/demo/runs?fields=number,status&limit=1")
    assert page.json()["runs"] == [{"number": 3, "status": "awaiting_feedback"}]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sort=size", "query.sort"),
        ("fields=id,nope", "query.fields"),
        ("attention=hungry", "query.attention"),
        ("parent=nope", "query.parent"),
        ("created_after=noon", "query.created_after"),
    ],
)
async def test_a_bad_filter_is_named(rest: Rest, query: str, field: str) -> None:
    answer = await rest.admin.get(f"/projects/demo/runs?{query}")
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]


async def test_names_and_parents_that_cannot_be(rest: Rest) -> None:
    one = await rest.run(key="one", aliases=["uno"])
    two = await rest.run(key="two", parent_run_id=one)
    for path, body, status in (
        ("", {"key": "uno"}, 409),
        ("", {"aliases": ["one"]}, 409),
        ("", {"aliases": ["uno"]}, 409),
        (two, {"aliases": ["uno"]}, 409),
        (one, {"aliases": ["uno", "eins"]}, 200),
        (one, {"parent_run_id": two}, 422),
        (one, {"parent_key": "one"}, 422),
        (one, {"labels": {f"k{n}": "v" for n in range(65)}}, 422),
        (one, {"labels": {"a b": "v"}}, 422),
        (one, {"labels": None}, 422),
        (one, {"usage": {"input_tokens": -1}}, 422),
        (one, {"attention": {"kind": "hungry"}}, 422),
    ):
        method, url = ("PATCH", f"/runs/{path}") if path else ("POST", "/projects/demo/runs")
        answer = await rest.admin.request(method, url, json=body)
        assert answer.status_code == status, (body, answer.text)
    long = {"kind": "question", "summary": "x" * 2000}
    cut = await rest.admin.patch(f"/runs/{one}", json={"attention": long})
    assert len(cut.json()["attention"]["summary"]) == 500
    orphan = await rest.run(parent_key="later")
    parent = (await shown(rest, orphan))["parent_run_id"]
    assert parent == (await shown(rest, "later", project="demo"))["id"]
    assert (await shown(rest, parent))["steps"] == []


async def test_a_parent_that_was_named_first_is_filled_in_later(rest: Rest) -> None:
    child = await rest.run(parent_key="later")
    bare = (await shown(rest, child))["parent_run_id"]
    about = {"agent": {"program": "claude"}}
    made = await rest.admin.post(
        "/projects/demo/runs",
        json={"key": "later", "name": "Parent", "steps": ["a", "b"], "agent_name": "claude",
              "agent_type": "SESSION", "input": {"x": 1}, "metadata": about, "status": "running",
              "labels": {"team": "red"}},
    )  # fmt: skip
    assert (made.status_code, made.json()["id"]) == (201, bare), made.text
    run = await shown(rest, bare)
    assert (run["name"], run["steps"], run["current_step"]) == ("Parent", ["a", "b"], "a")
    assert (run["status"], run["input"], run["metadata"]) == ("running", {"x": 1}, about)
    assert (run["agent_name"], run["labels"]) == ("claude", {"team": "red"})
    again = await rest.admin.post("/projects/demo/runs", json={"key": "later", "name": "Other"})
    assert again.status_code == 409, "it is filled in once"
    other = await rest.run(parent_key="taken")
    theirs = await rest.admin.post("/projects/demo/runs", json={"id": child, "key": "taken"})
    assert theirs.json()["id"] == child, "another run's id fills in nothing"
    assert (await shown(rest, (await shown(rest, other))["parent_run_id"]))["name"] is None
    events = await rest.events(types="run:created,run:updated")
    folded = {}
    for event in events:
        data = event["data"]
        folded |= data["run"] if data.get("run", {}).get("id") == bare else {}
        folded |= data["changed"] if data.get("run_id") == bare and "changed" in data else {}
    assert {name: folded[name] for name in ("name", "steps", "agent_name", "labels")} == {
        name: run[name] for name in ("name", "steps", "agent_name", "labels")
    }


async def test_messages_of_a_child_may_come_before_its_parents(
    database_url: str, redis_url: str
) -> None:
    parent, child = str(uuid4()), str(uuid4())
    async with ingesting.opened(database_url, redis_url) as ingest, ingest.running():
        await ingest.project()
        started = {"type": "agent:started", "project": "demo"}
        await ingest.send(
            started | {"run_id": child, "data": {"name": "Child", "parent_run_id": parent}},
            started | {"run_id": parent, "data": {"name": "Parent", "key": "p", "steps": ["x"]}},
        )
        await ingest.drained()
        assert await ingest.rejects() == []
        rows = await ingest.rows("SELECT * FROM runs ORDER BY name")
        assert [(row["name"], row["status"]) for row in rows] == [
            ("Child", "running"),
            ("Parent", "running"),
        ]
        assert rows[0]["parent_run_id"] == rows[1]["id"]
        assert (rows[1]["key"], rows[1]["steps"]) == ("p", ["x"])


async def test_messages_say_the_same_and_find_runs_by_their_aliases(
    database_url: str, redis_url: str
) -> None:
    async with ingesting.opened(database_url, redis_url) as ingest, ingest.running():
        await ingest.project()
        made_of = {
            "parent_key": "claude-1",
            "aliases": ["other"],
            "labels": {"a": "b"},
            "steps": [],
        }
        child: dict[str, Any] = {"project": "demo", "key": "claude-1.sub"}
        parent = {"project": "demo", "key": "claude-1", "run": {"name": "made bare before"}}
        waits = {"attention": {"kind": "permission", "summary": "Bash: ls"}, "usage": USAGE}
        await ingest.send(
            {"type": "run:updated", "data": waits, "run": made_of} | child,
            {"type": "agent:log", "data": {"message": "m"}} | parent,
            {"type": "run:updated", "data": {"attention": None}, "project": "demo", "key": "other"},
        )
        await ingest.drained()
        assert await ingest.rejects() == []
        [one, two] = await ingest.rows("SELECT * FROM runs ORDER BY key")
        assert (one["key"], two["key"]) == ("claude-1", "claude-1.sub")
        assert (two["parent_run_id"], two["labels"]) == (one["id"], {"a": "b"})
        assert (two["attention"], two["usage"]["requests"]) == (None, 4)
        assert one["last_line_number"] == 1
