"""API and hub in one process behind a real socket, as `runcast up` serves them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from runcast_api import service as api_service
from runcast_hub import service as hub_service
from runcast_server import settings
from runcast_server.auth import tokens
from runcast_server.auth.principal import Principal
from runcast_server.process import process
from runcast_server.service import Resources
from tests.integration import rows
from tests.waiting import until

T = TypeVar("T")


@dataclass(frozen=True)
class Whole:
    """The server, and a client without a token."""

    client: httpx.AsyncClient
    resources: Resources
    admin: dict[str, str]

    async def make(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """Asks as an administrator; what it answers."""
        answer = await patiently(self.client, method, path, json=body, headers=self.admin)
        assert answer.is_success, (path, answer.text)
        return answer.json() if answer.content else None

    async def principal(self, token: str) -> Principal:
        """Who a token stands for. Raises `Unauthenticated`."""
        reader = tokens.authenticator(self.resources.database, self.resources.settings.auth)
        return await reader.principal(token)


async def patiently(client: httpx.AsyncClient, *given: Any, **more: Any) -> httpx.Response:
    """The answer of a server that may be too busy for a while (503), as clients ask it."""
    answers: list[httpx.Response] = []

    async def is_answered() -> bool:
        answers.append(await client.request(*given, **more))
        return answers[-1].status_code != 503

    await until(is_answered, "the server to have time")
    return answers[-1]


async def begun(started: asyncio.Future[T], serving: asyncio.Task[None]) -> T:
    """Waits until a server serves. Raises what ended it before."""
    await asyncio.wait((started, serving), return_when=asyncio.FIRST_COMPLETED)
    if not started.done():
        started.cancel()
        await serving
    return await started


@contextlib.asynccontextmanager
async def serving(
    database_url: str, redis_url: str, data: Path, **given: Any
) -> AsyncIterator[Whole]:
    """The server, until the end of the block."""
    read = settings.read(
        database_url=database_url,
        redis_url=redis_url,
        data=data,
        runs_dir=data / "runs",
        port=0,
        database_pool_size=4,
        **given,
    )
    listener = process.listen(read.process)
    stop, started = asyncio.Event(), asyncio.Event()
    build = [hub_service.build, api_service.build]
    async with process.opened(read) as resources:
        key = await rows.admin_key(resources.database)
        served = process.serve(resources, build, listener, stop, started.set)
        serving = asyncio.create_task(served)
        url = process.url_of(read.process, listener)
        async with httpx.AsyncClient(base_url=url, timeout=120) as client:
            await begun(asyncio.ensure_future(started.wait()), serving)
            try:
                yield Whole(client, resources, {"Authorization": f"Bearer {key}"})
            finally:
                stop.set()
                await serving
    listener.close()
