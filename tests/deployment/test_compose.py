"""Containers, as `docker compose up` starts them: scaled, updated under a reader and a writer, backed up and
restored.

`make test-compose` builds the image and runs this; it needs a Docker engine, and a few minutes. Where
`RUNCAST_TEST_OLD_IMAGE` names one of an earlier version, the update begins from that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tests.readers import Readers, reading
from tests.torture.programs import free_port
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.compose, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
IMAGE = os.environ.get("RUNCAST_TEST_IMAGE", "runcast:test")
OLD = os.environ.get("RUNCAST_TEST_OLD_IMAGE")
NEXT = "runcast:test-next"
READERS = 4


@dataclass
class Compose:
    """The project in a directory of its own: what lies in `runs` there is followed."""

    directory: Path
    environ: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, **environ: str) -> str:
        """`docker compose …`; what it said."""
        done = subprocess.run(
            ["docker", "compose", *arguments],
            cwd=self.directory,
            env=os.environ | self.environ | environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"docker compose {arguments}: {done.stderr[-4000:]}"
        return done.stdout

    def up(self, *services: str, **environ: str) -> None:
        self.run("up", "--detach", "--no-build", "--wait", *services, **environ)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.environ['RUNCAST_PORT']}"

    @property
    def headers(self) -> dict[str, str]:
        token = self.run("exec", "-T", "api", "runcast", "token").strip()
        return {"Authorization": f"Bearer {token}"}

    def containers(self, service: str) -> set[str]:
        return set(self.run("ps", "--quiet", service).split())


@pytest.fixture
def compose(tmp_path: Path) -> Iterator[Compose]:
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    (tmp_path / "runs").mkdir()
    tmp_path.chmod(0o755)
    port = free_port()
    made = Compose(
        tmp_path,
        {
            "COMPOSE_PROJECT_NAME": f"runcast-test-{port}",
            "RUNCAST_IMAGE": OLD or IMAGE,
            # Earlier versions didn't take such ones.
            "POSTGRES_PASSWORD": "" if OLD else "p@ss/w:rd #1? 100%",
            "RUNCAST_PORT": str(port),
        },
    )
    try:
        yield made
    finally:
        made.run("down", "--volumes", "--timeout", "3")
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(["docker", "rmi", "--force", NEXT], capture_output=True, check=True)


async def _write(client: httpx.AsyncClient, run: str, stop: asyncio.Event) -> int:
    """Events one after the other, each sent again with its key until it's stored; how many."""
    written = 0
    is_settled = True
    while not (stop.is_set() and is_settled):
        is_settled = False  # what was cut off may be stored
        with contextlib.suppress(httpx.TransportError):
            answer = await client.post(
                f"/runs/{run}/progress",
                json={"stage": "writing", "message": str(written)},
                headers={"Idempotency-Key": f"n{written}"},
            )
            assert answer.status_code in (201, 502, 503), answer.text
            is_settled = answer.status_code == 201
            written += is_settled
        await asyncio.sleep(0.02)
    return written


def _make_next() -> None:
    """An image that differs from the one that runs, so that every container is replaced."""
    text = f"FROM {IMAGE}\nLABEL org.runcast.test=next\n"
    subprocess.run(
        ["docker", "build", "--tag", NEXT, "-"],
        input=text,
        text=True,
        capture_output=True,
        check=True,
        env=os.environ | {"DOCKER_BUILDKIT": "0"},
    )


async def test_compose_is_scaled_updated_backed_up_and_restored(compose: Compose) -> None:
    await asyncio.to_thread(compose.up, "--scale", "api=2", "--scale", "hub=2")
    headers = compose.headers
    async with httpx.AsyncClient(base_url=compose.url, headers=headers, timeout=30) as client:
        await client.post("/projects", json={"name": "default", "slug": "default"})
        run = (await client.post("/projects/default/runs", json={})).json()["id"]
        position = await _update_all(compose, client, run)
        await _follow_a_file(compose, client)
        events = await _history(client)
        async with client.stream("GET", "/projects/default/events") as opened:
            said = await _until_said(opened, "connected")
            epoch = json.loads(said.partition("data: ")[2].partition("\n")[0])["epoch"]
        await asyncio.to_thread(_lose_and_restore, compose)
    headers = compose.headers
    async with httpx.AsyncClient(base_url=compose.url, headers=headers, timeout=30) as client:
        assert await _history(client) == events
        path = f"/projects/default/events?last_event_id={position}&epoch={epoch}"
        async with client.stream("GET", path) as resumed:
            assert "reset" in await _until_said(resumed, "gap")


async def _update_all(compose: Compose, client: httpx.AsyncClient, run: str) -> int:
    """Every container is replaced, one service after the other, under readers and a writer; the last event's
    number."""
    readers = Readers(compose.url, "/projects/default/events", compose.headers)
    before = {name: compose.containers(name) for name in ("api", "hub", "tailer")}
    assert [len(found) for found in before.values()] == [2, 2, 1]
    if OLD is None:
        await asyncio.to_thread(_make_next)
    compose.environ["RUNCAST_IMAGE"] = IMAGE if OLD else NEXT
    stop = asyncio.Event()
    async with reading(readers, READERS):
        writing = asyncio.create_task(_write(client, run, stop))
        await asyncio.to_thread(compose.run, "run", "--rm", "--no-TTY", "migrate")
        for service in ("api", "hub", "tailer"):
            scale = () if service == "tailer" else ("--scale", f"{service}=2")
            await asyncio.to_thread(compose.up, "--no-deps", *scale, service)
        stop.set()
        written = await writing
        await until(
            lambda: min(len(ids) for ids in readers.positions) >= written,
            f"{written} events, where readers have {[len(ids) for ids in readers.positions]}",
        )
    for name, old in before.items():
        assert not compose.containers(name) & old, name
    assert [len(ids) for ids in readers.positions] == [written] * READERS
    assert written > 50
    assert readers.other_answers == []
    assert all(ids == sorted(set(ids)) for ids in readers.positions)
    return readers.positions[0][-1]


async def _follow_a_file(compose: Compose, client: httpx.AsyncClient) -> None:
    """While each hub is two worker processes in one container."""
    more = {"RUNCAST_WORKERS": "2"}
    await asyncio.to_thread(lambda: compose.up("--no-deps", "--scale", "hub=1", "hub", **more))
    folder = compose.directory / "runs" / "followed"
    folder.mkdir()
    (folder / "logs.txt").write_text("from a file\n")

    async def has_line() -> bool:
        plain = {"Accept": "text/plain"}
        found = await client.get("/runs/followed/logs?project=default", headers=plain)
        return found.text == "from a file\n"

    await until(has_line, "the file's line")
    assert (await client.get("/admin/connections")).status_code == 200


def _lose_and_restore(compose: Compose) -> None:
    backups = compose.directory / "backups"
    backups.mkdir()
    backups.chmod(0o777)
    mount = ("run", "--rm", "--no-TTY", "--volume", f"{backups}:/backups", "migrate")
    compose.run(*mount, "backup", "/backups/monday")
    compose.run("down", "--volumes", "--timeout", "3")
    compose.up("postgres", "redis")
    compose.run(*mount, "restore", "/backups/monday")
    compose.up()


async def _history(client: httpx.AsyncClient) -> str:
    found = await client.get("/projects/default/events/history?limit=1000")
    found.raise_for_status()
    return str(found.json()["events"])


async def _until_said(answer: httpx.Response, word: str) -> str:
    said = ""
    async for text in answer.aiter_text():
        said += text
        if word in said and said.endswith("\n\n"):
            break
    return said
