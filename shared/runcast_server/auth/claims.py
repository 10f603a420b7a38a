"""Whether who reads a project may still read it: what outlives the moment in which a right was checked asks
again, here.

Keys and links may have been revoked or have expired, sessions been ended, people been disabled or removed
from the project.
"""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from runcast_server.auth.principal import Principal
from runcast_server.db import Database, acquire

_SHUT_OUT = "SELECT shut_out($1, $2, $3, $4, $5, $6, $7)"


class Claim(NamedTuple):
    """On what grounds someone reads a project. Streams on the same grounds are asked about once."""

    user_id: UUID | None
    session_id: UUID | None
    key_id: UUID | None
    share_id: UUID | None
    is_admin_by_token: bool
    project_id: UUID

    @classmethod
    def of(cls, caller: Principal, project_id: UUID) -> Claim:
        return cls(
            caller.user_id,
            caller.session_id,
            caller.key_id,
            caller.share_id,
            caller.is_admin_by_token,
            project_id,
        )


async def is_shut_out(database: Database, caller: Principal, project_id: UUID) -> bool:
    """Whether this caller may no longer read this project."""
    return bool(await lost(database, [Claim.of(caller, project_id)]))


async def lost(database: Database, claims: list[Claim]) -> list[Claim]:
    """Those of the claims that are good no longer."""
    if not claims:
        return []
    columns = [list(column) for column in zip(*claims, strict=True)]
    async with acquire(database.log) as connection:
        rows = await connection.fetch(_SHUT_OUT, list(range(len(claims))), *columns)
    return [claims[row[0]] for row in rows]
