"""Who calls, and which run is meant when a call names none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mcp.server.mcpserver import Context

from runcast import errors
from runcast._support import acceptable
from runcast.client.clients import AsyncClient

Json = dict[str, Any]
RUN_HEADER = "runcast-run"


@dataclass(frozen=True)
class Caller:
    """An API client with the caller's own rights. `project`: where runs are made and looked for."""

    client: AsyncClient
    project: str | None
    identity: str
    """What tells this caller from others, for the run that is made for it."""
    own_run: str | None = None

    async def run(self, reference: str | None) -> Json:
        """The run that is meant: the named one, else the caller's own. Raises `ApiError`."""
        named = reference or self.own_run
        if named:
            run: Json = await self.client.get_run(named, project=self.project)
            return run
        return await self._made()

    async def _made(self) -> Json:
        """The caller's run of today, made where it isn't there yet."""
        project = self.project or "default"
        key = own_key(self.identity)
        try:
            made: Json = await self.client.create_run(
                project, key=key, name=key, status="running", steps=["work"], agent_type="mcp"
            )
        except errors.Conflict:
            made = await self.client.get_run(key, project=project)
        return made


Connect = Callable[[Context[Any, Any]], AbstractAsyncContextManager[Caller]]
"""Gives the caller of a request."""


def own_key(identity: str) -> str:
    """`mcp-<client>-<date>-<4>`: one a day for each client of each caller."""
    client, _, _ = identity.partition("\n")
    ending = hashlib.sha256(identity.encode()).hexdigest()[:4]
    return acceptable.key(f"mcp-{client[:60]}-{datetime.now(UTC):%Y-%m-%d}-{ending}")


def client_name(context: Context[Any, Any]) -> str:
    """The name that the client gives itself, in either era of the protocol; `client` where it has none."""
    meta: Any = context.request_context.meta or {}
    told = meta.get("io.modelcontextprotocol/clientInfo") if isinstance(meta, dict) else None
    if isinstance(told, dict) and isinstance(told.get("name"), str):
        return str(told["name"])
    try:
        info = context.request_context.session.client_params
        return str(info.client_info.name) if info and info.client_info else "client"
    except AttributeError:
        return "client"
