"""Runs over HTTP: what they become, what their events say, what is refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.rest import Rest, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


async def test_a_run_of_an_empty_body_has_the_defaults(rest: Rest) -> None:
    made = await rest.admin.post("/projects/demo/runs")
    run = made.json()
    assert made.status_code == 201
    assert (run["phase"], run["current_step"], run["status"]) == (
        "phase1",
        "idea",
        "awaiting_feedback",
    )
    assert run["steps"] == ["idea", "topic_critic", "outline"]
    assert run["step_timestamps"] == {"idea": run["created_at"]}
    assert made.headers["Runcast-Head"] == "1"


async def test_the_whole_life_of_a_run_is_told(rest: Rest) -> None:
    run = await rest.run(status="queued")
    for changes in (
        {"status": "running"},
        {"status": "awaiting_feedback"},
        {"status": "running", "current_step": "outline"},
        {"status": "completed", "result": {"ok": True}, "pr_url": "https://x/1"},
    ):
        answer = await rest.admin.patch(f"/runs/{run}", json=changes)
        assert answer.status_code == 200, answer.text
    events = await rest.events()
    assert [event["type"] for event in events] == [
        "run:created",
        "run:status_changed",
        "agent:started",
        "run:status_changed",
        "run:step_changed",
        "run:status_changed",
        "agent:started",
        "run:updated",
        "run:status_changed",
        "agent:completed",
    ]
    assert [event["id"] for event in events] == list(range(1, 11))
    assert events[-1]["data"]["result"] == {"ok": True}
    assert events[-1]["data"]["run"]["status"] == "completed"
    assert answer.headers["Runcast-Head"] == "10"
    shown = (await rest.admin.get(f"/runs/{run}")).json()
    assert shown["finished_at"] == events[-2]["data"]["at"]


async def test_the_events_applied_to_an_old_state_give_the_new_one(rest: Rest) -> None:
    run = await rest.run(status="running")
    state = (await rest.admin.get(f"/runs/{run}")).json()
    head = 2
    await rest.admin.patch(f"/runs/{run}", json={"current_step": "outline", "metadata": {"a": 1}})
    await rest.admin.post(f"/runs/{run}/progress", json={"stage": "x", "message": "m"})
    await rest.admin.patch(
        f"/runs/{run}", json={"status": "failed", "error": "no", "will_retry": True}
    )
    for event in await rest.events(after=head):
        data = event["data"]
        match event["type"]:
            case "run:status_changed":
                state |= {"status": data["new_status"], "updated_at": data["at"]}
                if data["new_status"] == "failed":
                    state["finished_at"] = data["at"]
            case "run:step_changed":
                state["current_step"] = data["new_step"]
                state["step_timestamps"].setdefault(data["new_step"], data["at"])
            case "run:updated":
                state |= data["changed"]
            case "run:progress":
                state["progress"] = {key: data[key] for key in data if key not in ("run_id", "at")}
    assert state == (await rest.admin.get(f"/runs/{run}")).json()


@pytest.mark.parametrize("ended", ["completed", "failed", "cancelled"])
async def test_a_terminal_state_never_changes(rest: Rest, ended: str) -> None:
    run = await rest.run()
    assert (await rest.admin.patch(f"/runs/{run}", json={"status": ended})).status_code == 200
    refused = await rest.admin.patch(f"/runs/{run}", json={"status": "running"})
    assert refused.status_code == 409
    assert ended in refused.json()["detail"]
    assert (await rest.admin.patch(f"/runs/{run}", json={"status": ended})).status_code == 200
    logged = await rest.admin.post(f"/runs/{run}/logs", json={"message": "late"})
    assert logged.status_code == 201
    kept = await rest.admin.post(f"/runs/{run}/artifacts", json={"step_name": "x", "content": 1})
    assert kept.status_code == 201


async def test_a_step_is_stamped_the_first_time_only(rest: Rest) -> None:
    run = await rest.run()
    first = (await rest.admin.patch(f"/runs/{run}", json={"current_step": "outline"})).json()
    await rest.admin.patch(f"/runs/{run}", json={"current_step": "idea"})
    again = (await rest.admin.patch(f"/runs/{run}", json={"current_step": "outline"})).json()
    assert again["step_timestamps"] == first["step_timestamps"]
    refused = await rest.admin.patch(f"/runs/{run}", json={"current_step": "elsewhere"})
    assert refused.json()["errors"][0]["field"] == "body.current_step"
    assert refused.status_code == 422


async def test_a_stage_that_is_a_step_becomes_the_current_one(rest: Rest) -> None:
    run = await rest.run()
    told = {"stage": "outline", "message": "writing", "percent": 40}
    assert (await rest.admin.post(f"/runs/{run}/progress", json=told)).status_code == 201
    await rest.admin.post(f"/runs/{run}/progress", json={"stage": "other", "message": "…"})
    status = (await rest.admin.get(f"/runs/{run}/status?last=1")).json()
    assert [event["stage"] for event in status["events"]] == ["other"]
    none = await rest.admin.get(f"/runs/{run}/status?last=0")
    assert (none.status_code, none.json()["events"]) == (200, [])
    assert (await rest.admin.get(f"/runs/{run}")).json()["current_step"] == "outline"


async def test_an_id_of_ones_own_is_taken_once(rest: Rest) -> None:
    await rest.project("other")
    id = str(uuid4())
    assert await rest.run(id=id, name="first") == id
    again = await rest.admin.post("/projects/demo/runs", json={"id": id, "name": "second"})
    assert (again.status_code, again.json()["name"]) == (200, "first")
    elsewhere = await rest.admin.post("/projects/other/runs", json={"id": id})
    assert elsewhere.status_code == 409


async def test_a_key_stands_for_the_id_in_its_project(rest: Rest) -> None:
    run = await rest.run(key="nightly.1")
    refused = await rest.admin.post("/projects/demo/runs", json={"key": "nightly.1"})
    assert (refused.status_code, refused.json()["run_id"]) == (409, run)
    assert (await rest.admin.get("/runs/nightly.1?project=demo")).json()["id"] == run
    assert (await rest.admin.get("/runs/nightly.1")).status_code == 422
    logged = await rest.admin.post("/runs/nightly.1/logs?project=demo", json={"message": "x"})
    assert logged.json()["run_id"] == run


async def test_many_with_one_key_make_one_run(rest: Rest) -> None:
    answers = await asyncio.gather(
        *(rest.admin.post("/projects/demo/runs", json={"key": "one"}) for _ in range(20))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert len(await rest.events()) == 1


async def test_cancelling_twice_is_cancelling_once(rest: Rest) -> None:
    run = await rest.run(status="running")
    for _ in range(2):
        answer = await rest.admin.post(f"/runs/{run}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    beat = await rest.admin.post(f"/runs/{run}/heartbeat")
    assert beat.json() == {"status": "cancelled", "cancelled": True}
    assert len([e for e in await rest.events() if e["type"] == "run:status_changed"]) == 1


async def test_a_retry_is_a_new_run_and_leaves_the_old_one(rest: Rest) -> None:
    run = await rest.run(key="k", name="n", input={"prompt": "p"}, steps=["a", "b"])
    await rest.admin.patch(f"/runs/{run}", json={"status": "failed", "error": "x"})
    retried = await rest.admin.post(f"/runs/{run}/retry")
    new = retried.json()
    assert retried.status_code == 201
    assert (new["attempt"], new["retry_of"], new["status"]) == (2, run, "queued")
    assert (new["input"], new["steps"], new["error"]) == ({"prompt": "p"}, ["a", "b"], None)
    assert (await rest.admin.get(f"/runs/{run}")).json()["status"] == "failed"


async def test_active_runs_are_those_at_work(rest: Rest) -> None:
    working = await rest.run(status="running")
    paused = await rest.run(status="running")
    await rest.admin.patch(f"/runs/{paused}", json={"status": "awaiting_feedback"})
    await rest.run()
    done = await rest.run(status="running")
    await rest.admin.patch(f"/runs/{done}", json={"status": "completed"})
    active = (await rest.admin.get("/projects/demo/active-runs")).json()["runs"]
    assert {run["id"] for run in active} == {working, paused}


async def test_lists_go_on_by_cursor_of_their_own_query(rest: Rest) -> None:
    made = [await rest.run(status="queued") for _ in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": 2, "status": "queued"} | ({"cursor": cursor} if cursor else {})
        page = (await rest.admin.get("/projects/demo/runs", params=query)).json()
        assert page["total"] == 5
        seen += [run["id"] for run in page["runs"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        kept = cursor
    assert seen == made[::-1]
    foreign = await rest.admin.get("/projects/demo/runs", params={"cursor": kept})
    assert foreign.status_code == 422
    everywhere = (await rest.admin.get("/runs", params={"status": "queued"})).json()
    assert everywhere["total"] == 5


async def test_runs_are_searched_by_words(rest: Rest) -> None:
    painter = await rest.run(name="Sprite Painter", agent_name="Coder", key="nightly-7")
    tuner = await rest.run(name="Physics 100% tuner", agent_name="Coder")
    odd = await rest.run(name=r"a_b\c")

    async def found(q: str, path: str = "/projects/demo/runs", **query: str) -> list[str]:
        answer = await rest.admin.get(path, params={"q": q} | query)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["total"] == len(page["runs"])
        return [run["id"] for run in page["runs"]]

    assert await found("PAINT") == [painter]
    assert await found("coder  sprite") == [painter]
    assert await found("coder", status="queued") == []
    assert await found("coder") == [tuner, painter]
    assert await found("nightly") == [painter]
    assert await found(tuner[:18]) == [
        run for run in (odd, tuner, painter) if run[:18] == tuner[:18]
    ]
    assert await found("coder", path="/runs") == [tuner, painter]
    # What means something in a pattern means itself here.
    assert await found("100%") == [tuner]
    assert await found("%t%") == []
    assert await found("a_b") == [odd]
    assert await found("t_r") == []
    assert await found("b\\c") == [odd]
    assert await found("  ") == [odd, tuner, painter]


async def test_a_search_is_paged(rest: Rest) -> None:
    made = [await rest.run(name=f"Batch {n}" if n % 2 else "Other") for n in range(10)]
    query = {"q": "batch", "limit": 2}
    seen: list[str] = []
    while True:
        page = (await rest.admin.get("/projects/demo/runs", params=query)).json()
        seen += [run["id"] for run in page["runs"]]
        assert page["total"] == 5
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == made[::-2]
    other = await rest.admin.get("/projects/demo/runs", params=query | {"q": "other"})
    assert other.status_code == 422


async def test_what_is_shown_is_the_state_at_its_head(rest: Rest) -> None:
    """Under load, each answer's `last_line_number` is the number of lines up to its head."""
    run = await rest.run()

    async def write() -> None:
        for number in range(60):
            await rest.admin.post(f"/runs/{run}/logs", json={"message": str(number)})

    async def read() -> None:
        while not writing.done():
            answer = await rest.admin.get(f"/runs/{run}")
            assert int(answer.headers["Runcast-Head"]) == 1 + answer.json()["last_line_number"]

    writing = asyncio.create_task(write())
    await asyncio.gather(writing, read(), read())
