"""API keys: shown once, stored as a hash, bound to a project and a role, or an administrator's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from runcast._support.ids import uuid7
from runcast_api.accounts import audit, listing
from runcast_api.accounts.listing import moment, text
from runcast_api.accounts.members import RoleName
from runcast_api.http.fields import Name
from runcast_server.auth.principal import Principal, hash_token, new_token
from runcast_server.db import Connection
from runcast_server.errors import Conflict, Forbidden, Invalid, NotFound

OVERLAP_SECONDS = 3600.0
MOST_MAKERS = 8
"""How many keys may stand in a row of which each made the next."""
MAX_OVERLAP_SECONDS = 30 * 86_400.0

_COLUMNS = """id, name, project_id, role, is_admin, scopes, created_by, created_at, expires_at, revoked_at,
              last_used_at, replaces"""
_LIST = f"""
SELECT {_COLUMNS} FROM api_keys
WHERE ($1::uuid IS NULL OR project_id = $1) AND revoked_at IS NULL
  AND (expires_at IS NULL OR expires_at > now())
"""
_CREATE = """
INSERT INTO api_keys (id, token_hash, name, project_id, role, is_admin, scopes, created_by, made_by_key,
                      is_by_admin, expires_at, replaces)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
"""
_HAND_OVER = (
    "UPDATE api_keys SET made_by_key = $2 WHERE made_by_key = $1",
    "UPDATE invitations SET invited_by_key = $2 WHERE invited_by_key = $1",
    "UPDATE share_links SET made_by_key = $2 WHERE made_by_key = $1",
)
"""What a key made is its successor's."""


def _in_future(at: datetime | None) -> datetime | None:
    if at is not None and at <= datetime.now(UTC):
        raise ValueError("must lie in the future")
    return at


Expiry = Annotated[AwareDatetime | None, AfterValidator(_in_future)]
Scope = Literal["worker", "answer"]


class KeyNew(BaseModel):
    """A key of a project. The scope `worker`, which reports on the runtime of all, an administrator gives.
    With the scope `answer` an editor's or owner's key answers questions: a program that stands for a person
    holds it, never an agent."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    role: RoleName
    scopes: list[Scope] = Field(default=[], max_length=8)
    expires_at: Expiry = None


class AdminKeyNew(BaseModel):
    """An administrator's key: it may do everything, everywhere."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    expires_at: Expiry = None


class Rotation(BaseModel):
    """For how many seconds the old key works beside the new one."""

    model_config = ConfigDict(extra="forbid")

    overlap_s: float = Field(default=OVERLAP_SECONDS, ge=0, le=MAX_OVERLAP_SECONDS)


class Key(BaseModel):
    id: UUID
    name: str
    project_id: UUID | None
    role: RoleName | None
    is_admin: bool
    scopes: list[str]
    created_by: UUID | None
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    replaces: UUID | None


class KeyMade(Key):
    """`token` is shown this once."""

    token: str | None


class KeyPage(BaseModel):
    keys: list[Key]
    total: int
    next_cursor: str | None


async def create(
    connection: Connection,
    caller: Principal,
    new: KeyNew | AdminKeyNew,
    project_id: UUID | None,
    max_days: int | None,
) -> tuple[dict[str, Any], str]:
    """The key and its token. Raises `Forbidden` for a scope that the caller can't give, and for
    a key at the end of a long line of keys that made one another.

    It ends with its maker at the latest: a key that ends makes none that ends later. One that isn't made by
    an administrator ends after `max_days`; a later end is `Invalid`.
    """
    wanted = _within(new.expires_at, None if caller.is_admin else max_days)
    scopes = new.scopes if isinstance(new, KeyNew) else []
    _may_give(caller, scopes)
    await _refuse_deep(connection, caller)
    token = new_token()
    id = uuid7()
    await connection.execute(
        _CREATE,
        id,
        hash_token(token),
        new.name,
        project_id,
        new.role if isinstance(new, KeyNew) else None,
        project_id is None,
        scopes,
        *_maker(caller),
        _cut_short(wanted, caller),
        None,
    )
    await audit.note(
        connection, caller, "key_created", project_id=project_id, subject=id, name=new.name
    )
    return await show(connection, id), token


def _may_give(caller: Principal, scopes: Sequence[str]) -> None:
    if "worker" in scopes and not caller.is_admin:
        raise Forbidden("only an administrator gives a key the scope worker")
    if (
        "answer" in scopes
        and caller.key_id
        and not caller.is_admin
        and "answer" not in caller.scopes
    ):
        raise Forbidden("a key without the scope answer gives it to no other key")


async def _refuse_deep(connection: Connection, caller: Principal) -> None:
    """Raises `Forbidden` for a key at the end of a long line of keys that made one another."""
    if caller.key_id is None:
        return
    depth = await connection.fetchval("SELECT key_depth($1)", caller.key_id)
    if depth >= MOST_MAKERS:
        raise Forbidden(f"at most {MOST_MAKERS} keys in a row make one another: ask a person")


def _maker(caller: Principal) -> tuple[UUID | None, UUID | None, bool]:
    """Who makes a key: a person, or another key, and whether as an administrator (`key_rights` in SQL)."""
    return caller.user_id, caller.key_id, caller.is_admin


def _successors_maker(
    caller: Principal, key: UUID, old: Any
) -> tuple[UUID | None, UUID | None, bool]:
    """Who makes the key that replaces another: a key that replaces itself leaves its own maker as it is."""
    if caller.key_id == key:
        return old["created_by"], old["made_by_key"], old["is_by_admin"]
    return _maker(caller)


def _within(wanted: datetime | None, max_days: int | None) -> datetime | None:
    """When a key ends under the server's policy. Raises `Invalid` for a later end."""
    if max_days is None:
        return wanted
    latest = datetime.now(UTC) + timedelta(days=max_days)
    if wanted is not None and wanted > latest:
        raise Invalid.of("body.expires_at", f"a key is good for {max_days} days at most here")
    return wanted or latest


def _cut_short(wanted: datetime | None, caller: Principal) -> datetime | None:
    """When a key ends that this caller makes: not after the caller, where that is a key itself."""
    own = caller.expires_at if caller.key_id is not None else None
    ends = [end for end in (wanted, own) if end is not None]
    return min(ends) if ends else None


async def show(connection: Connection, key: UUID) -> dict[str, Any]:
    """The key, without its token. Raises `NotFound`."""
    return _as_json(await _find(connection, key))


async def page(
    connection: Connection, project_id: UUID | None, limit: int, cursor: str | None
) -> dict[str, Any]:
    """The keys that are good: of a project, or all that the caller may see; the newest first."""
    return await listing.page(connection, "keys", _LIST, (project_id,), _as_json, limit, cursor)


async def revoke(connection: Connection, caller: Principal, key: UUID) -> None:
    """Makes a key good for nothing. Raises `NotFound`."""
    row = await _find(connection, key)
    await connection.execute("UPDATE api_keys SET revoked_at = now() WHERE id = $1", key)
    await audit.note(
        connection,
        caller,
        "key_revoked",
        project_id=row["project_id"],
        subject=key,
        name=row["name"],
    )


async def rotate(
    connection: Connection, caller: Principal, key: UUID, overlap_seconds: float
) -> tuple[dict[str, Any], str]:
    """A new key in place of one that works on for a while, with the rights that the caller could give and
    the end that the old key had before any rotation. What the old key made is the new one's from now on.

    Raises `NotFound`, `Conflict`, and `Forbidden` where the caller couldn't have made such a key.
    """
    old = await _find(connection, key)
    now = datetime.now(UTC)
    if old["expires_at"] is not None and old["expires_at"] <= now:
        raise Conflict("the key has expired")
    _may_give(caller, old["scopes"])
    if caller.key_id != key:
        await _refuse_deep(connection, caller)
    full_end = old["full_expires_at"] if old["replaced_at"] else old["expires_at"]
    token = new_token()
    id = uuid7()
    members = ("name", "project_id", "role", "is_admin", "scopes")
    await connection.execute(
        _CREATE,
        id,
        hash_token(token),
        *(old[name] for name in members),
        *_successors_maker(caller, key, old),
        full_end if caller.key_id == key else _cut_short(full_end, caller),
        key,
    )
    await connection.execute(
        """UPDATE api_keys SET expires_at = least(expires_at, $2), replaced_at = coalesce(replaced_at, $3),
               full_expires_at = $4 WHERE id = $1""",
        key,
        now + timedelta(seconds=overlap_seconds),
        now,
        full_end,
    )
    for statement in _HAND_OVER:
        await connection.execute(statement, key, id)
    await audit.note(
        connection,
        caller,
        "key_rotated",
        project_id=old["project_id"],
        subject=id,
        replaces=str(key),
    )
    return await show(connection, id), token


async def _find(connection: Connection, key: UUID) -> Any:
    """The row, which row-level security shows to owners of its project and administrators."""
    row = await connection.fetchrow(
        f"""SELECT {_COLUMNS}, made_by_key, is_by_admin, replaced_at, full_expires_at FROM api_keys
            WHERE id = $1 AND revoked_at IS NULL""",
        key,
    )
    if row is None:
        raise NotFound("no such key")
    return row


def _as_json(row: Any) -> dict[str, Any]:
    return {
        "id": text(row["id"]),
        "name": row["name"],
        "project_id": text(row["project_id"]),
        "role": row["role"],
        "is_admin": row["is_admin"],
        "scopes": list(row["scopes"]),
        "created_by": text(row["created_by"]),
        "created_at": moment(row["created_at"]),
        "expires_at": moment(row["expires_at"]),
        "last_used_at": moment(row["last_used_at"]),
        "replaces": text(row["replaces"]),
    }
