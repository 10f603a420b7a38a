"""The demo is what a newcomer sees first: a run that starts, works, asks and completes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.rest import Rest, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


async def open_questions(rest: Rest, run: str) -> list[dict[str, Any]]:
    answer = await rest.admin.get("/questions", params={"state": "open", "run": run})
    return [each for each in answer.json()["questions"] if each["run_id"] == run]


async def test_a_demo_starts_works_asks_and_completes(rest: Rest) -> None:
    run = await rest.run(status="queued")
    played = await rest.admin.post(f"/runs/{run}/demo?interval_s=0")
    assert played.status_code == 202
    await until(lambda: open_questions(rest, run))
    [question] = await open_questions(rest, run)
    working = (await rest.admin.get(f"/runs/{run}")).json()
    assert (working["current_step"], working["progress"]["percent"]) == ("outline", 100)
    assert working["started_at"] is not None
    assert working["last_line_number"] == 12
    await rest.admin.post(f"/questions/{question['id']}/answer", json={"option": "publish"})

    async def is_over() -> bool:
        return bool((await rest.admin.get(f"/runs/{run}")).json()["status"] == "completed")

    await until(is_over)


async def test_a_demo_of_a_run_that_has_ended_changes_nothing_of_it(rest: Rest) -> None:
    run = await rest.run(status="queued")
    await rest.admin.post(f"/runs/{run}/cancel")
    assert (await rest.admin.post(f"/runs/{run}/demo?interval_s=0")).status_code == 202

    async def has_all_lines() -> bool:
        return bool((await rest.admin.get(f"/runs/{run}")).json()["last_line_number"] == 12)

    await until(has_all_lines)
    shown = (await rest.admin.get(f"/runs/{run}")).json()
    assert (shown["status"], shown["progress"]) == ("cancelled", None)
