"""The API over a database and a Redis of its own, called in process or over a real socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import jwt
import orjson
import structlog
import uvicorn

from runcast_api import service
from runcast_api.ingest import batch_items, ingesters
from runcast_api.ingest.run_lookup import Address
from runcast_api.ingest.slow_path import apply
from runcast_api.storage.quotas import Open
from runcast_server import settings
from runcast_server.process import credentials, process
from runcast_server.process.http_protocol import Protocol
from runcast_server.service import Resources, Service
from tests.waiting import until

SECRET = "a secret of at least thirty-two bytes"


@dataclass(frozen=True)
class Rest:
    """The service, and clients of it: `admin` holds an administrator's key."""

    admin: httpx.AsyncClient
    service: Service
    resources: Resources

    def person(self, name: str, **claims: Any) -> dict[str, str]:
        """The headers of somebody who signs in with a token of ours."""
        token = jwt.encode({"sub": name} | claims, SECRET, algorithm="HS256")
        return {"Authorization": f"Bearer {token}"}

    async def project(self, slug: str = "demo") -> str:
        """A project's id, made."""
        made = await self.admin.post("/projects", json={"name": slug, "slug": slug})
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def run(self, project: str = "demo", **fields: Any) -> str:
        """A run's id, made."""
        made = await self.admin.post(f"/projects/{project}/runs", json=fields)
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def tailed(self, run: str, **message: Any) -> None:
        """A `lines` message of this run, taken in as the tailer's."""
        project = UUID((await self.admin.get(f"/runs/{run}")).json()["project_id"])
        lines = batch_items.read(orjson.dumps({"type": "lines", "run_id": run} | message))
        lines.address = Address(UUID(run), project)
        handlers = ingesters.build_handlers(self.resources, {}, Open())
        await self.resources.eventlog.commit(project, lambda t: apply(t, [lines], handlers))
        assert lines.refusal is None

    async def events(self, project: str = "demo", **query: Any) -> list[dict[str, Any]]:
        """The project's events, from the first."""
        page = await self.admin.get(
            f"/projects/{project}/events/history", params={"limit": 1000} | query
        )
        assert page.status_code == 200, page.text
        shown: list[dict[str, Any]] = page.json()["events"]
        return shown


@contextlib.asynccontextmanager
async def serving(
    database_url: str, redis_url: str, data: Path, *, is_running: bool = False, **given: Any
) -> AsyncIterator[Rest]:
    """The API in process; with `is_running` its ingester and sweeper too."""
    read = settings.read(
        database_url=database_url,
        redis_url=redis_url,
        data=data,
        runs_dir=data / "runs",
        jwt_secret=SECRET,
        database_pool_size=5,
        **given,
    )
    structlog.configure(processors=[structlog.processors.KeyValueRenderer()])
    token = await credentials.admin_token(database_url, None)
    async with process.opened(read) as resources, contextlib.AsyncExitStack() as stack:
        built = service.build(resources)
        if is_running:
            await stack.enter_async_context(built.running())
        assert built.app is not None
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(built.app, raise_app_exceptions=False),
                base_url="http://localhost",
                headers={"Authorization": f"Bearer {token}"},
            )
        )
        stack.push_async_callback(built.app.state.api.people.requests.close)
        stack.push_async_callback(built.app.state.api.demos.stop)
        yield Rest(client, built, resources)


@contextlib.asynccontextmanager
async def listening(rest: Rest) -> AsyncIterator[str]:
    """The same application behind a real socket; its URL."""
    assert rest.service.app is not None
    config = uvicorn.Config(
        rest.service.app,
        port=0,
        http=Protocol,
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    try:
        await until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task
