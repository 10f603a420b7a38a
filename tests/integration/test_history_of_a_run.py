"""A run's events among others: the same as all of the project's with the others left out, page by page."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.rest import Rest, serving

pytestmark = pytest.mark.anyio

CHANGES = 60


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


async def lived(rest: Rest, runs: list[str]) -> None:
    """Lines and other events of the runs, in a random order."""
    chance = random.Random(7)
    for number in range(CHANGES):
        run = chance.choice(runs)
        if chance.random() < 0.6:
            lines = [{"message": f"{number}"}] * chance.randint(1, 4)
            await rest.admin.post(f"/runs/{run}/logs", json=lines)
        else:
            await rest.admin.patch(f"/runs/{run}", json={"name": f"{number}"})


@pytest.mark.parametrize("types", [None, "agent:log", "run:updated", "agent:log,run:updated"])
async def test_a_page_of_a_run_is_the_project_s_without_the_others(
    rest: Rest, types: str | None
) -> None:
    runs = [await rest.run(), await rest.run(), await rest.run(status="queued")]
    await lived(rest, runs[:2])
    everything = await rest.events()
    last = everything[-1]["id"]
    kind = {} if types is None else {"types": types}
    for run in runs:
        expected = [
            event
            for event in everything
            if event["data"].get("run_id", event["data"].get("id")) == run
            and (types is None or event["type"] in types.split(","))
        ]
        asked: dict[str, Any] = {"run_id": run} | kind
        assert await rest.events(**asked) == expected
        for place in range(0, last + 2, 5):
            after = [event for event in expected if event["id"] > place]
            before = [event for event in expected if event["id"] < place]
            assert await rest.events(**asked, after=place, limit=3) == after[:3]
            assert await rest.events(**asked, before=place, limit=3) == before[-3:]
            between = [event for event in after if event["id"] < place + 20]
            assert await rest.events(**asked, after=place, before=place + 20) == between
