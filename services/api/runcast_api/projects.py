"""Projects: making, naming, listing and deleting them."""

from __future__ import annotations

import re
import secrets
import unicodedata
from typing import Annotated, Any
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict, StringConstraints, field_validator

from runcast._support.ids import uuid7
from runcast_api.accounts import audit
from runcast_api.http import pagination
from runcast_api.http.fields import Name, Patch
from runcast_api.http.pagination import Place
from runcast_api.runs.annotations import Budget
from runcast_api.storage import policy
from runcast_api.storage.policy import Bounds, Quota, Retention
from runcast_server import outages
from runcast_server.auth import access
from runcast_server.auth.access import ProjectAccess
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection
from runcast_server.errors import Conflict, Forbidden
from runcast_server.eventlog.bus import Bus
from runcast_server.runs import in_milliseconds

log = structlog.get_logger()

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]

_COLUMNS = "p.id, p.slug, p.name, p.created_at, p.updated_at, p.retention, p.quota, p.run_budget"

_VISIBLE = """
p.deleted_at IS NULL AND ($1 OR p.id = $2
    OR EXISTS (SELECT FROM project_members m WHERE m.project_id = p.id AND m.user_id = $3))
"""

_LIST = f"""
SELECT {_COLUMNS}, m.role FROM projects p
LEFT JOIN project_members m ON m.project_id = p.id AND m.user_id = $3
WHERE {_VISIBLE} AND ($4::timestamptz IS NULL OR (p.created_at, p.id) < ($4, $5::uuid))
ORDER BY p.created_at DESC, p.id DESC LIMIT $6
"""

_CHANGE = """
UPDATE projects SET name = coalesce($2, name), slug = coalesce($3, slug), updated_at = now(),
    retention = jsonb_strip_nulls(retention || $4::jsonb), quota = jsonb_strip_nulls(quota || $5::jsonb),
    run_budget = CASE WHEN $6 THEN $7::json ELSE run_budget END
WHERE id = $1 RETURNING retention
"""
_CREATE = "SELECT create_project($1, $2, $3, $4)"


class ProjectNew(BaseModel):
    """What a project is made of. Without a `slug` one is made from the name."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    slug: Slug | None = None
    id: UUID | None = None

    @field_validator("slug")
    @classmethod
    def not_like_an_id(cls, slug: str | None) -> str | None:
        if slug is not None and access.as_uuid(slug):
            raise ValueError("must not look like an id")
        return slug


class ProjectPatch(Patch):
    """Other names and limits for a project; what is absent stays. `run_budget` is the budget of each new
    run that names none and has no parent; null: none."""

    NEVER_NULL = frozenset({"name", "slug", "retention", "quota"})

    name: Name | None = None
    slug: Slug | None = None
    retention: Retention | None = None
    quota: Quota | None = None
    run_budget: Budget | None = None


class Project(BaseModel):
    """A project, and what the caller is in it. Null in `retention` and `quota` is left to the server's
    settings; `GET /projects/{project}/storage` says what holds."""

    id: UUID
    slug: str
    name: str
    role: str | None
    created_at: str
    updated_at: str
    retention: Retention
    quota: Quota
    run_budget: Budget | None


class ProjectPage(BaseModel):
    projects: list[Project]
    total: int
    next_cursor: str | None


async def create(
    connection: Connection, caller: Principal, new: ProjectNew, *, only_admins: bool
) -> tuple[dict[str, Any], int]:
    """The new project with 201, owned by the caller, or the one that is there with 200.

    Raises `Forbidden`, or `Conflict` for an id that is taken elsewhere or a slug that is taken.
    """
    if not caller.is_admin and (only_admins or caller.user_id is None):
        raise Forbidden("only administrators create projects here")
    if new.id is not None and (there := await _existing(connection, caller, new.id)):
        return there, 200
    project_id = new.id or uuid7()
    slugs = [new.slug] if new.slug else _slugs(new.name)
    for slug in slugs:
        if await connection.fetchval(_CREATE, project_id, slug, new.name, secrets.randbits(52)):
            break
    else:
        if new.id is not None and (there := await _existing(connection, caller, new.id)):
            return there, 200
        raise Conflict(f"the slug {slugs[0]!r} is taken")
    return await show(connection, project_id, "owner"), 201


async def _existing(
    connection: Connection, caller: Principal, project_id: UUID
) -> dict[str, Any] | None:
    if not await connection.fetchval("SELECT project_id_taken($1)", project_id):
        return None
    row = await connection.fetchrow(
        """SELECT p.deleted_at, m.role FROM projects p LEFT JOIN project_members m
               ON m.project_id = p.id AND m.user_id = $2 WHERE p.id = $1""",
        project_id,
        caller.user_id,
    )
    role = access.role_in(caller, project_id, row["role"]) if row is not None else None
    if role is None or row["deleted_at"] is not None:
        raise Conflict("this id is taken")
    return await show(connection, project_id, role.name.lower())


def _slugs(name: str) -> list[str]:
    """Slugs to try for a name, the readable one first."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:50].strip("-") or "project"
    numbered = [f"{base}-{number}" for number in range(2, 10)]
    tries = [base, *numbered, f"{base}-{secrets.token_hex(4)}"]
    return [slug for slug in tries if not access.as_uuid(slug)]


async def show(connection: Connection, project_id: UUID, role: str | None) -> dict[str, Any]:
    """The project object."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM projects p WHERE p.id = $1", project_id
    )
    return _as_json(row, role)


async def head(connection: Connection, project_id: UUID) -> int | None:
    """The number of the project's newest event; None once it is deleted."""
    last_seq: int | None = await connection.fetchval(
        "SELECT last_seq FROM project_counters WHERE project_id = $1", project_id
    )
    return last_seq


def _as_json(row: Any, role: str | None) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "slug": row["slug"],
        "name": row["name"],
        "role": role,
        "created_at": in_milliseconds(row["created_at"]),
        "updated_at": in_milliseconds(row["updated_at"]),
        "retention": Retention(**row["retention"]).model_dump(),
        "quota": Quota(**row["quota"]).model_dump(),
        "run_budget": row["run_budget"],
    }


async def page(
    connection: Connection, caller: Principal, limit: int, cursor: str | None
) -> dict[str, Any]:
    """The projects that the caller may see, newest first. The link to a run shows none."""
    if caller.run_id is not None:
        return {"projects": [], "total": 0, "next_cursor": None}
    query = ("projects", caller.name)
    place = pagination.read(cursor, *query)
    seen_by = (caller.is_admin, caller.project_id, caller.user_id)
    rows = await connection.fetch(
        _LIST, *seen_by, place and place.at, place and place.id, limit + 1
    )
    total = await connection.fetchval(f"SELECT count(*) FROM projects p WHERE {_VISIBLE}", *seen_by)
    shown = rows[:limit]
    last = shown[-1] if len(rows) > limit else None
    return {
        "projects": [_as_json(row, _role_name(caller, row)) for row in shown],
        "total": total,
        "next_cursor": last and pagination.after(Place(last["created_at"], last["id"]), *query),
    }


def _role_name(caller: Principal, row: Any) -> str | None:
    role = access.role_in(caller, row["id"], row["role"])
    return role.name.lower() if role else None


async def change(
    connection: Connection,
    caller: Principal,
    found: ProjectAccess,
    patch: ProjectPatch,
    bounds: Bounds,
) -> dict[str, Any]:
    """The project with the changes made. Raises `Conflict` for a slug that is taken, and `Invalid` for a
    limit beyond those of the server."""
    bounds.check(caller, patch.retention, patch.quota)
    if patch.slug is not None and await connection.fetchval(
        "SELECT true FROM projects WHERE slug = $1 AND id <> $2 AND deleted_at IS NULL",
        patch.slug,
        found.id,
    ):
        raise Conflict(f"the slug {patch.slug!r} is taken")
    limits = {"retention": policy.changes(patch.retention), "quota": policy.changes(patch.quota)}
    changes_budget = "run_budget" in patch.model_fields_set
    budget = patch.run_budget and patch.run_budget.model_dump(mode="json")
    row = await connection.fetchrow(
        _CHANGE, found.id, patch.name, patch.slug, *limits.values(), changes_budget, budget
    )
    policy.check_together(row["retention"])
    if any(limits.values()) or changes_budget:
        told: dict[str, Any] = {name: value for name, value in limits.items() if value}
        told |= {"run_budget": budget} if changes_budget else {}
        await audit.note(connection, caller, "project_limits_changed", project_id=found.id, **told)
    return await show(connection, found.id, found.role.name.lower())


async def lock(connection: Connection, project_id: UUID) -> None:
    """Has other changes of the project wait for the end of this transaction."""
    await connection.execute("SELECT FROM projects WHERE id = $1 FOR NO KEY UPDATE", project_id)


async def delete(connection: Connection, project_id: UUID) -> None:
    """Marks the project deleted and takes its counter away: nothing is written in it from now on."""
    await connection.execute("SELECT delete_project($1)", project_id)


async def end_streams(bus: Bus, project_id: UUID) -> None:
    """Drops the project's keys in Redis and has the hubs look: they find it gone and say so. Without
    Redis they find out with their next look at Postgres."""
    try:
        await bus.delete(project_id)
    except outages.REDIS as error:
        log.warning("project.keys_left", project=str(project_id), error=outages.named(error))
