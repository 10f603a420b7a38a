"""Tickets for streams: what an `EventSource`, which can't send a header, has in its URL instead of a token.

A ticket is good once, for some seconds. Its first use binds it to the stream's path and sets a cookie for
that path only; when the same EventSource connects again, with the spent ticket in its URL, the cookie
speaks for it, for as long as a connection may last.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from runcast_server.auth.principal import (
    TICKET_PREFIX,
    Principal,
    Role,
    hash_token,
    new_token,
)
from runcast_server.db import Connection, Database, acquire
from runcast_server.errors import Unauthenticated

TICKET_SECONDS = 30
COOKIE = "runcast_stream"


async def issue(
    connection: Connection, caller: Principal, project_id: UUID
) -> tuple[str, datetime]:
    """A ticket by which this caller reads streams of this project, and its end.

    Postgres says when that is, by the clock that it will look at when the ticket is used: half a minute
    is less than clocks of two machines may differ by.
    """
    ticket = new_token(TICKET_PREFIX)
    expires_at: datetime = await connection.fetchval(
        """WITH issued AS (SELECT now() + $4 AS expires_at), stored AS (
               INSERT INTO stream_tickets (token_hash, project_id, principal, expires_at)
               SELECT $1, $2, $3, expires_at FROM issued)
           SELECT expires_at FROM issued""",
        hash_token(ticket),
        project_id,
        _packed(caller),
        timedelta(seconds=TICKET_SECONDS),
    )
    return ticket, expires_at


async def redeem(
    database: Database, ticket: str, cookie: str | None, path: str, cookie_seconds: float
) -> tuple[Principal, UUID, str | None]:
    """Whom a ticket, or the cookie of one that was used, lets into which project.

    Answers the secret of a cookie that must be set, at the first use. Raises `Unauthenticated`.
    """
    fresh = new_token(TICKET_PREFIX)
    async with acquire(database.requests) as connection:
        row = await connection.fetchrow(
            "SELECT * FROM use_stream_ticket($1, $2, $3, $4)",
            hash_token(ticket),
            path,
            hash_token(fresh),
            timedelta(seconds=cookie_seconds),
        )
        if row is not None:
            return _unpacked(row["principal"]), row["project_id"], fresh
        if cookie is not None:
            row = await connection.fetchrow(
                "SELECT * FROM stream_cookie_holder($1, $2)", hash_token(cookie), path
            )
    if row is None:
        raise Unauthenticated("the ticket is not valid, was used already, or is another stream's")
    return _unpacked(row["principal"]), row["project_id"], None


_IDS = ("user_id", "key_id", "project_id", "session_id")


def _packed(caller: Principal) -> dict[str, Any]:
    ids = {name: getattr(caller, name) for name in _IDS}
    return {
        "name": caller.name,
        **{name: str(id) for name, id in ids.items() if id is not None},
        "is_admin": caller.is_admin,
        "is_admin_by_token": caller.is_admin_by_token,
        "role": caller.role.name if caller.role else None,
        "expires_at": caller.expires_at.isoformat() if caller.expires_at else None,
    }


def _unpacked(members: dict[str, Any]) -> Principal:
    ids: dict[str, Any] = {name: UUID(members[name]) for name in _IDS if name in members}
    principal = Principal(
        name=members["name"],
        **ids,
        is_admin=members["is_admin"],
        is_admin_by_token=members["is_admin_by_token"],
        role=Role[members["role"]] if members["role"] else None,
        expires_at=datetime.fromisoformat(members["expires_at"]) if members["expires_at"] else None,
    )
    if principal.has_expired():
        raise Unauthenticated("the token behind the ticket has expired")
    return principal
