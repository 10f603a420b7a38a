"""Invitations: a link for one e-mail address, which makes an account or finds the one there is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints

from runcast._support.ids import uuid7
from runcast_api.accounts import audit, listing
from runcast_api.accounts.listing import moment, text
from runcast_api.accounts.members import RoleName
from runcast_api.accounts.passwords import Password
from runcast_api.accounts.signing_in import Email
from runcast_api.http.fields import NoNul
from runcast_server.auth.principal import INVITATION_PREFIX, Principal, hash_token, new_token
from runcast_server.db import Connection, Database, acquire
from runcast_server.errors import NotFound

VALID_DAYS = 7

_CREATE = """
INSERT INTO invitations (id, token_hash, login, project_id, role, invited_by, expires_at,
                         needs_confirmation, is_by_admin, invited_by_key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, living_successor($10))
"""
_COLUMNS = """id, login, project_id, role, invited_by, created_at, expires_at, accepted_at,
              NOT needs_confirmation OR confirmed_at IS NOT NULL AS is_confirmed"""
_LIST = f"""
SELECT {_COLUMNS} FROM invitations
WHERE revoked_at IS NULL AND ($1::uuid IS NULL OR project_id = $1)
"""


class InvitationNew(BaseModel):
    """Whom to invite. Without a project: to this server, which only administrators do."""

    model_config = ConfigDict(extra="forbid")

    email: Email
    project: Annotated[str, StringConstraints(max_length=100), NoNul] | None = None
    role: RoleName = "viewer"


class Invitation(BaseModel):
    id: UUID
    email: str
    project_id: UUID | None
    role: RoleName | None
    invited_by: UUID | None
    created_at: str
    expires_at: str
    accepted_at: str | None
    is_confirmed: bool


class InvitationMade(Invitation):
    """`token` and `url` are shown this once; give the address to whom you invite."""

    token: str | None
    url: str | None


class InvitationPage(BaseModel):
    invitations: list[Invitation]
    total: int
    next_cursor: str | None


class InvitationOpened(BaseModel):
    """What its holder sees. Whether the address has an account isn't told: with one, its password or a
    session of it is asked for. Without, an account is made, once the invitation is confirmed."""

    email: str
    project_id: UUID | None
    project_name: str | None
    role: RoleName | None
    expires_at: str
    is_confirmed: bool


class Acceptance(BaseModel):
    """Name and password of a new account, or the password of the one that is there."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=200), NoNul] | None = None
    password: Password
    cookie: bool = False


@dataclass(frozen=True, slots=True)
class Open:
    """An invitation that can still be accepted."""

    email: str
    project_id: UUID | None
    project_name: str | None
    role: str | None
    expires_at: datetime
    user_id: UUID | None
    is_confirmed: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "email": self.email,
            "project_id": text(self.project_id),
            "project_name": self.project_name,
            "role": self.role,
            "expires_at": moment(self.expires_at),
            "is_confirmed": self.is_confirmed,
        }


async def create(
    connection: Connection,
    caller: Principal,
    new: InvitationNew,
    project_id: UUID | None,
    *,
    needs_confirmation: bool,
) -> tuple[dict[str, Any], str]:
    """The invitation, and its secret. One that `needs_confirmation` makes no account before it has it.
    It is good as long as its maker, or the successor of a key that was rotated, may invite to the
    project."""
    token = new_token(INVITATION_PREFIX)
    id = uuid7()
    await connection.execute(
        _CREATE,
        id,
        hash_token(token),
        new.email,
        project_id,
        new.role if project_id else None,
        caller.user_id,
        datetime.now(UTC) + timedelta(days=VALID_DAYS),
        needs_confirmation,
        caller.is_admin,
        caller.key_id,
    )
    await audit.note(
        connection,
        caller,
        "invitation_created",
        project_id=project_id,
        subject=new.email,
        role=new.role,
    )
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM invitations WHERE id = $1", id)
    return _as_json(row), token


async def page(
    connection: Connection, project_id: UUID | None, limit: int, cursor: str | None
) -> dict[str, Any]:
    """Invitations that were not taken back: of a project, or all that the caller may see."""
    return await listing.page(
        connection, "invitations", _LIST, (project_id,), _as_json, limit, cursor
    )


async def revoke(connection: Connection, caller: Principal, invitation: UUID) -> None:
    """Takes an invitation back. Raises `NotFound`."""
    row = await connection.fetchrow(
        """UPDATE invitations SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL
           AND accepted_at IS NULL RETURNING project_id, login""",
        invitation,
    )
    if row is None:
        raise NotFound("no such invitation")
    await audit.note(
        connection, caller, "invitation_revoked", project_id=row["project_id"], subject=row["login"]
    )


async def confirm(connection: Connection, caller: Principal, invitation: UUID) -> dict[str, Any]:
    """Lets an invitation make an account. Raises `NotFound`."""
    row = await connection.fetchrow(
        f"""UPDATE invitations SET confirmed_at = coalesce(confirmed_at, now()),
                confirmed_by = coalesce(confirmed_by, $2)
            WHERE id = $1 AND revoked_at IS NULL AND accepted_at IS NULL RETURNING {_COLUMNS}""",
        invitation,
        caller.name,
    )
    if row is None:
        raise NotFound("no such invitation")
    await audit.note(
        connection,
        caller,
        "invitation_confirmed",
        project_id=row["project_id"],
        subject=row["login"],
    )
    return _as_json(row)


async def look(database: Database, token: str) -> Open:
    """The invitation that this secret opens. Raises `NotFound`."""
    async with acquire(database.accounts) as connection:
        row = await connection.fetchrow("SELECT * FROM open_invitation($1)", hash_token(token))
    if row is None:
        raise NotFound("the invitation is not valid, or was used already")
    return Open(
        row["login"],
        row["project_id"],
        row["project_name"],
        row["role"],
        row["expires_at"],
        row["user_id"],
        row["is_confirmed"],
    )


async def accept(connection: Connection, token: str, known: UUID | None, name: str | None) -> UUID:
    """Who has joined by it. Raises `NotFound` where someone was faster."""
    joined: UUID | None = await connection.fetchval(
        "SELECT accept_invitation($1, $2, $3, $4)", hash_token(token), known, uuid7(), name or ""
    )
    if joined is None:
        raise NotFound("the invitation is not valid, or was used already")
    return joined


def _as_json(row: Any) -> dict[str, Any]:
    return {
        "id": text(row["id"]),
        "email": row["login"],
        "project_id": text(row["project_id"]),
        "role": row["role"],
        "invited_by": text(row["invited_by"]),
        "created_at": moment(row["created_at"]),
        "expires_at": moment(row["expires_at"]),
        "accepted_at": moment(row["accepted_at"]),
        "is_confirmed": row["is_confirmed"],
    }
