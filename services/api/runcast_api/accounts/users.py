"""The people of this server, as administrators see and make them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict

from runcast._support.ids import uuid7
from runcast_api.accounts import audit, listing, members
from runcast_api.accounts.listing import moment, text
from runcast_api.accounts.passwords import Password
from runcast_api.accounts.signing_in import Email
from runcast_api.http.fields import Name, Patch
from runcast_api.logs import like
from runcast_server.auth.principal import LINK_PREFIX, Principal, hash_token, new_token
from runcast_server.db import Connection
from runcast_server.errors import Conflict, Forbidden, NotFound

LINK_HOURS = 24

_COLUMNS = """id, name, login, email, subject, is_admin, created_at, disabled_at, last_sign_in_at"""
_LIST = f"SELECT {_COLUMNS} FROM users WHERE deleted_at IS NULL"


class UserNew(BaseModel):
    """An account. Without a password a one-time sign-in link is answered."""

    model_config = ConfigDict(extra="forbid")

    email: Email
    name: Name
    password: Password | None = None
    is_admin: bool = False


class UserPatch(Patch):
    """What is absent stays. A disabled account can't sign in, and its sessions and streams end."""

    NEVER_NULL = frozenset({"name", "is_admin", "is_disabled"})

    name: Name | None = None
    is_admin: bool | None = None
    is_disabled: bool | None = None


class UserShown(BaseModel):
    id: UUID
    name: str
    email: str | None
    subject: str | None
    is_admin: bool
    is_disabled: bool
    created_at: str
    last_sign_in_at: str | None


class SignInLink(BaseModel):
    """Signs in the first person who opens it, once."""

    token: str
    url: str
    expires_at: str


class UserMade(UserShown):
    sign_in_link: SignInLink | None


class UserPage(BaseModel):
    users: list[UserShown]
    total: int
    next_cursor: str | None


async def page(connection: Connection, limit: int, cursor: str | None) -> dict[str, Any]:
    """All people, the newest first."""
    return await listing.page(connection, "users", _LIST, (), _as_json, limit, cursor)


async def create(connection: Connection, caller: Principal, new: UserNew) -> dict[str, Any]:
    """The account, without a password yet. Raises `Conflict` where the address has one."""
    id = uuid7()
    done = await connection.execute(
        """INSERT INTO users (id, login, email, name, is_admin) VALUES ($1, $2, $2, $3, $4)
           ON CONFLICT DO NOTHING""",
        id,
        new.email,
        new.name,
        new.is_admin,
    )
    if done != "INSERT 0 1":
        raise Conflict("this e-mail address has an account")
    await audit.note(
        connection, caller, "user_created", subject=id, email=new.email, is_admin=new.is_admin
    )
    return await show(connection, id)


async def change(
    connection: Connection, caller: Principal, user_id: UUID, patch: UserPatch
) -> dict[str, Any]:
    """The account after the change. Raises `NotFound`."""
    changed = await connection.fetchval(
        """UPDATE users SET name = coalesce($2, name), is_admin = coalesce($3, is_admin),
               disabled_at = CASE WHEN $4 THEN coalesce(disabled_at, now())
                                  WHEN NOT $4 THEN NULL ELSE disabled_at END
           WHERE id = $1 RETURNING true""",
        user_id,
        patch.name,
        patch.is_admin,
        patch.is_disabled,
    )
    if not changed:
        raise NotFound("no such user")
    said = patch.model_dump(exclude_none=True)
    await audit.note(connection, caller, "user_changed", subject=user_id, **said)
    return await show(connection, user_id)


class PersonFound(BaseModel):
    """Someone who can be made a member."""

    id: UUID
    name: str
    email: str


class PeopleFound(BaseModel):
    users: list[PersonFound]


async def find(connection: Connection, q: str, limit: int) -> dict[str, Any]:
    """People with `q` in their name or address, by name. Raises `Forbidden` for who brings no one in."""
    if not await connection.fetchval("SELECT may_bring_people()"):
        raise Forbidden("only owners of a project and administrators look for people")
    rows = await connection.fetch("SELECT * FROM find_people($1, $2)", like.containing(q), limit)
    return {"users": [{**row, "id": text(row["id"])} for row in rows]}


async def at_address(connection: Connection, address: str) -> UUID:
    """Whose address this is, for an owner or administrator. Raises `NotFound`."""
    found: UUID | None = await connection.fetchval("SELECT person_at($1)", address)
    if found is None:
        raise NotFound(f"no one signs in here as {address[:254]!r}: invite them")
    return found


async def show(connection: Connection, user_id: UUID) -> dict[str, Any]:
    """The account. Raises `NotFound`."""
    row = await connection.fetchrow(f"{_LIST} AND id = $1", user_id)
    if row is None:
        raise NotFound("no such user")
    return _as_json(row)


async def delete(connection: Connection, caller: Principal, user_id: UUID) -> None:
    """Ends an account for good: no one signs in with it, it has no name and no address any more, and what it
    wrote stays. Raises `NotFound`, and `Conflict` for the last owner of a project."""
    try:
        done = await connection.fetchval("SELECT delete_user($1)", user_id)
    except asyncpg.PostgresError as error:
        raise members.refusal(error) from None
    if not done:
        raise NotFound("no such user")
    await audit.note(connection, caller, "user_deleted", subject=user_id)


async def sign_in_link(
    connection: Connection, caller: Principal, user_id: UUID, public_url: str
) -> dict[str, Any]:
    """A link that signs this person in, once, within a day. Raises `NotFound`."""
    await show(connection, user_id)
    token = new_token(LINK_PREFIX)
    expires_at = datetime.now(UTC) + timedelta(hours=LINK_HOURS)
    await connection.execute(
        "INSERT INTO sign_in_links (token_hash, user_id, expires_at) VALUES ($1, $2, $3)",
        hash_token(token),
        user_id,
        expires_at,
    )
    await audit.note(connection, caller, "sign_in_link_created", subject=user_id)
    return {
        "token": token,
        "url": f"{public_url}/ui/sign-in#token={token}",
        "expires_at": moment(expires_at),
    }


def _as_json(row: Any) -> dict[str, Any]:
    return {
        "id": text(row["id"]),
        "name": row["name"],
        "email": row["login"] or row["email"],
        "subject": row["subject"],
        "is_admin": row["is_admin"],
        "is_disabled": row["disabled_at"] is not None,
        "created_at": moment(row["created_at"]),
        "last_sign_in_at": moment(row["last_sign_in_at"]),
    }
