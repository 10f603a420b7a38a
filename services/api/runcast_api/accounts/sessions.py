"""Sign-ins: opened after a proof of who it is, listed, renewed and ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from runcast._support.ids import uuid7
from runcast_api.accounts import audit, listing
from runcast_api.accounts.listing import moment, text
from runcast_server.auth.principal import SESSION_PREFIX, Principal, hash_token, new_token
from runcast_server.db import Connection, Database, acquire
from runcast_server.errors import NotFound, Unauthenticated

Method = Literal["password", "link", "invitation", "oidc"]
CLIENT_CHARACTERS = 200

_USER = "SELECT id, name, login, email, is_admin FROM users WHERE id = $1"
_OPEN = """
INSERT INTO sessions (id, user_id, token_hash, method, client, address, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_LIST = """
SELECT id, method, client, address, created_at, used_at, expires_at FROM sessions
WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > now()
"""
_STILL = """
SELECT u.is_admin, s.expires_at FROM sessions s JOIN users u ON u.id = s.user_id
WHERE s.id = $1 AND s.revoked_at IS NULL AND s.expires_at > now() AND u.disabled_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Where a request came from, for people to recognise their sessions."""

    address: str
    client: str


class SignedIn(BaseModel):
    """A session. `token` is null where it went into a cookie."""

    token: str | None
    expires_at: str
    user: User


class User(BaseModel):
    id: UUID
    name: str
    email: str | None
    is_admin: bool


class SessionShown(BaseModel):
    """A sign-in that is still good; `is_current`: the one that asks."""

    id: UUID
    is_current: bool
    method: Method
    client: str
    address: str
    created_at: str
    used_at: str
    expires_at: str


class SessionPage(BaseModel):
    sessions: list[SessionShown]
    total: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Session:
    """A fresh session with its secret."""

    token: str
    expires_at: datetime
    user: dict[str, Any]

    def as_json(self, *, with_token: bool) -> dict[str, Any]:
        return {
            "token": self.token if with_token else None,
            "expires_at": moment(self.expires_at),
            "user": self.user,
        }


def person(user_id: UUID) -> Principal:
    """Who acts once it is proven who it is."""
    return Principal(name=f"user:{user_id}", user_id=user_id)


async def open_session(
    database: Database, user_id: UUID, method: Method, visitor: Visitor, hours: float
) -> Session:
    """A session for a person who has just proven their identity."""
    token = new_token(SESSION_PREFIX)
    expires_at = datetime.now(UTC) + timedelta(hours=hours)
    actor = person(user_id)
    async with database.changing(actor) as connection:
        await connection.execute(
            _OPEN,
            uuid7(),
            user_id,
            hash_token(token),
            method,
            visitor.client[:CLIENT_CHARACTERS],
            visitor.address,
            expires_at,
        )
        await connection.execute("SELECT note_sign_in($1)", user_id)
        await audit.note(
            connection, actor, "sign_in", subject=user_id, address=visitor.address, method=method
        )
        return Session(token, expires_at, await user(connection, user_id))


async def renew(database: Database, token: str | None, hours: float) -> Session:
    """The same session with another secret, valid for longer; the old secret is invalid.

    Of several that refresh one token at the same moment, each gets a session of its own: `renew_session` in
    SQL says how. Raises `Unauthenticated`.
    """
    if token is None or not token.startswith(SESSION_PREFIX):
        raise Unauthenticated("only a session can be refreshed")
    fresh = new_token(SESSION_PREFIX)
    async with acquire(database.accounts) as connection:
        row = await connection.fetchrow(
            "SELECT * FROM renew_session($1, $2, $3, $4)",
            hash_token(token),
            hash_token(fresh),
            uuid7(),
            timedelta(hours=hours),
        )
    if row is None:
        raise Unauthenticated("the token is invalid, expired or revoked")
    async with database.acting(person(row["user_id"])) as connection:
        return Session(fresh, row["expires_at"], await user(connection, row["user_id"]))


async def still(database: Database, caller: Principal) -> Principal:
    """Who calls by a session, whatever its token is by now. Raises `Unauthenticated` where it has ended, or
    its person was disabled."""
    async with database.acting(caller) as connection:
        row = await connection.fetchrow(_STILL, caller.session_id)
    if row is None:
        raise Unauthenticated("the session has ended")
    return replace(caller, is_admin=row["is_admin"], expires_at=row["expires_at"])


async def user(connection: Connection, user_id: UUID) -> dict[str, Any]:
    """A person, as shown to themselves."""
    row = await connection.fetchrow(_USER, user_id)
    return {
        "id": str(row["id"]),
        "name": row["name"],
        "email": row["login"] or row["email"],
        "is_admin": row["is_admin"],
    }


async def page(
    connection: Connection, caller: Principal, limit: int, cursor: str | None
) -> dict[str, Any]:
    """The caller's own sessions, newest first."""

    def show(row: Any) -> dict[str, Any]:
        return {
            "id": text(row["id"]),
            "is_current": row["id"] == caller.session_id,
            "method": row["method"],
            "client": row["client"],
            "address": row["address"],
            "created_at": moment(row["created_at"]),
            "used_at": moment(row["used_at"]),
            "expires_at": moment(row["expires_at"]),
        }

    return await listing.page(connection, "sessions", _LIST, (caller.user_id,), show, limit, cursor)


async def end(connection: Connection, caller: Principal, session_id: UUID) -> None:
    """Ends one of the caller's own sessions. Raises `NotFound`."""
    ended = await connection.fetchval(
        """UPDATE sessions SET revoked_at = now()
           WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL RETURNING true""",
        session_id,
        caller.user_id,
    )
    if not ended:
        raise NotFound("no such session")
    await audit.note(connection, caller, "session_ended", subject=session_id)


async def end_others(connection: Connection, caller: Principal) -> None:
    """Ends all sessions of the caller but the one that asks."""
    await connection.execute(
        """UPDATE sessions SET revoked_at = now()
           WHERE user_id = $1 AND revoked_at IS NULL AND id IS DISTINCT FROM $2""",
        caller.user_id,
        caller.session_id,
    )
    await audit.note(connection, caller, "sessions_ended", subject=caller.user_id)


SignedIn.model_rebuild()
