"""A whole server in a thread, with something of everything in it, for generated requests."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from runcast_api import service as api_service
from runcast_hub import service as hub_service
from runcast_server import settings
from runcast_server.process import process
from runcast_server.service import Resources
from runcast_tailer import service as tailer_service
from tests.integration import rows

PASSWORD = "correct horse battery"


@dataclass
class World:
    """Where the server is, who may ask it, and ids of what is there, by the names of path parameters."""

    url: str
    admin: dict[str, str]
    owner: dict[str, str] = field(default_factory=dict)
    others: list[dict[str, str]] = field(default_factory=list)
    """A key of each role, a worker's key, and links to a project and to a run."""
    things: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def serving(
    database_url: str, redis_url: str, data: Path, *, with_tailer: bool = False, **given: Any
) -> Iterator[World]:
    """The server, until the end of the block."""
    started: concurrent.futures.Future[tuple[str, str]] = concurrent.futures.Future()
    read = settings.read(
        database_url=database_url,
        redis_url=redis_url,
        data=data,
        runs_dir=data / "runs",
        port=0,
        requests_per_minute=0,
        share_requests_per_minute=0,
        share_searches_per_minute=0,
        share_bytes_per_minute=0,
        sse_connection_timeout_m=0.001,
        database_pool_size=6,
        **given,
    )
    stopping: list[Any] = []

    async def run() -> None:
        stop = asyncio.Event()
        stopping.extend([asyncio.get_running_loop(), stop])
        listener = process.listen(read.process)
        async with process.opened(read) as resources:
            key = await rows.admin_key(resources.database)
            await serve(resources, listener, stop, key)
        listener.close()

    async def serve(resources: Resources, listener: Any, stop: asyncio.Event, key: str) -> None:
        url = process.url_of(read.process, listener)
        build = [hub_service.build, api_service.build]
        build += [tailer_service.build] if with_tailer else []
        await process.serve(
            resources, build, listener, stop, lambda: started.set_result((url, key))
        )

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        url, key = started.result(60)
        world = World(url, {"Authorization": f"Bearer {key}"})
        furnish(world)
        yield world
    finally:
        loop, stop = stopping
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)


def furnish(world: World) -> None:
    """One of everything, and somebody who owns it."""
    with httpx.Client(base_url=world.url, headers=world.admin, timeout=30) as client:

        def made(path: str, body: Any = None, method: str = "POST") -> Any:
            answer = client.request(method, path, json=body)
            assert answer.is_success, (path, answer.text)
            return answer.json() if answer.content else None

        email = "owner@example.org"
        user = made("/admin/users", {"email": email, "name": "o", "password": PASSWORD})
        project = made("/projects", {"name": "demo", "slug": "demo"})["id"]
        made(f"/projects/{project}/members/{user['id']}", {"role": "owner"}, "PUT")
        session = made("/auth/login", {"email": email, "password": PASSWORD})
        world.owner = {"Authorization": f"Bearer {session['token']}"}
        run = made(f"/projects/{project}/runs", {"key": "a-run"})["id"]
        made(f"/runs/{run}/logs", [{"message": f"line {number}"} for number in range(5)])
        artifact = made(f"/runs/{run}/artifacts", {"step_name": "idea", "content": {"a": 1}})
        task = made(f"/projects/{project}/tasks", {"title": "t", "subtasks": [{"title": "s"}]})
        made(f"/tasks/{task['id']}/activate")
        hook = {"url": "http://127.0.0.1:1/", "types": ["question:asked"]}
        webhook = made(f"/projects/{project}/webhooks", hook)
        question = made(f"/runs/{run}/questions", {"kind": "text", "title": "t"})
        key = made(f"/projects/{project}/keys", {"name": "k", "role": "viewer"})
        link = made(f"/projects/{project}/share-links", {})
        invitation = made("/invitations", {"email": "new@example.org", "project": project})
        keys, links = f"/projects/{project}/keys", f"/projects/{project}/share-links"
        worker = {"name": "w", "role": "reporter", "scopes": ["worker"]}
        tokens = [
            *(
                made(keys, {"name": role, "role": role})
                for role in ("viewer", "reporter", "editor")
            ),
            made(keys, worker),
            made(links, {}),
            made(links, {"run_id": run}),
        ]
        world.others = [{"Authorization": f"Bearer {each['token']}"} for each in tokens]
    world.things = {
        "project": project,
        "run": run,
        "artifact": artifact["id"],
        "task": task["id"],
        "subtask": task["subtasks"][0]["id"],
        "key": key["id"],
        "link": link["id"],
        "webhook": webhook["id"],
        "question": question["id"],
        "agent": "claude",
        "invitation": invitation["id"],
        "token": invitation["token"],
        "user": user["id"],
        "line_number": "1",
    }
