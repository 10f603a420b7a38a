"""Projects over HTTP: whose they are, what is shown of them, and how they end."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from runcast_api.artifacts.store import ArtifactStore
from runcast_api.maintenance.sweeper import Sweeper
from runcast_server.db import acquire
from runcast_server.eventlog.bus import Keys
from runcast_server.eventlog.publisher import Publisher
from tests.integration.rest import Rest, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        yield rest


async def test_who_makes_a_project_owns_it(rest: Rest) -> None:
    ann, bob = rest.person("ann"), rest.person("bob")
    made = await rest.admin.post("/projects", json={"name": "Ann's Plan — 1"}, headers=ann)
    assert (made.status_code, made.json()["slug"], made.json()["role"]) == (
        201,
        "ann-s-plan-1",
        "owner",
    )
    assert made.headers["Runcast-Head"] == "0"
    same_name = await rest.admin.post("/projects", json={"name": "Ann's Plan — 1"}, headers=bob)
    assert same_name.json()["slug"] == "ann-s-plan-1-2"
    mine = (await rest.admin.get("/projects", headers=ann)).json()
    assert ([project["slug"] for project in mine["projects"]], mine["total"]) == (
        ["ann-s-plan-1"],
        1,
    )
    assert (await rest.admin.get("/projects")).json()["total"] == 2


async def test_projects_may_be_for_admins_to_make(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with serving(database_url, redis_url, tmp_path, project_creation="admin") as rest:
        body = {"name": "x"}
        refused = await rest.admin.post("/projects", json=body, headers=rest.person("ann"))
        assert refused.status_code == 403
        assert (await rest.admin.post("/projects", json=body)).status_code == 201


async def test_another_name_and_slug(rest: Rest) -> None:
    await rest.project("one")
    await rest.project("two")
    renamed = await rest.admin.patch("/projects/one", json={"name": "First", "slug": "first"})
    assert (renamed.json()["name"], renamed.json()["slug"]) == ("First", "first")
    assert (await rest.admin.get("/projects/one")).status_code == 404
    taken = await rest.admin.patch("/projects/first", json={"slug": "two"})
    assert taken.status_code == 409


async def test_lists_go_on_by_cursor(rest: Rest) -> None:
    made = [await rest.project(f"p{number}") for number in range(5)]
    first = (await rest.admin.get("/projects?limit=3")).json()
    rest_of_it = (await rest.admin.get(f"/projects?limit=3&cursor={first['next_cursor']}")).json()
    seen = [project["id"] for project in first["projects"] + rest_of_it["projects"]]
    assert seen == made[::-1]
    assert rest_of_it["next_cursor"] is None
    foreign = await rest.admin.get(f"/runs?cursor={first['next_cursor']}")
    assert foreign.status_code == 422


async def test_a_deleted_project_is_gone_and_its_ids_stay_taken(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runcast_api.maintenance.sweeper.PURGE_AFTER", timedelta(0))
    project, run, other = str(uuid4()), str(uuid4()), str(uuid4())
    async with serving(database_url, redis_url, tmp_path) as rest:
        client = rest.resources.bus.client
        await rest.admin.post("/projects", json={"name": "x", "slug": "x", "id": project})
        await rest.run("x", id=run)
        await rest.admin.post(f"/runs/{run}/logs", json=[{"message": "m"}] * 20)
        await rest.admin.post(f"/runs/{run}/tail", json={"path": "x.log"})
        await rest.admin.post(f"/runs/{run}/retry")
        task = {"title": "t", "subtasks": [{"title": "a", "key": "a"}, {"title": "b"}]}
        assert (await rest.admin.post("/projects/x/tasks", json=task)).status_code == 201
        big = b"x" * 2_000_000
        await rest.admin.post(
            f"/runs/{run}/artifacts", data={"step_name": "s"}, files={"file": ("f", big)}
        )
        keys = Keys.of(UUID(project))

        async def is_published() -> bool:
            return bool(await client.exists(keys.head))

        await until(is_published)
        assert (await rest.admin.delete("/projects/x")).status_code == 204
        assert not await client.exists(keys.head, keys.stream)
        for path in (f"/projects/{project}", "/projects/x", f"/runs/{run}", f"/runs/{run}/logs"):
            assert (await rest.admin.get(path)).status_code == 404
        late = await rest.admin.post(f"/runs/{run}/logs", json={"message": "late"})
        assert late.status_code == 404

        sweeper = Sweeper(
            rest.resources.database.log,
            rest.resources.bus,
            Publisher(rest.resources.bus, rest.resources.database.log),
            ArtifactStore((tmp_path / "artifacts").as_uri()),
        )
        assert [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
        await sweeper.purge()
        async with acquire(rest.resources.database.log) as connection:
            for table in (
                "segments",
                "segment_months",
                "runs",
                "artifacts",
                "log_sources",
                "tasks",
            ):
                assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0, table
        assert not [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
        again = await rest.admin.post("/projects", json={"name": "x", "id": project})
        assert again.status_code == 409
        await rest.project("x")
        taken = await rest.admin.post("/projects/x/runs", json={"id": run})
        assert taken.status_code == 409
        assert await rest.run("x", id=other) == other
