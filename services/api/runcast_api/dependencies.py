"""What the endpoints share: built once at start, found by dependency, never global."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from runcast_api.accounts import sessions
from runcast_api.accounts.container import People
from runcast_api.artifacts.store import ArtifactStore
from runcast_api.board.access import Workplaces
from runcast_api.board.fair_order import Turns
from runcast_api.board.subtask_cache import Rendered
from runcast_api.exports.running import Exports
from runcast_api.http import lasting, precondition, query_names, request_body
from runcast_api.http.body_intake import Bodies
from runcast_api.http.bytes_sent import CALLER
from runcast_api.http.idempotency import MAX_KEY, Once
from runcast_api.http.lasting import Look
from runcast_api.ingest.slow_path import Handlers
from runcast_api.logs.search_turns import SearchDatabase
from runcast_api.notifications.notifier import Notifier
from runcast_api.questions.waiting import Waiters
from runcast_api.runs.demo import Demos
from runcast_api.runtime.feed import RuntimeFeed
from runcast_api.runtime.sink import RuntimeSink
from runcast_api.storage.policy import Bounds
from runcast_api.storage.quotas import Quotas
from runcast_api.webhooks.sending import Dispatcher
from runcast_server.auth import access, rights
from runcast_server.auth.principal import Authenticator, Principal, presented
from runcast_server.db import Database
from runcast_server.errors import Unauthenticated
from runcast_server.fair_turns import FairTurns
from runcast_server.service import Resources

REMEMBERED_SECONDS = 3.0
REMEMBERED_RUNS = 10_000
TELEMETRY_AT_ONCE = 8
"""Requests of telemetry that are read and stored at a time: what is read takes several times its size."""


class RunDirectory:
    """Resolves a run and caches the caller's permission to report to it for some seconds.

    For the routes that agents call many times a second: looking it up costs a dictionary access
    instead of a transaction. A right that was taken away is noticed within `REMEMBERED_SECONDS`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._remembered: dict[tuple[str, str, str | None], tuple[float, UUID, UUID]] = {}

    async def reportable(
        self, caller: Principal, reference: str, project: str | None
    ) -> tuple[UUID, UUID]:
        """The run's id and its project's. Raises as `access.run_id` does."""
        asked = (caller.name, reference, project)
        known = self._remembered.get(asked)
        if known is not None and known[0] > time.monotonic():
            return known[1], known[2]
        async with self._database.acting(caller) as connection:
            run_id, found = await access.run_id(
                connection, caller, reference, project, rights.REPORT
            )
        if len(self._remembered) >= REMEMBERED_RUNS:
            self._remembered.clear()
        self._remembered[asked] = (time.monotonic() + REMEMBERED_SECONDS, run_id, found.id)
        return run_id, found.id

    def forget(self) -> None:
        """Looks everything up again (a project was deleted)."""
        self._remembered.clear()


@dataclass(frozen=True)
class Api:
    """The parts of the service that endpoints use."""

    resources: Resources
    authenticator: Authenticator
    runs: RunDirectory
    store: ArtifactStore
    handlers: Handlers
    workplaces: Workplaces
    sink: RuntimeSink
    feed: RuntimeFeed
    people: People
    bounds: Bounds
    quotas: Quotas
    waiters: Waiters
    searches: SearchDatabase
    bodies: Bodies
    webhooks: Dispatcher
    notifier: Notifier
    telemetry: FairTurns = field(default_factory=lambda: FairTurns(TELEMETRY_AT_ONCE))
    exports: Exports = field(default_factory=Exports)
    demos: Demos = field(default_factory=Demos)
    turns: Turns = field(default_factory=Turns)
    rendered: Rendered = field(default_factory=Rendered)

    @property
    def database(self) -> Database:
        return self.resources.database

    @property
    def key_days(self) -> int | None:
        """For how many days a key that an owner makes is good at most."""
        return self.resources.settings.auth.key_max_days

    async def caller(self, request: Request) -> Principal:
        """Who calls. Raises `Unauthenticated`, and `LimitReached` for who calls too often."""
        token = presented(request.headers, request.url.query)
        caller = await self.authenticator.principal(token)
        self.people.requests.count(caller)
        request.scope[CALLER] = caller
        return caller

    async def still(self, request: Request) -> Principal:
        """Who calls, asked again later, which counts as no request. Raises `Unauthenticated`.

        A request that began before its session was refreshed shows a token that is no longer valid: the
        session is asked for then.
        """
        try:
            return await self.authenticator.principal(presented(request.headers, request.url.query))
        except Unauthenticated:
            caller: Principal | None = request.scope.get(CALLER)
            if caller is None or caller.session_id is None:
                raise
            return await sessions.still(self.database, caller)

    def reporter(self, request: Request, run: str, project: str | None) -> Look:
        """Looks whether the caller may still report to the run."""

        async def look() -> None:
            await self.runs.reportable(await self.still(request), run, project)

        return look

    def reader(self, caller: Principal, project_id: UUID) -> Look:
        """Looks whether the caller may still read the project."""
        return lasting.reader(self.database, caller, project_id)


_scheme = HTTPBearer(auto_error=False, description="An API key (`rc_…`) or a JSON Web Token.")


async def _api(request: Request) -> Api:
    api: Api = request.app.state.api
    return api


async def signed_in(
    request: Request,
    _: Annotated[HTTPAuthorizationCredentials | None, Depends(_scheme)],
) -> Principal:
    """Who calls. Raises `Unauthenticated`, `LimitReached`, and `Invalid` for a query parameter that the
    endpoint doesn't have, and for a precondition that it doesn't compare."""
    api: Api = request.app.state.api
    caller = await api.caller(request)
    query_names.refuse_unknown(request)
    precondition.refuse_ignored(request)
    return caller


ApiState = Annotated[Api, Depends(_api)]
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_scheme)]
"""For handlers that read the token themselves: the document says that they need one."""
Caller = Annotated[Principal, Depends(signed_in)]


async def _once(
    request: Request,
    caller: Caller,
    _: ApiState,
    idempotency_key: Annotated[
        str | None,
        Header(
            max_length=MAX_KEY, description="The same key and body: done once, within 24 hours."
        ),
    ] = None,
) -> Once:
    return Once(
        caller.name,
        f"{request.method} {request.url.path}?{request.url.query}",
        idempotency_key,
        hashlib.sha256(request_body.raw(request)).digest(),
    )


OnceOnly = Annotated[Once, Depends(_once)]
