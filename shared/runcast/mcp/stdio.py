"""The same tools over stdin and stdout, for agents that start their servers as programs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import Any

from mcp.server.mcpserver import Context

from runcast.client.clients import AsyncClient
from runcast.mcp.caller import Caller, client_name
from runcast.mcp.tools import create


async def serve(url: str, token: str | None, project: str | None) -> None:
    """Answers until stdin ends. `RUNCAST_RUN_ID` (set by `runcast exec`) names the caller's own run."""
    async with AsyncClient(url, token) as client:
        own_run = os.environ.get("RUNCAST_RUN_ID") or None

        @contextlib.asynccontextmanager
        async def connect(context: Context[Any, Any]) -> AsyncIterator[Caller]:
            identity = f"{client_name(context)}\n{os.getppid()}"
            yield Caller(client, project, identity, own_run)

        await create(connect, version("runcast")).run_stdio_async()
