"""Who belongs to a project, and as what. A project always keeps an owner."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

import asyncpg
from pydantic import BaseModel, ConfigDict

from runcast_api.accounts import audit, listing
from runcast_api.accounts.listing import moment, text
from runcast_server.auth import access
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection
from runcast_server.errors import Conflict, NotFound

RoleName = Literal["owner", "editor", "reporter", "viewer"]
LAST_OWNER = "RC002"
"""What the database raises where a project would be left without an owner (`keep_an_owner`)."""

_ROWS = """
SELECT m.user_id AS id, m.project_id, m.role, m.created_at, u.name, coalesce(u.login, u.email) AS email
FROM project_members m JOIN users u ON u.id = m.user_id WHERE m.project_id = $1
"""
_AT_ADDRESS = """
SELECT m.user_id FROM project_members m JOIN users u ON u.id = m.user_id
WHERE m.project_id = $1 AND u.login = lower($2)
"""
_SET = """
INSERT INTO project_members AS m (project_id, user_id, role) VALUES ($1, $2, $3)
ON CONFLICT (project_id, user_id) DO UPDATE SET role = excluded.role
"""


class MemberRole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: RoleName


class Member(BaseModel):
    user_id: UUID
    name: str
    email: str | None
    role: RoleName
    created_at: str


class MemberPage(BaseModel):
    members: list[Member]
    total: int
    next_cursor: str | None


async def page(
    connection: Connection, project_id: UUID, limit: int, cursor: str | None
) -> dict[str, Any]:
    """The project's members, the newest first."""
    return await listing.page(connection, "members", _ROWS, (project_id,), _as_json, limit, cursor)


async def named(connection: Connection, project_id: UUID, reference: str) -> UUID | None:
    """The id that `reference` is, or the project's member who signs in with this address, disabled or not;
    None where no member does. An address that a token merely claims names no member."""
    found: UUID | None = access.as_uuid(reference)
    return found or await connection.fetchval(_AT_ADDRESS, project_id, reference)


async def show(connection: Connection, project_id: UUID, user_id: UUID | None) -> dict[str, Any]:
    """One member. Raises `NotFound`."""
    row = await connection.fetchrow(f"{_ROWS} AND m.user_id = $2", project_id, user_id)
    if row is None:
        raise NotFound("no such member")
    return _as_json(row)


async def put(
    connection: Connection, caller: Principal, project_id: UUID, user_id: UUID, role: RoleName
) -> dict[str, Any]:
    """Makes someone a member, or another kind of one. Raises `NotFound`, `Conflict`."""
    try:
        await connection.execute(_SET, project_id, user_id, role)
    except asyncpg.ForeignKeyViolationError:
        raise NotFound("no such user") from None
    except asyncpg.PostgresError as error:
        raise refusal(error) from None
    await audit.note(
        connection, caller, "member_set", project_id=project_id, subject=user_id, role=role
    )
    return await show(connection, project_id, user_id)


async def remove(
    connection: Connection, caller: Principal, project_id: UUID, user_id: UUID | None
) -> None:
    """Ends a membership; one's own, too. Raises `NotFound`, and `Conflict` for the last owner."""
    try:
        removed = await connection.fetchval(
            """DELETE FROM project_members WHERE project_id = $1 AND user_id = $2 RETURNING true""",
            project_id,
            user_id,
        )
    except asyncpg.PostgresError as error:
        raise refusal(error) from None
    if not removed:
        raise NotFound("no such member")
    await audit.note(connection, caller, "member_removed", project_id=project_id, subject=user_id)


def refusal(error: Exception) -> Exception:
    """What the database's refusal to leave a project without an owner says; other errors as they are."""
    if getattr(error, "sqlstate", None) == LAST_OWNER:
        return Conflict("a project keeps an owner: make someone else one first")
    return error


def _as_json(row: Any) -> dict[str, Any]:
    return {
        "user_id": text(row["id"]),
        "name": row["name"],
        "email": row["email"],
        "role": row["role"],
        "created_at": moment(row["created_at"]),
    }
