"""API and hub in one process behind a real socket, as `runcast up` serves them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from runcast_api import service as api_service
from runcast_hub import service as hub_service
from runcast_server import settings
from runcast_server.auth import tokens
from runcast_server.auth.principal import Principal
from runcast_server.process import process
from runcast_server.service import Resources
from tests.integration import rows


@dataclass(frozen=True)
class Whole:
    """The server, and a client without a token."""

    client: httpx.AsyncClient
    resources: Resources
    admin: dict[str, str]

    async def make(self, path: str, body: Any = None, method: str = "POST") -> Any:
        """Asks as an administrator; what it answers."""
        answer = await self.client.request(method, path, json=body, headers=self.admin)
        assert answer.is_success, (path, answer.text)
        return answer.json() if answer.content else None

    async def principal(self, token: str) -> Principal:
        """Who a token stands for. Raises `Unauthenticated`."""
        reader = tokens.authenticator(self.resources.database, self.resources.settings.auth)
        return await reader.principal(token)


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
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            await started.wait()
            try:
                yield Whole(client, resources, {"Authorization": f"Bearer {key}"})
            finally:
                stop.set()
                await serving
    listener.close()
