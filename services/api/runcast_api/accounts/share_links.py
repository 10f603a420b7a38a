"""Share links: its holder may look at one run, or at a project, and at nothing else."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from runcast._support.ids import uuid7
from runcast_api.accounts import audit, listing
from runcast_api.accounts.keys import Expiry
from runcast_api.accounts.listing import moment, text
from runcast_server.auth.principal import SHARE_PREFIX, Principal, hash_token, new_token
from runcast_server.db import Connection
from runcast_server.errors import NotFound

_COLUMNS = "id, project_id, run_id, created_by, created_at, expires_at, last_used_at"
_LIST = f"""
SELECT {_COLUMNS} FROM share_links
WHERE project_id = $1 AND revoked_at IS NULL AND share_link_is_good(id)
"""
_CREATE = """
INSERT INTO share_links (id, token_hash, project_id, run_id, created_by, expires_at, made_by_key, is_by_admin)
SELECT $1, $2, $3, $4, $5, $6, living_successor($7), $8
WHERE $4::uuid IS NULL OR EXISTS (SELECT FROM runs WHERE id = $4 AND project_id = $3)
"""


class ShareLinkNew(BaseModel):
    """What is shared: a run, or without one the project. Without `expires_at`: until it is revoked, or its
    maker may make none any more."""

    model_config = ConfigDict(extra="forbid")

    run_id: UUID | None = None
    expires_at: Expiry = None


class ShareLink(BaseModel):
    id: UUID
    project_id: UUID
    run_id: UUID | None
    created_by: UUID | None
    created_at: str
    expires_at: str | None
    last_used_at: str | None


class ShareLinkMade(ShareLink):
    """`token` and `url` are shown this once."""

    token: str | None
    url: str | None


class ShareLinkPage(BaseModel):
    share_links: list[ShareLink]
    total: int
    next_cursor: str | None


async def create(
    connection: Connection, caller: Principal, project_id: UUID, new: ShareLinkNew
) -> tuple[dict[str, Any], str]:
    """The link and its token; it ends with the right of its maker (`share_link_is_good` in SQL), which is
    the successor of a key that was rotated. Raises `NotFound` for a run that isn't the project's."""
    token = new_token(SHARE_PREFIX)
    id = uuid7()
    done = await connection.execute(
        _CREATE,
        id,
        hash_token(token),
        project_id,
        new.run_id,
        caller.user_id,
        new.expires_at,
        caller.key_id,
        caller.is_admin,
    )
    if done != "INSERT 0 1":
        raise NotFound(f"no run {str(new.run_id)!r}")
    await audit.note(
        connection,
        caller,
        "share_link_created",
        project_id=project_id,
        subject=id,
        run_id=text(new.run_id),
    )
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM share_links WHERE id = $1", id)
    return _as_json(row), token


async def page(
    connection: Connection, project_id: UUID, limit: int, cursor: str | None
) -> dict[str, Any]:
    """The project's links that are good, the newest first."""
    return await listing.page(
        connection, "share_links", _LIST, (project_id,), _as_json, limit, cursor
    )


async def revoke(connection: Connection, caller: Principal, link: UUID) -> None:
    """Makes a link good for nothing. Raises `NotFound`; row-level security finds only what editors may."""
    project_id = await connection.fetchval(
        """UPDATE share_links SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL
           RETURNING project_id""",
        link,
    )
    if project_id is None:
        raise NotFound("no such share link")
    await audit.note(connection, caller, "share_link_revoked", project_id=project_id, subject=link)


def _as_json(row: Any) -> dict[str, Any]:
    return {
        "id": text(row["id"]),
        "project_id": text(row["project_id"]),
        "run_id": text(row["run_id"]),
        "created_by": text(row["created_by"]),
        "created_at": moment(row["created_at"]),
        "expires_at": moment(row["expires_at"]),
        "last_used_at": moment(row["last_used_at"]),
    }
