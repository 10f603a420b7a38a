"""Usage: each token counts once, is priced by its request, and budgets speak once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from runcast import RunTracker
from runcast._support import times
from runcast_api.runs.annotations import Usage
from runcast_api.usage.budgets import Budgets
from tests.integration import ingesting
from tests.integration.rest import Rest, serving

pytestmark = pytest.mark.anyio

MODEL = "claude-sonnet-4-5"
MILLION = 1_000_000
"""Of small requests it costs 3 dollars as input, 15 as output, 0.3 read from a cache, 3.75 written."""


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


async def report(rest: Rest, run: str, **usage: Any) -> dict[str, Any]:
    answer = await rest.admin.patch(f"/runs/{run}", json={"usage": usage})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["usage"]
    return found


async def rows(rest: Rest, **query: Any) -> dict[str, dict[str, Any]]:
    shown = await rest.admin.get("/projects/demo/usage", params=query)
    assert shown.status_code == 200, shown.text
    return {row["key"]: row for row in shown.json()["rows"]}


async def test_totals_are_priced_by_request_and_counted_once(rest: Rest) -> None:
    run = await rest.run(agent_name="claude", status="running")
    small = {"requests": 100, "input_tokens": MILLION, "output_tokens": MILLION,
             "cache_read_tokens": MILLION, "cache_write_tokens": MILLION}  # fmt: skip
    shown = await report(rest, run, **small, by_model={MODEL: small})
    assert shown["cost_by"] == "estimate"
    assert shown["cost_usd"] == pytest.approx(3 + 15 + 0.3 + 3.75)
    again = await report(rest, run, **small, by_model={MODEL: small})
    assert again == shown, "a repeated report adds nothing"
    unknown = {"requests": 1, "input_tokens": 10, "output_tokens": 5}
    both = {MODEL: small, "a-model-of-tomorrow": unknown}
    total = {name: small[name] + unknown.get(name, 0) for name in small}
    grown = await report(rest, run, **total, by_model=both)
    assert grown["cost_usd"] == shown["cost_usd"]
    assert grown["by_model"]["a-model-of-tomorrow"]["cost_usd"] is None, "unknown, never 0"
    by_model = await rows(rest, group="model")
    assert by_model[MODEL]["cost_usd"] == pytest.approx(22.05)
    assert (by_model[MODEL]["requests"], by_model[MODEL]["cost_known_share"]) == (100, 1)
    assert by_model["a-model-of-tomorrow"]["cost_known_share"] == 0
    [day] = (await rows(rest)).values()
    assert day["input_tokens"] == MILLION + 10
    assert (await rows(rest, group="agent")).keys() == {"claude"}
    assert (await rows(rest, group="run")).keys() == {run}
    assert await rows(rest, to="2020-01-01") == {}


async def test_requests_count_once_and_two_are_not_priced_as_one(rest: Rest) -> None:
    run = await rest.run(status="running")

    async def add(*ids: str) -> dict[str, Any]:
        requests = [{"id": id, "model": MODEL, "input_tokens": 120_000} for id in ids]
        answer = await rest.admin.post(f"/runs/{run}/usage", json={"requests": requests})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["usage"]
        return found

    await add("a", "b", "a")
    usage = await add("b")
    assert (usage["requests"], usage["input_tokens"]) == (2, 240_000)
    assert usage["cost_usd"] == pytest.approx(2 * 0.36), (
        "one request of 240,000 would cost twice as much"
    )
    one = await rest.run(status="running")
    whole = await report(rest, one, requests=1, input_tokens=240_000, by_model={
        MODEL: {"requests": 1, "input_tokens": 240_000}})  # fmt: skip
    assert whole["cost_usd"] == pytest.approx(1.44)


async def test_the_agents_own_cost_wins_and_descendants_are_added_up(rest: Rest) -> None:
    parent = await rest.run(key="p", status="running", agent_name="claude")
    child = await rest.run(parent_key="p", status="running")
    grandchild = await rest.run(parent_run_id=child, status="running")
    for run, cost in ((parent, 0.5), (child, 0.25), (grandchild, 0.125)):
        usage = await report(rest, run, requests=2, input_tokens=10, cost_usd=cost, cost_by="agent")
        assert (usage["cost_usd"], usage["cost_by"]) == (cost, "agent")
    shown = (await rest.admin.get(f"/runs/{parent}")).json()
    assert shown["usage"]["cost_usd"] == 0.5
    assert (shown["usage_total"]["cost_usd"], shown["usage_total"]["requests"]) == (0.875, 6)
    await report(rest, parent, requests=3, input_tokens=12, cost_usd=0.75)
    [day] = (await rows(rest)).values()
    assert day["cost_usd"] == pytest.approx(1.125)


async def test_a_budget_asks_once_also_after_a_restart(rest: Rest) -> None:
    def fresh() -> Budgets:
        """What a process that was just started has."""
        return Budgets(rest.resources.database.log, rest.resources.eventlog)

    budget = {"max_cost_usd": 1.0, "action": "ask"}
    run = await rest.run(key="p", status="running", budget=budget)
    child = await rest.run(parent_key="p", status="running")
    stopped = await rest.run(status="running", budget={"max_tokens": 100, "action": "cancel"})
    await report(rest, child, requests=1, input_tokens=1, cost_usd=0.85)
    await report(rest, stopped, requests=1, input_tokens=99)
    for _ in range(2):
        await fresh().look()
    shown = (await rest.admin.get(f"/runs/{run}")).json()
    assert (shown["status"], shown["attention"]["kind"]) == ("running", "budget")
    await report(rest, run, requests=1, input_tokens=1, cost_usd=0.2)
    await report(rest, stopped, requests=2, input_tokens=100)
    for _ in range(2):
        await fresh().look()
    [question] = (await rest.admin.get("/questions?state=open")).json()["questions"]
    assert (await rest.admin.get(f"/runs/{stopped}")).json()["status"] == "cancelled"
    go_on = {"option": "continue"}
    assert (await rest.admin.post(f"/questions/{question['id']}/answer", json=go_on)).is_success
    await report(rest, run, requests=2, input_tokens=1, cost_usd=5.0)
    await fresh().look()
    assert (await rest.admin.get("/questions")).json()["total"] == 1
    assert (await rest.admin.get(f"/runs/{run}")).json()["status"] == "running"
    raised = await rest.admin.patch(f"/runs/{run}", json={"budget": budget | {"max_cost_usd": 2.0}})
    assert raised.json()["budget"]["max_cost_usd"] == 2.0
    await fresh().look()
    [again] = (await rest.admin.get("/questions?state=open")).json()["questions"]
    stop = {"option": "stop"}
    assert (await rest.admin.post(f"/questions/{again['id']}/answer", json=stop)).is_success
    assert (await rest.admin.get(f"/runs/{run}")).json()["status"] == "cancelled"
    bad = await rest.admin.patch(f"/runs/{child}", json={"budget": {"action": "ask"}})
    assert bad.status_code == 422


async def test_messages_report_requests_too(database_url: str, redis_url: str) -> None:
    async with ingesting.opened(database_url, redis_url) as ingest, ingest.running():
        run_id = str(await ingest.run(await ingest.project()))
        request = {"id": "r", "model": MODEL, "output_tokens": MILLION // 10}
        message = {"type": "run:usage", "run_id": run_id, "data": {"requests": [request]}}
        await ingest.send(message, message)
        await ingest.drained()
        assert await ingest.rejects() == []
        [row] = await ingest.rows("SELECT usage FROM runs")
        assert row["usage"]["cost_usd"] == pytest.approx(1.5)


async def test_messages_bring_points_of_metrics_too(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """As the SDK writes them; one that can't be kept is a reject, and the others are kept."""
    with RunTracker(runs_dir=tmp_path, offline=True) as run:
        for step in range(3):
            run.metric("loss", 1.0 - step / 4, step=2**40 + step)
    spool = (tmp_path / str(run.run_id) / "spool.jsonl").read_bytes().splitlines()
    points = [each for each in map(orjson.loads, spool) if each["type"] == "run:metrics"]
    async with ingesting.opened(database_url, redis_url) as ingest, ingest.running():
        run_id = str(await ingest.run(await ingest.project()))
        sent = [each | {"run_id": run_id, "id": f"p{n}"} for n, each in enumerate(points)]
        bad = {"type": "run:metrics", "run_id": run_id, "data": {"metrics": {"loss": "x"}}}
        await ingest.send(sent[0], sent[0], bad, *sent[1:])
        await ingest.drained()
        [(reason, _)] = await ingest.rejects()
        assert "metrics.loss" in reason
        rows = await ingest.rows("SELECT place, step, value, at FROM run_metrics ORDER BY place")
        assert [(row["place"], row["step"] - 2**40, row["value"]) for row in rows] == [
            (1, 0, 1.0),
            (2, 1, 0.75),
            (3, 2, 0.5),
        ]
        assert times.to_milliseconds(rows[0]["at"]) == points[0]["data"]["ts"]
        [row] = await ingest.rows("SELECT metrics FROM runs")
        assert row["metrics"] == {"loss": 0.5}


async def test_a_projects_budget_is_each_new_runs_own(rest: Rest) -> None:
    before = await rest.run()
    budget = {"max_cost_usd": 5.0, "max_tokens": None, "action": "ask"}
    changed = await rest.admin.patch("/projects/demo", json={"run_budget": budget})
    assert changed.json()["run_budget"] == budget
    kept = await rest.admin.patch("/projects/demo", json={"name": "Demo"})
    assert kept.json()["run_budget"] == budget
    root, own = await rest.run(), await rest.run(budget={"max_tokens": 7})
    child = await rest.run(parent_run_id=root)

    async def of(run: str) -> Any:
        return (await rest.admin.get(f"/runs/{run}")).json()["budget"]

    assert [await of(run) for run in (before, root, child)] == [None, budget, None]
    assert (await of(own))["max_tokens"] == 7
    for bad in (
        {"action": "ask"},
        {"max_cost_usd": -1},
        {"max_tokens": 0},
        {"max_tokens": 1, "x": 2},
        [],
    ):
        refused = await rest.admin.patch("/projects/demo", json={"run_budget": bad})
        assert refused.status_code == 422, bad
        assert refused.json()["errors"][0]["field"].startswith("body.run_budget")
    none = await rest.admin.patch("/projects/demo", json={"run_budget": None})
    assert none.json()["run_budget"] is None
    assert await of(await rest.run()) is None


async def test_many_models_and_costs_stay_what_the_description_allows(rest: Rest) -> None:
    run = await rest.run()
    requests = [{"id": f"r{n}", "model": f"m{n}", "cost_usd": 9e11} for n in range(100)]
    answer = await rest.admin.post(f"/runs/{run}/usage", json={"requests": requests})
    assert answer.status_code == 200, answer.text
    shown = Usage.model_validate(answer.json()["usage"])
    assert len(shown.by_model) == 64
    assert shown.by_model["others"].requests == 37
