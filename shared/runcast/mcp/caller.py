"""Who calls, and which run is meant when a call names none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mcp.server.mcpserver import Context

from runcast import errors
from runcast._support import acceptable
from runcast.agents.identity import resumed_key
from runcast.client.clients import AsyncClient
from runcast.contract import TERMINAL_STATUSES

Json = Mapping[str, Any]
RUN_HEADER = "runcast-run"
MAX_RUNS = 100
"""Runs of its own that a caller has in a day, one after the other."""


@dataclass(frozen=True)
class Caller:
    """An API client with the caller's own rights. `project`: where runs are made and looked for."""

    client: AsyncClient
    project: str | None
    identity: str
    """What tells this caller from others, for the run that is made for it."""
    own_run: str | None = None

    async def run(
        self, reference: str | None, *, resumes: bool = True, after_cancel: bool = False
    ) -> Json:
        """The run that is meant: the named one, else the caller's own. With `resumes` one is made where the
        caller's own has ended, but after a person cancelled it only with `after_cancel`: the caller has to
        hear of that. Raises `ApiError`."""
        named = reference or self.own_run
        if named:
            run: Json = await self.client.get_run(named, project=self.project)
            return run
        return await self._own(resumes, after_cancel)

    async def _own(self, resumes: bool, after_cancel: bool) -> Json:
        """The caller's run of today, made where there is none that may be gone on with."""
        first = own_key(self.identity)
        latest: Json | None = None
        for number in range(1, MAX_RUNS + 1):
            key = first if number == 1 else resumed_key(first, number)
            found = await self._found(key)
            if found is None:
                is_heard = latest is None or latest["status"] != "cancelled" or after_cancel
                if latest is not None and not (resumes and is_heard):
                    return latest
                found = await self._made(key)
            if found is not None:
                latest = found
                if found["status"] not in TERMINAL_STATUSES:
                    return found
        if latest is None:
            raise errors.RuncastError(f"no run can be made under the key {first}")
        return latest

    async def _found(self, key: str) -> Json | None:
        try:
            run: Json = await self.client.get_run(key, project=self.project or "default")
        except errors.NotFound:
            return None
        return run

    async def _made(self, key: str) -> Json | None:
        """A new run; None where the key was that of a run that is deleted."""
        try:
            made: Json = await self.client.create_run(
                self.project or "default",
                key=key,
                name=key,
                status="running",
                steps=["work"],
                agent_type="mcp",
            )
        except errors.Conflict:
            return await self._found(key)
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
