"""Who may touch what: every look-up of a project or of something in it passes here.

The database says it once more: what the caller may not read isn't there for these statements (row-level
security). Here it is said in words.

The rules of visibility (contract, section 2): without the right to read, what is inside a project is
not there (404), and so is a project asked for by slug; a project asked for by id answers 403. With the
right to read but not to do this, the answer is 403.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from runcast_server.auth.principal import Principal, Role
from runcast_server.db import Connection
from runcast_server.errors import Forbidden, Invalid, NotFound
from runcast_server.replica import Standing

_PROJECT = """
SELECT p.id, p.slug, p.name, m.role, c.epoch, c.last_seq FROM projects p
JOIN project_counters c ON c.project_id = p.id
LEFT JOIN project_members m ON m.project_id = p.id AND m.user_id = $2
WHERE p.deleted_at IS NULL AND
"""


@dataclass(frozen=True, slots=True)
class ProjectAccess:
    """A project that the caller may read, their role in it, and its head in this snapshot."""

    id: UUID
    slug: str
    name: str
    role: Role
    epoch: int
    head: int

    @property
    def standing(self) -> Standing:
        """What a standby must have to be as fresh as this."""
        return Standing(self.id, self.epoch, self.head)


def as_uuid(text: str) -> UUID | None:
    """The id that `text` is, or None where it is a slug or a key."""
    try:
        return UUID(text) if len(text) in (32, 36) else None
    except ValueError:
        return None


_RUN_BY_NAME = """
SELECT id FROM (
    SELECT id, 1 AS place FROM runs WHERE project_id = $1 AND key = $2
    UNION ALL SELECT run_id, 2 FROM run_aliases WHERE project_id = $1 AND alias = $2
    UNION ALL SELECT id, 3 FROM runs WHERE project_id = $1 AND number = $3) named
ORDER BY place LIMIT 1
"""
_NUMBER = re.compile(r"#?([0-9]{1,18})")


async def project(
    connection: Connection, principal: Principal, reference: str, needs: Role = Role.VIEWER
) -> ProjectAccess:
    """The project with this id or slug, if the caller is at least `needs` in it."""
    project_id = as_uuid(reference)
    row = await connection.fetchrow(
        _PROJECT + ("p.id = $1" if project_id else "p.slug = $1"),
        project_id or reference,
        principal.user_id,
    )
    role = role_in(principal, row["id"], row["role"]) if row is not None else None
    if row is None or role is None or principal.run_id is not None:
        if project_id and await connection.fetchval("SELECT project_exists($1)", project_id):
            raise Forbidden("you are not a member of this project")
        raise NotFound(f"no project {reference!r}")
    require(role, needs)
    return ProjectAccess(row["id"], row["slug"], row["name"], role, row["epoch"], row["last_seq"])


async def inside(
    connection: Connection,
    principal: Principal,
    project_id: UUID,
    what: str,
    needs: Role = Role.VIEWER,
) -> ProjectAccess:
    """The project of something found in it; unreadable means that the thing (`what`) is not there.

    A link to one run finds only what is of that run: the database shows it nothing else.
    """
    row = await connection.fetchrow(_PROJECT + "p.id = $1", project_id, principal.user_id)
    role = role_in(principal, project_id, row["role"]) if row is not None else None
    if row is None or role is None:
        raise NotFound(what)
    require(role, needs)
    return ProjectAccess(row["id"], row["slug"], row["name"], role, row["epoch"], row["last_seq"])


async def run_id(
    connection: Connection,
    principal: Principal,
    reference: str,
    project_reference: str | None = None,
    needs: Role = Role.VIEWER,
) -> tuple[UUID, ProjectAccess]:
    """The run with this id, or with this key, alias or number in the project named beside it, and its
    project."""
    absent = f"no run {reference!r}"
    run = as_uuid(reference)
    if run is None:
        if project_reference is None:
            raise Invalid.of("project", "a run named by its key or number needs ?project=")
        if principal.run_id is not None:
            raise NotFound(absent)
        found = await project(connection, principal, project_reference)
        run = await run_by_name(connection, found.id, reference)
        if run is None:
            raise NotFound(absent)
        require(found.role, needs)
        return run, found
    project_id = await connection.fetchval("SELECT project_id FROM runs WHERE id = $1", run)
    if project_id is None:
        raise NotFound(absent)
    return run, await inside(connection, principal, project_id, absent, needs)


async def run_by_name(connection: Connection, project_id: UUID, reference: str) -> UUID | None:
    """The run of the project with this key, alias or number (`12`, `#12`). A key wins over an alias, and
    both win over a number."""
    number = _NUMBER.fullmatch(reference)
    found: UUID | None = await connection.fetchval(
        _RUN_BY_NAME, project_id, reference, number and int(number[1])
    )
    return found


def role_in(principal: Principal, project_id: UUID, member_role: Any) -> Role | None:
    """What the caller is in the project: an admin everything, a key or link what it was made for."""
    if principal.is_admin:
        return Role.OWNER
    if principal.user_id is None:
        return principal.role if principal.project_id == project_id else None
    return Role[member_role.upper()] if member_role else None


def require(role: Role, needs: Role) -> None:
    """Raises `Forbidden` where `role` is less than what is needed."""
    if role < needs:
        raise Forbidden(f"this needs the role {needs.name.lower()}; yours is {role.name.lower()}")
