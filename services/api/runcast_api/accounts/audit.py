"""The audit log: who signed in, and who changed keys, members and people. No one can change it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel

from runcast_api.accounts.listing import moment, text
from runcast_api.http import pagination
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection

_LIST = """
SELECT id, at, actor, user_id, action, project_id, subject, details, address FROM audit_log
WHERE ($1::text IS NULL OR action = $1) AND ($2::uuid IS NULL OR project_id = $2)
  AND ($3::bigint IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4
"""
_TOTAL = """
SELECT count(*) FROM audit_log
WHERE ($1::text IS NULL OR action = $1) AND ($2::uuid IS NULL OR project_id = $2)
"""


class AuditEntry(BaseModel):
    """One thing that was done. `actor` is a principal: `user:…`, `key:…`, or `anonymous`."""

    id: int
    at: str
    actor: str
    user_id: str | None
    action: str
    project_id: str | None
    subject: str | None
    details: dict[str, Any]
    address: str | None


class AuditPage(BaseModel):
    entries: list[AuditEntry]
    total: int
    next_cursor: str | None


async def note(
    connection: Connection,
    actor: Principal,
    action: str,
    *,
    project_id: UUID | None = None,
    subject: object = None,
    address: str | None = None,
    **details: Any,
) -> None:
    """Adds an entry, in the transaction of what it tells about. Secrets don't belong into `details`."""
    await connection.execute(
        """INSERT INTO audit_log (actor, user_id, action, project_id, subject, details, address)
           VALUES ($1, $2, $3, $4, $5, $6, $7)""",
        actor.name,
        actor.user_id,
        action,
        project_id,
        None if subject is None else str(subject),
        details,
        address,
    )


async def page(
    connection: Connection,
    action: str | None,
    project_id: UUID | None,
    limit: int,
    cursor: str | None,
) -> dict[str, Any]:
    """Entries, newest first; row-level security shows them to administrators only."""
    query = ("audit", action, project_id)
    before = None
    if cursor is not None:
        [before] = pagination.members(cursor, query, pagination.whole)
    rows = await connection.fetch(_LIST, action, project_id, before, limit + 1)
    more = rows[limit - 1]["id"] if len(rows) > limit else None
    return {
        "entries": [_as_json(row) for row in rows[:limit]],
        "total": await connection.fetchval(_TOTAL, action, project_id),
        "next_cursor": None if more is None else pagination.encode([more], *query),
    }


def _as_json(row: Any) -> dict[str, Any]:
    return {
        "id": row["id"],
        "at": moment(row["at"]),
        "actor": row["actor"],
        "user_id": text(row["user_id"]),
        "action": row["action"],
        "project_id": text(row["project_id"]),
        "subject": row["subject"],
        "details": row["details"],
        "address": row["address"],
    }
