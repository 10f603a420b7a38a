"""Several runs at once, what runs measure, and another attempt with another input."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from runcast_api.artifacts import erased_objects
from runcast_api.runs import comparison, runs
from runcast_server.db import acquire
from runcast_server.errors import Unavailable
from runcast_server.eventlog import erasure
from tests.integration.rest import Rest, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


async def bulk(rest: Rest, *items: Any, **headers: str) -> Any:
    answer = await rest.admin.post(
        "/projects/demo/runs/bulk", json={"items": list(items)}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_item_that_is_refused_costs_itself_alone(rest: Rest) -> None:
    ended = await rest.run(key="ended", status="completed")
    told = await bulk(
        rest,
        {"op": "create", "body": {"key": "a", "status": "running"}},
        {"op": "create", "body": {"staus": "running"}},
        {"op": "patch", "run": "a", "body": {"labels": {"model": "m"}}},
        {"op": "cancel", "run": ended},
        {"op": "create", "body": {"key": "a"}},
        "nonsense",
        {"op": "delete", "run": "#1"},
        {"op": "cancel", "run": "absent"},
        {"op": "cancel", "run": "a"},
    )
    assert [one["status"] for one in told["results"]] == [
        201,
        422,
        200,
        409,
        409,
        422,
        200,
        404,
        200,
    ]
    assert (told["done"], told["refused"]) == (4, 5)
    assert "body.items.1.body.staus" in told["results"][1]["problem"]["detail"]
    changed = (await rest.admin.get("/runs/a", params={"project": "demo"})).json()
    assert changed["labels"] == {"model": "m"}
    members = ("id", "number", "key", "status", "updated_at")
    assert told["results"][8]["run"] == {name: changed[name] for name in members}
    assert told["results"][6]["deleted"]["run_id"] == ended
    assert told["results"][8]["run"]["status"] == "cancelled"
    assert (await rest.admin.get(f"/runs/{ended}")).status_code == 404
    kinds = [event["type"] for event in await rest.events()]
    assert kinds.count("run:created") == 1
    assert kinds[-2:] == ["run:deleted", "run:status_changed"]


async def test_a_thousand_are_done_once(rest: Rest) -> None:
    items = [{"op": "create", "body": {"key": f"k{number}"}} for number in range(1000)]
    first = await bulk(rest, *items, **{"Idempotency-Key": "once"})
    assert first["done"] == 1000
    assert await bulk(rest, *items, **{"Idempotency-Key": "once"}) == first
    page = (await rest.admin.get("/projects/demo/runs")).json()
    assert page["total"] == 1000
    refused = await rest.admin.post(
        "/projects/demo/runs/bulk", json={"items": [*items, {"op": "create"}]}
    )
    assert refused.status_code == 422
    gone = await bulk(rest, *({"op": "delete", "run": f"k{number}"} for number in range(60)))
    assert gone["done"] == 60


async def test_many_changes_of_a_large_run_have_a_short_answer(rest: Rest) -> None:
    await rest.run(key="large", input={"text": "x" * 100_000})
    items = [
        {"op": "patch", "run": "large", "body": {"metadata": {"n": number}}} for number in range(50)
    ]
    headers = {"Idempotency-Key": "many"}
    path = "/projects/demo/runs/bulk"
    first = await rest.admin.post(path, json={"items": items}, headers=headers)
    assert first.json()["done"] == 50, first.text
    assert len(first.content) < 20_000
    async with acquire(rest.resources.database.log) as connection:
        kept = await connection.fetchval("SELECT sum(length(body)) FROM idempotency_keys")
    assert kept < 20_000
    again = await rest.admin.post(path, json={"items": items}, headers=headers)
    assert again.json() == first.json()


async def test_a_repeated_bulk_makes_nothing_again_after_a_deletion(rest: Rest) -> None:
    items = [{"op": "create", "body": {"name": f"n{number}"}} for number in range(3)]
    first = await bulk(rest, *items, **{"Idempotency-Key": "once"})
    path, alone = "/projects/demo/runs", {"Idempotency-Key": "alone"}
    made = (await rest.admin.post(path, json={}, headers=alone)).json()
    gone = first["results"][1]["run"]["id"]
    for run in (gone, made["id"]):
        assert (await rest.admin.delete(f"/runs/{run}")).status_code == 200
    again = await bulk(rest, *items, **{"Idempotency-Key": "once"})
    assert [one["status"] for one in again["results"]] == [201, 410, 201]
    assert again["results"][1]["problem"]["type"] == "urn:runcast:problem:erased"
    assert again["results"][2] == first["results"][2]
    erased = await rest.admin.post(path, json={}, headers=alone)
    assert (erased.status_code, erased.json()["type"]) == (410, "urn:runcast:problem:erased")
    assert (await rest.admin.get("/projects/demo/runs")).json()["total"] == 2


async def test_a_deletion_that_is_rolled_back_loses_no_content(
    rest: Rest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def contents(data: Path) -> list[Path]:
        return [path for path in (data / "artifacts").rglob("*") if path.is_file()]

    run, other = await rest.run(), await rest.run()
    files = {"file": ("f", b"x" * 2_000_000)}
    path = f"/runs/{run}/artifacts"
    made = await rest.admin.post(path, data={"step_name": "s"}, files=files)
    content = f"/artifacts/{made.json()['id']}/content"

    async def away(*given: Any) -> None:
        raise Unavailable("the database went away")

    items = [{"op": "delete", "run": run}, {"op": "cancel", "run": other}]
    with monkeypatch.context() as patched:
        patched.setattr(runs, "cancel", away)
        answer = await rest.admin.post("/projects/demo/runs/bulk", json={"items": items})
        assert answer.status_code == 503, answer.text
    assert (await rest.admin.get(content)).content == files["file"][1]
    store, pool = rest.service.app.state.api.store, rest.resources.database.log  # type: ignore[union-attr]
    with monkeypatch.context() as patched:
        patched.setattr(store, "delete", away)
        assert (await bulk(rest, *items))["done"] == 2
    async with acquire(pool) as connection:
        assert await connection.fetchval("SELECT count(*) FROM erased_objects") == 1
        assert contents(tmp_path)
        await erased_objects.remove(pool, store)
        assert await connection.fetchval("SELECT count(*) FROM erased_objects") == 0
    assert not contents(tmp_path)


async def test_who_may_not_delete_may_still_create(rest: Rest) -> None:
    key = await rest.admin.post("/projects/demo/keys", json={"name": "k", "role": "reporter"})
    headers = {"Authorization": f"Bearer {key.json()['token']}"}
    run = await rest.run()
    told = await bulk(rest, {"op": "delete", "run": run}, {"op": "create"}, **headers)
    assert [one["status"] for one in told["results"]] == [403, 201]
    assert (await rest.admin.get(f"/runs/{run}")).status_code == 200
    absent = await bulk(rest, {"op": "delete", "run": "absent"})
    assert absent["refused"] == 1
    noted = "/admin/audit?action=runs_deleted"
    assert (await rest.admin.get(noted)).json()["entries"] == []
    await bulk(rest, {"op": "delete", "run": "1"}, {"op": "delete", "run": "absent"})
    [entry] = (await rest.admin.get(noted)).json()["entries"]
    assert entry["details"] == {"runs": [run]}


async def test_runs_are_compared_member_by_member(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await rest.run(input={"temperature": 0.2, "seed": 1}, labels={"model": "a"})
    two = await rest.run(input={"temperature": 0.9, "seed": 1}, labels={"model": "b"})
    await rest.admin.post(f"/runs/{two}/metrics", json={"metrics": {"loss": 0.5}})
    answer = await rest.admin.get("/runs/compare", params={"ids": f"{one},{two}"})
    told = answer.json()
    assert [run["id"] for run in told["runs"]] == [one, two]
    differences = {each["member"]: each["values"] for each in told["differences"]}
    assert differences == {
        "labels.model": ["a", "b"],
        "metrics.loss": [None, 0.5],
        "input.temperature": [0.2, 0.9],
    }
    assert answer.headers["Runcast-Head"]
    named = await rest.admin.get("/runs/compare", params={"ids": "1,#2", "project": "demo"})
    assert named.json() == told
    for ids, status in ((one, 422), (f"{one},0190a1b2-0000-7000-8000-000000000000", 404)):
        refused = await rest.admin.get("/runs/compare", params={"ids": ids})
        assert refused.status_code == status
    monkeypatch.setattr(comparison, "BYTES", 20)
    large = await rest.admin.get("/runs/compare", params={"ids": f"{one},{two}"})
    assert (large.status_code, "fewer runs" in large.text) == (413, True)
    stranger = rest.person("stranger")
    hidden = await rest.admin.get("/runs/compare", params={"ids": f"{one},{two}"}, headers=stranger)
    assert hidden.status_code == 404


async def test_a_run_whose_key_is_compare_is_shown(rest: Rest) -> None:
    query = {"project": "demo"}
    absent = await rest.admin.get("/runs/compare", params=query)
    assert absent.status_code == 404
    run = await rest.run(key="compare")
    answer = await rest.admin.get("/runs/compare", params=query)
    assert answer.json() == (await rest.admin.get(f"/runs/{run}")).json()
    hidden = await rest.admin.get("/runs/compare", params=query, headers=rest.person("stranger"))
    assert hidden.status_code == 404
    refused = await rest.admin.get("/runs/compare")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "query.ids")


async def test_metrics_are_kept_told_and_read_back_as_a_chart(rest: Rest) -> None:
    run = await rest.run(status="running")
    points = [
        {"metrics": {"loss": 1000.0 - step, "acc": step / 1000}, "step": step}
        for step in range(1000)
    ]
    kept = await rest.admin.post(f"/runs/{run}/metrics", json=points)
    assert (kept.status_code, kept.json()) == (201, {"metrics": {"loss": 1.0, "acc": 0.999}})
    await rest.admin.post(f"/runs/{run}/metrics", json={"metrics": {"loss": 0.5}, "step": 1000})
    assert (await rest.admin.get(f"/runs/{run}")).json()["metrics"] == {"loss": 0.5, "acc": 0.999}
    told = (await rest.events())[-1]
    assert told["type"] == "run:updated"
    assert told["data"]["changed"] == {"metrics": {"loss": 0.5, "acc": 0.999}}
    query = {"name": "loss", "points": 10}
    [series] = (await rest.admin.get(f"/runs/{run}/metrics", params=query)).json()["series"]
    assert (series["name"], series["count"], len(series["points"])) == ("loss", 1001, 10)
    first, last = series["points"][0], series["points"][-1]
    assert (first["max"], last["value"], last["step"]) == (1000.0, 0.5, 1000)
    assert sum(point["points"] for point in series["points"]) == 1001
    every = (await rest.admin.get(f"/runs/{run}/metrics")).json()
    assert ([each["name"] for each in every["series"]], every["more"]) == (["acc", "loss"], [])


async def test_points_are_bounded_and_go_in_steps(
    rest: Rest, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, other = await rest.run(), await rest.run()
    names = [f"m{number:02}" for number in range(23)]
    for each in (run, other):
        points = [{"metrics": dict.fromkeys(names, 1)}] * 10
        assert (await rest.admin.post(f"/runs/{each}/metrics", json=points)).status_code == 201
    shown = (await rest.admin.get(f"/runs/{run}/metrics")).json()
    assert ([one["name"] for one in shown["series"]], shown["more"]) == (names[:20], names[20:])
    many = await rest.admin.get(f"/runs/{run}/metrics", params={"name": ",".join(names)})
    assert many.status_code == 422

    quotas = rest.service.app.state.api.quotas  # type: ignore[union-attr]
    project = UUID((await rest.admin.get("/projects/demo")).json()["id"])
    with monkeypatch.context() as patched:
        patched.setattr(quotas, "_full", frozenset({project}))
        refused = await rest.admin.post(f"/runs/{run}/metrics", json={"metrics": {"a": 1}})
        assert refused.status_code == 429

    monkeypatch.setattr(erasure, "BATCH", 100)
    count = "SELECT count(*) FROM run_metrics WHERE run_id = $1"
    async with acquire(rest.resources.database.log) as connection:
        async with connection.transaction():
            await connection.execute("DELETE FROM runs WHERE id = $1", UUID(run))
            assert await connection.fetchval(count, UUID(run)) == 230
            await erasure.begin(connection, project, UUID(run), 0)
        assert await erasure.go_on(connection, UUID(run))
        assert await connection.fetchval(count, UUID(run)) == 130
        while await erasure.go_on(connection, UUID(run)):
            pass
        assert await connection.fetchval(count, UUID(run)) == 0
        await rest.admin.delete("/projects/demo")
        steps = 0
        while await connection.fetchval("SELECT purge_project($1, 100)", project):
            steps += 1
        assert steps > 3
        assert await connection.fetchval("SELECT count(*) FROM run_metrics") == 0
    refused = await rest.admin.post(f"/runs/{run}/metrics", json={"metrics": {"loss,acc": 1}})
    assert refused.status_code == 422
    [error] = [each for each in refused.json()["errors"] if "comma" in each["message"]]
    assert "metrics.loss,acc" in error["field"]


@pytest.mark.parametrize(
    "body",
    [
        {"metrics": {}},
        {"metrics": {"a": "x"}},
        {"metrics": {"a": None}},
        {"metrics": {f"m{number}": 1 for number in range(257)}},
        {"metrics": {"": 1}},
        {"metrics": {"a": 1}, "step": -1},
        [],
        [{"metrics": {"a": 1}}] * 1001,
    ],
)
async def test_metrics_that_are_none(rest: Rest, body: Any) -> None:
    run = await rest.run()
    refused = await rest.admin.post(f"/runs/{run}/metrics", json=body)
    assert refused.status_code == 422, refused.text
    assert (await rest.admin.get(f"/runs/{run}")).json()["metrics"] == {}


async def test_a_retry_with_another_input(rest: Rest) -> None:
    run = await rest.run(
        input={"a": 1}, labels={"x": "1", "y": "2"}, metadata={"m": 1}, status="failed"
    )
    again = await rest.admin.post(
        f"/runs/{run}/retry",
        json={"input": {"a": 2}, "labels": {"x": None, "z": "3"}, "metadata": {"n": 2}},
    )
    made = again.json()
    assert again.status_code == 201
    assert (made["input"], made["attempt"], made["retry_of"]) == ({"a": 2}, 2, run)
    assert made["labels"] == {"y": "2", "z": "3"}
    assert made["metadata"] == {"m": 1, "n": 2}
    same = (await rest.admin.post(f"/runs/{run}/retry")).json()
    assert same["input"] == {"a": 1}
    wrong = await rest.admin.post(f"/runs/{run}/retry", json={"inputs": 1})
    assert wrong.status_code == 422


async def test_a_done_task_is_reopened_and_finished_again(rest: Rest) -> None:
    task = (
        await rest.admin.post(
            "/projects/demo/tasks", json={"title": "t", "subtasks": [{"title": "s"}]}
        )
    ).json()
    early = await rest.admin.post(f"/tasks/{task['id']}/reopen")
    assert early.status_code == 409
    await rest.admin.post(f"/tasks/{task['id']}/activate")
    await rest.admin.post(f"/subtasks/{task['subtasks'][0]['id']}/skip")
    assert (await rest.admin.get(f"/tasks/{task['id']}")).json()["status"] == "DONE"
    reopened = await rest.admin.post(f"/tasks/{task['id']}/reopen", json={"reason": "one more"})
    assert reopened.json()["status"] == "ACTIVE"
    more = await rest.admin.post(f"/tasks/{task['id']}/subtasks", json={"title": "more"})
    assert more.status_code == 201
    await rest.admin.post(f"/subtasks/{more.json()['id']}/skip")
    assert (await rest.admin.get(f"/tasks/{task['id']}")).json()["status"] == "DONE"
