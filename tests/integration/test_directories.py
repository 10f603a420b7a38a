"""What directories beneath RUNS_DIR may do to runs: those of their owners' projects, and those they made."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from runcast._support.ids import uuid7
from runcast_api.runs import bare
from runcast_server import owners
from runcast_tailer import service as tailer_service
from tests.integration import rest
from tests.integration.boards import Board
from tests.integration.rest import Rest
from tests.waiting import until

pytestmark = pytest.mark.anyio


def write(directory: Path, **files: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("_", ".")).write_text(text)


def as_lines(*messages: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(message)}\n" for message in messages)


def run_json(**members: str) -> str:
    now = "2026-01-01T00:00:00+00:00"
    run = {
        "id": str(uuid7()),
        "key": None,
        "project": "default",
        "name": None,
        "status": "running",
    } | {"steps": [], "step_timestamps": {}}
    return json.dumps(run | {"created_at": now, "updated_at": now} | members)


FAILURE = {"type": "agent:failed", "data": {"error": "says the other agent"}}
LINE = {"type": "agent:log", "data": {"message": "a line"}}


async def has_default(api: Rest) -> bool:
    """The project TAIL_PROJECT, which the ingester makes."""
    return (await api.admin.get("/projects/default")).is_success


async def lines_of(api: Rest, run: str) -> list[str]:
    answer = await api.admin.get(f"/runs/{run}/logs?limit=100")
    return [entry["message"] for entry in answer.json()["logs"]]


async def test_a_directory_changes_no_run_that_was_made_elsewhere(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """It may add lines. The runs that it made, and those whose reporter says that they have a directory, it
    changes."""
    runs_dir = tmp_path / "runs"
    async with rest.serving(database_url, redis_url, tmp_path, is_running=True) as api:
        await until(lambda: has_default(api))
        over_http = await api.run("default", status="running")
        by_key = await api.run("default", key="by-key", status="running")
        reported = await api.admin.post(
            "/projects/default/runs",
            json={"status": "running"},
            headers={"Runcast-Directory": "true"},
        )
        ours = reported.json()["id"]
        write(runs_dir / over_http, spool_jsonl=as_lines(LINE, FAILURE, LINE))
        write(runs_dir / ours, spool_jsonl=as_lines(LINE, FAILURE, LINE))
        write(runs_dir / "made-here", spool_jsonl=as_lines(LINE, FAILURE, LINE))
        status = json.dumps(
            {"run_id": "by-key", "status": "failed", "error": "x", "events": []}
            | {"created_at": "2026-01-01T00:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00"}
        )
        write(runs_dir / "by-key", logs_txt="a line\na line\n", status_json=status)
        async with tailer_service.build(api.resources).running():
            made = "/projects/default/runs?key=made-here"

            async def is_there() -> bool:
                return bool((await api.admin.get(made)).json()["runs"])

            await until(is_there)
            here = (await api.admin.get(made)).json()["runs"][0]["id"]
            for run in (over_http, by_key, ours, here):

                async def has_lines(run: str = run) -> bool:
                    return await lines_of(api, run) == ["a line", "a line"]

                await until(has_lines)

            async def says(run: str, status: str) -> bool:
                return bool((await api.admin.get(f"/runs/{run}")).json()["status"] == status)

            await until(lambda: says(ours, "failed"))
            await until(lambda: says(here, "failed"))
            assert await says(over_http, "running")
            assert await says(by_key, "running")


async def test_only_runs_of_an_earlier_version_are_left_to_the_default(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """A process of the version before names no value; this version names it for every run that it makes."""
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        project = UUID(await api.project("demo"))
        parent, old = uuid7(), uuid7()
        made = {await api.run("demo")}
        await api.resources.eventlog.commit(
            project, lambda transaction: bare.make(transaction, project, parent, None)
        )
        board = Board(api)
        await board.task({"title": "A subtask"})
        made |= {str(parent), (await board.claim())["run"]["id"]}
        async with api.resources.database.log.acquire() as connection:
            await connection.execute(
                """INSERT INTO runs (id, project_id, phase, steps, status)
                   VALUES ($1, $2, 'session', '{}', 'queued')""",
                old,
                project,
            )
            rows = await connection.fetch("SELECT id, directory_speaks FROM runs")
    assert {str(row["id"]): row["directory_speaks"] for row in rows} == {
        **dict.fromkeys(made, False),
        str(old): True,
    }


async def test_a_directory_speaks_for_the_projects_of_its_owner(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Where TAIL_OWNERS says whose directories speak for what; a run's id is no way around it."""
    runs_dir, me, stranger = tmp_path / "runs", os.getuid(), 12345
    async with rest.serving(
        database_url,
        redis_url,
        tmp_path,
        is_running=True,
        tail_owners=(f"{me}=alpha", f"{stranger}=beta"),
    ) as api:
        await api.project("alpha")
        await api.project("beta")
        theirs = await api.run("beta", status="running")
        write(runs_dir / theirs, logs_txt="by id\n")
        write(
            runs_dir / "named",
            logs_txt="by run.json\n",
            run_json=run_json(id=theirs, project="alpha"),
        )
        write(runs_dir / "beta-1", logs_txt="b\n", run_json=run_json(project="beta", key="beta-1"))
        write(
            runs_dir / "alpha-1",
            logs_txt="ours\n",
            run_json=run_json(project="alpha", key="alpha-1"),
        )
        async with tailer_service.build(api.resources).running():
            made = "/projects/alpha/runs?key=alpha-1"

            async def is_there() -> bool:
                found = (await api.admin.get(made)).json()["runs"]
                return bool(found) and await lines_of(api, found[0]["id"]) == ["ours"]

            await until(is_there)
            assert await lines_of(api, theirs) == []
            os.chown(runs_dir / theirs, stranger, -1)

            async def is_read() -> bool:
                return await lines_of(api, theirs) == ["by id"]

            await until(is_read)


@pytest.mark.parametrize("pair", ["alice", "=alpha", "1000=", "no such user=alpha"])
def test_owners_are_users_and_projects(pair: str) -> None:
    with pytest.raises(ValueError, match=r"isn't user=project|has no user"):
        owners.read([pair])


async def test_a_tail_ends_once_the_directory_says_that_it_is_another_runs(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Asked for in TAIL_PROJECT before there is a run.json, which names another project."""
    async with rest.serving(database_url, redis_url, tmp_path, is_running=True) as api:
        await until(lambda: has_default(api))
        await api.project("beta")
        run = await api.run("default", key="shared", status="running")
        home = tmp_path / "runs" / "shared"
        write(home, out_txt="before\n")
        new = {"name": "editor", "role": "editor"}
        key = (await api.admin.post("/projects/default/keys", json=new)).json()["token"]
        editor = {"Authorization": f"Bearer {key}"}

        async def ask(run: str) -> None:
            wanted = {"path": "out.txt"}
            asked = await api.admin.post(f"/runs/{run}/tail", json=wanted, headers=editor)
            assert asked.status_code == 200, asked.text

        await ask(run)
        async with tailer_service.build(api.resources).running():

            async def has(*texts: str) -> bool:
                return await lines_of(api, run) == list(texts)

            await until(lambda: has("before"))
            write(home, run_json=run_json(project="beta", key="shared"))
            other = await api.run("default", key="other", status="running")
            write(tmp_path / "runs" / "other", out_txt="1\n")
            # A tail that is asked for afterwards is followed after the look at this one.
            await ask(other)

            async def is_followed() -> bool:
                return await lines_of(api, other) == ["1"]

            await until(is_followed)
            with (home / "out.txt").open("a") as log:
                log.write("a secret of beta\n")
            with (tmp_path / "runs" / "other" / "out.txt").open("a") as log:
                log.write("2\n")

            async def has_second() -> bool:
                return await lines_of(api, other) == ["1", "2"]

            await until(has_second)
            assert await has("before")
