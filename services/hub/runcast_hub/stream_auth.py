"""Who asks for a stream: by header, by the console's cookie, by a share link, or by a ticket in the URL.

A browser's `EventSource` sends no header and repeats its first URL, so a ticket's first use sets a cookie,
limited to the stream's path and named after the ticket, by which the same URL goes on working.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs
from uuid import UUID

from starlette.datastructures import Headers
from starlette.types import Scope

from runcast_server.auth import claims, tickets
from runcast_server.auth.origins import CORS_SCOPE, HEADERS_SCOPE
from runcast_server.auth.principal import (
    Authenticator,
    Principal,
    cookie,
    hash_token,
    presented,
)
from runcast_server.auth.rate_limits import RequestLimits
from runcast_server.db import Database
from runcast_server.errors import NotFound, Unauthenticated

RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A caller, the one project that a ticket is good for, and headers that the answer must carry."""

    principal: Principal
    project_id: UUID | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def check(self, project_id: UUID) -> None:
        """Raises `NotFound` where a ticket is another project's."""
        if self.project_id not in (None, project_id):
            raise NotFound("the ticket is another project's")


class Arrivals:
    """Finds out who is there, and counts what they ask for. Raises `Unauthenticated`, `LimitReached`."""

    def __init__(
        self,
        database: Database,
        authenticator: Authenticator,
        limits: RequestLimits,
        cookie_seconds: float,
    ) -> None:
        self._database = database
        self._authenticator = authenticator
        self.limits = limits
        self._cookie_seconds = cookie_seconds

    async def caller(self, scope: Scope) -> Principal:
        """Who asks for anything but a stream."""
        principal = await self._authenticator.principal(presented(Headers(scope=scope)))
        self.limits.count(principal)
        return principal

    async def of_stream(self, scope: Scope) -> Arrival:
        """Who asks for a stream."""
        headers, query = Headers(scope=scope), scope["query_string"].decode("latin-1")
        ticket = parse_qs(query).get("ticket", [""])[-1] if "ticket=" in query else ""
        if not ticket or "authorization" in headers:
            principal = await self._authenticator.principal(presented(headers, query))
            self.limits.count(principal)
            return Arrival(principal, headers=added_headers(scope))
        return await self._by_ticket(scope, headers, ticket)

    async def _by_ticket(self, scope: Scope, headers: Headers, ticket: str) -> Arrival:
        name = f"{tickets.COOKIE}_{hash_token(ticket).hex()[:12]}"
        shown = cookie(headers, name)
        principal, project_id, fresh = await tickets.redeem(
            self._database, ticket, shown, scope["path"], self._cookie_seconds
        )
        if await claims.is_shut_out(self._database, principal, project_id):
            raise Unauthenticated("the token behind the ticket is not valid any more")
        added = added_headers(scope)
        if fresh is not None:
            added += ((b"set-cookie", self._cookie(scope, name, fresh)),)
        return Arrival(principal, project_id, added)

    def _cookie(self, scope: Scope, name: str, value: str) -> bytes:
        foreign = CORS_SCOPE in scope
        secure = "; Secure" if foreign or scope.get("scheme") == "https" else ""
        return (
            f"{name}={value}; Path={scope['path']}; Max-Age={int(self._cookie_seconds)}; HttpOnly; "
            f"SameSite={'None' if foreign else 'Strict'}{secure}"
        ).encode()


def added_headers(scope: Scope) -> tuple[tuple[bytes, bytes], ...]:
    """What the process's front wants every answer to this request to carry."""
    return tuple(scope.get(HEADERS_SCOPE, ()))
