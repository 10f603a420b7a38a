"""A person's rules and targets, kept and shown. Addresses that are secrets are written and never read
here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from runcast_api.accounts import audit
from runcast_api.accounts.listing import moment
from runcast_api.notifications import targets
from runcast_api.notifications.schemas import NotificationsSet, Rule, Target
from runcast_server.auth.access import as_uuid
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection
from runcast_server.errors import Invalid

Json = dict[str, Any]

_LOCK = """
INSERT INTO notification_settings (user_id, rules) VALUES ($1, $2)
ON CONFLICT (user_id) DO UPDATE SET updated_at = notification_settings.updated_at
"""
_SETTINGS = """
INSERT INTO notification_settings (user_id, rules, details) VALUES ($1, $2, $3)
ON CONFLICT (user_id) DO UPDATE SET rules = $2, details = $3, updated_at = now()
"""
_TARGETS = """
SELECT id, kind, name, url, failing_since, error, disabled_reason FROM notification_targets
WHERE user_id = $1 ORDER BY created_at, id
"""
_KEEP = """
UPDATE notification_targets SET name = $3, disabled_reason = NULL, failing_since = NULL, error = NULL,
    updated_at = now()
WHERE user_id = $1 AND id = $2
"""
_REPLACE = """
UPDATE notification_targets SET name = $3, url = $4, secret = $5, disabled_reason = NULL, failing_since =
    NULL,
    error = NULL, updated_at = now()
WHERE user_id = $1 AND id = $2
"""
_ADD = """
INSERT INTO notification_targets (user_id, id, kind, name, url, secret) VALUES ($1, $2, $3, $4, $5, $6)
"""


async def lock(connection: Connection, user_id: UUID) -> None:
    """Of two who change them one waits for the other until its transaction ends, also where nothing was set
    before."""
    await connection.execute(_LOCK, user_id, [])


async def show(connection: Connection, user_id: UUID) -> Json:
    """Rules, targets without their secrets, and how the targets do."""
    kept = await connection.fetchrow(
        "SELECT rules, details FROM notification_settings WHERE user_id = $1", user_id
    )
    rows = await connection.fetch(_TARGETS, user_id)
    rules = [dict(rule) for rule in kept["rules"]] if kept else []
    slugs = await _slugs(connection, rules)
    for rule in rules:
        if isinstance(rule["projects"], list):
            rule["projects"] = [slugs.get(one, one) for one in rule["projects"]]
    return {
        "rules": rules,
        "targets": [_shown(row) for row in rows],
        "details": bool(kept and kept["details"]),
        "states": {row["id"]: _state(row) for row in rows},
    }


async def _slugs(connection: Connection, rules: list[Json]) -> Mapping[str, str]:
    ids = {one for rule in rules if isinstance(rule["projects"], list) for one in rule["projects"]}
    rows = await connection.fetch(
        "SELECT id, slug FROM projects WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL",
        [UUID(one) for one in ids],
    )
    return {str(row["id"]): row["slug"] for row in rows}


def _shown(row: Any) -> Json:
    return {
        "id": row["id"],
        "kind": row["kind"],
        "name": row["name"],
        "url": row["url"],
        "token": None,
        "subscription": None,
    }


def _state(row: Any) -> Json:
    return {
        "failing_since": moment(row["failing_since"]),
        "error": row["error"],
        "disabled_reason": row["disabled_reason"],
    }


async def replace(
    connection: Connection, caller: Principal, given: NotificationsSet, *, allows_private: bool
) -> None:
    """Puts these rules and targets in the place of those before. Raises `Invalid` naming what can't be
    used."""
    user_id = caller.user_id
    ids = await _ids(connection, given.rules)
    rules = [
        _rule(rule, f"body.rules.{place}", given.targets, ids)
        for place, rule in enumerate(given.rules)
    ]
    await connection.execute(_SETTINGS, user_id, rules, given.details)
    rows = await connection.fetch(_TARGETS, user_id)
    there = {row["id"]: row for row in rows}
    if len({target.id for target in given.targets}) < len(given.targets):
        raise Invalid.of("body.targets", "two of them have the same id")
    for place, target in enumerate(given.targets):
        field = f"body.targets.{place}"
        await _keep(connection, user_id, target, there.get(target.id), field, allows_private)
    left = [target.id for target in given.targets]
    await connection.execute(
        "DELETE FROM notification_targets WHERE user_id = $1 AND id <> ALL($2::text[])",
        user_id,
        left,
    )
    await audit.note(
        connection,
        caller,
        "notifications_changed",
        subject=user_id,
        # The rest of an address is a secret.
        targets=[f"{target.kind}:{_host(target)}" for target in given.targets],
    )


async def _ids(connection: Connection, rules: Sequence[Rule]) -> Mapping[str, str]:
    """The ids of the projects that the rules name by their slugs, of those that the caller may read."""
    names = {name for rule in rules if isinstance(rule.projects, list) for name in rule.projects}
    rows = await connection.fetch(
        "SELECT id, slug FROM projects WHERE slug = ANY($1::text[]) AND deleted_at IS NULL",
        list(names),
    )
    return {row["slug"]: str(row["id"]) for row in rows}


def _rule(rule: Rule, field: str, given: Sequence[Target], ids: Mapping[str, str]) -> Json:
    known = {target.id for target in given}
    for place, target in enumerate(rule.to):
        if target not in known:
            raise Invalid.of(f"{field}.to.{place}", f"there is no target {target!r}")
    kept = rule.model_dump(mode="json", by_alias=True)
    if isinstance(rule.projects, list):
        kept["projects"] = [
            _project(name, f"{field}.projects.{place}", ids)
            for place, name in enumerate(rule.projects)
        ]
    return kept


def _project(name: str, field: str, ids: Mapping[str, str]) -> str:
    """The project's id. One given by its id is kept as it is: whether it may be read is looked at each time
    something of it would be told."""
    if (id := as_uuid(name)) is not None:
        return str(id)
    if name not in ids:
        raise Invalid.of(field, f"there is no project {name[:100]!r} that you may read")
    return ids[name]


async def _keep(
    connection: Connection,
    user_id: UUID | None,
    target: Target,
    there: Any,
    field: str,
    allows_private: bool,
) -> None:
    if there is not None and there["kind"] != target.kind:
        await connection.execute(
            "DELETE FROM notification_targets WHERE user_id = $1 AND id = $2", user_id, target.id
        )
        there = None
    if there is not None and _is_unchanged(target, there):
        await connection.execute(_KEEP, user_id, target.id, target.name or there["name"])
        return
    secret = targets.secret_of(target, field, allows_private=allows_private)
    if secret is None and there is None:
        needed = "subscription" if target.kind == "webpush" else "url"
        raise Invalid.of(f"{field}.{needed}", f"a new target of {target.kind} needs it")
    name = targets.name_of(target)
    shown = target.url if target.kind == "ntfy" else None
    if there is None:
        await connection.execute(_ADD, user_id, target.id, target.kind, name, shown, secret)
    elif secret is None:
        await connection.execute(_KEEP, user_id, target.id, target.name or there["name"])
    else:
        await connection.execute(_REPLACE, user_id, target.id, name, shown, secret)


def _is_unchanged(target: Target, there: Any) -> bool:
    """Whether it equals what is stored. A token stays where its address stays, and goes nowhere else."""
    return target.token is None and target.subscription is None and target.url == there["url"]


def _host(target: Target) -> str | None:
    if target.kind == "webpush":
        given = target.subscription
        return None if given is None else urlsplit(given.endpoint).hostname
    if target.url is None:
        return None
    if target.kind == "apprise":
        return target.url.partition("://")[0]
    return urlsplit(target.url).hostname
