"""Webhooks as their owners see them: made, changed, removed; the secret is shown once."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, get_args
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from runcast import events
from runcast._support import times
from runcast._support.ids import uuid7
from runcast.contract import Status
from runcast_api.accounts import audit, listing
from runcast_api.accounts.listing import moment, text
from runcast_api.http.fields import Patch
from runcast_api.outgoing import addresses
from runcast_api.outgoing.addresses import Refused
from runcast_api.webhooks import signing
from runcast_api.webhooks.signing import Format
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection
from runcast_server.errors import Conflict, Invalid, NotFound

Json = dict[str, Any]

MAX_HOOKS = 20
"""Webhooks of a project at most."""
MAX_TYPES = 50
OVERLAP_SECONDS = 24 * 3600
BY_OWNER = "disabled"
ALL_TYPES = "*"

_COLUMNS = """
id, project_id, url, types, format, position, failing_since, disabled_reason, old_secret_until, created_by,
created_at, updated_at
"""
_LIST = f"SELECT {_COLUMNS} FROM webhooks WHERE project_id = $1"
_INSERT = f"""
INSERT INTO webhooks (id, project_id, url, types, format, secret, position, created_by)
SELECT $1, $2, $3, $4, $5, $6, c.last_seq, $7 FROM project_counters c WHERE c.project_id = $2
RETURNING {_COLUMNS}
"""
_UPDATE = f"""
UPDATE webhooks SET url = $3, types = $4, format = $5, disabled_reason = $6, updated_at = now(),
    not_before = CASE WHEN url = $3 THEN not_before END,
    failing_since = CASE WHEN url <> $3 OR $6::text IS NULL AND disabled_reason IS NOT NULL THEN NULL
                         ELSE failing_since END,
    position = CASE WHEN $6::text IS NULL AND disabled_reason IS NOT NULL
        THEN (SELECT last_seq FROM project_counters c WHERE c.project_id = webhooks.project_id)
        ELSE position END
WHERE id = $1 AND project_id = $2 RETURNING {_COLUMNS}
"""
# What waited while a hook was off is of the past, and what waited for an address that was wrong needn't wait.
_END_WAITING = """
UPDATE webhook_deliveries SET state = 'failed', error = 'the webhook was off', ended_at = now()
WHERE webhook_id = $1 AND state = 'pending'
"""
_SEND_WAITING = """
UPDATE webhook_deliveries SET attempts = 0, next_at = now()
WHERE webhook_id = $1 AND state = 'pending' AND next_at > now() AND sending_until IS NULL
"""
_HOOK_OF = """
SELECT w.disabled_reason FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id WHERE d.id = $1
"""
_ROTATE = f"""
UPDATE webhooks SET old_secret = secret, old_secret_until = $3, secret = $4, updated_at = now()
WHERE id = $1 AND project_id = $2 RETURNING {_COLUMNS}
"""
_DELIVERIES = """
SELECT id, webhook_id, event_id, type, state, attempts, next_at, status, error, created_at, ended_at
FROM webhook_deliveries WHERE webhook_id = $1
"""
_AGAIN = """
UPDATE webhook_deliveries d SET state = 'pending', attempts = 0, next_at = greatest(now(), w.not_before),
    ended_at = NULL
FROM webhooks w
WHERE d.id = $1 AND w.id = d.webhook_id
RETURNING d.id, d.webhook_id, d.project_id, d.event_id, d.type, d.state, d.attempts, d.next_at, d.status,
    d.error, d.created_at, d.ended_at
"""


_CUSTOM = re.compile(r"x:[A-Za-z0-9_.-]{1,100}")


def _type(given: str) -> str:
    """A type that is never told of would never be noticed, so it is refused."""
    if given == events.AGENT_LOG:
        raise ValueError("log lines aren't sent by webhooks; they come by the project's stream")
    kind, _, status = given.rpartition(":")
    is_status = kind == events.RUN_STATUS_CHANGED and status in get_args(Status)
    is_known = given == ALL_TYPES or (given in events.DATA and given not in events.CONTROL)
    if not (is_known or is_status or _CUSTOM.fullmatch(given)):
        raise ValueError(
            "isn't a type of event, such as question:asked or run:status_changed:failed; "
            "docs/events.md lists them"
        )
    return given


Type = Annotated[str, StringConstraints(max_length=200), AfterValidator(_type)]
"""A type of event; `run:status_changed:failed` only where the new status is this one; `*` for all."""
Types = Annotated[list[Type], Field(min_length=1, max_length=MAX_TYPES)]


class WebhookNew(BaseModel):
    """`secret`: `whsec_` and the base64 of 24 to 64 bytes; without it, one is made."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, StringConstraints(max_length=addresses.URL_CHARACTERS)]
    types: Types
    secret: Annotated[str, StringConstraints(max_length=200)] | None = None
    format: Format = "standard"


class WebhookPatch(Patch):
    """`disabled: false` begins again at the present: what happened meanwhile isn't sent."""

    NEVER_NULL = frozenset({"url", "types", "format", "disabled"})

    url: Annotated[str, StringConstraints(max_length=addresses.URL_CHARACTERS)] | None = None
    types: Types | None = None
    format: Format | None = None
    disabled: bool | None = None


class WebhookRotation(BaseModel):
    """For `overlap_s` seconds what is sent is signed by both secrets, the old one and the new one."""

    model_config = ConfigDict(extra="forbid")

    overlap_s: Annotated[int, Field(ge=0, le=30 * 24 * 3600)] = OVERLAP_SECONDS


class Webhook(BaseModel):
    """`disabled_reason`: why nothing is sent; null while it is. `failing_since`: the first failure since the
    last success. `position`: the number up to which the project's events were looked at."""

    id: UUID
    project_id: UUID
    url: str
    types: list[str]
    format: Format
    disabled: bool
    disabled_reason: str | None
    failing_since: str | None
    position: int
    old_secret_until: str | None
    created_by: UUID | None
    created_at: str
    updated_at: str


class WebhookMade(Webhook):
    """`secret` is shown this once."""

    secret: str | None


class WebhookPage(BaseModel):
    webhooks: list[Webhook]
    total: int
    next_cursor: str | None


class Delivery(BaseModel):
    """An event on its way to a webhook. `state`: `pending` until it was `delivered`, or has `failed` for the
    last time. `status` and `error` are those of the last attempt."""

    id: UUID
    webhook_id: UUID
    event_id: int
    type: str
    state: str
    attempts: int
    next_at: str | None
    status: int | None
    error: str | None
    created_at: str
    ended_at: str | None


class DeliveryPage(BaseModel):
    deliveries: list[Delivery]
    total: int
    next_cursor: str | None


def check_url(url: str, *, allows_private: bool) -> None:
    """Raises `Invalid`."""
    try:
        addresses.check_url(url, allows_private=allows_private)
    except Refused as refused:
        raise Invalid.of("body.url", str(refused)) from None


async def create(
    connection: Connection, caller: Principal, project_id: UUID, new: WebhookNew
) -> tuple[Json, str]:
    """The hook and its secret. It gets what happens from now on. Raises `Conflict` for too many."""
    if new.secret is not None and (fault := signing.secret_fault(new.secret)):
        raise Invalid.of("body.secret", fault)
    # One after the other, so that no two together are one too many.
    await connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", str(project_id)
    )
    count = await connection.fetchval(
        "SELECT count(*) FROM webhooks WHERE project_id = $1", project_id
    )
    if count >= MAX_HOOKS:
        raise Conflict(f"the project has {MAX_HOOKS} webhooks already")
    secret = new.secret or signing.new_secret()
    types = list(dict.fromkeys(new.types))
    row = await connection.fetchrow(
        _INSERT, uuid7(), project_id, new.url, types, new.format, secret, caller.user_id
    )
    await _note(connection, caller, "webhook_created", row)
    return as_json(row), secret


async def page(connection: Connection, project_id: UUID, limit: int, cursor: str | None) -> Json:
    """The project's hooks, the newest first."""
    return await listing.page(connection, "webhooks", _LIST, (project_id,), as_json, limit, cursor)


async def find(connection: Connection, project_id: UUID, hook: UUID) -> Json:
    """Raises `NotFound`."""
    row = await connection.fetchrow(f"{_LIST} AND id = $2", project_id, hook)
    return as_json(_there(row))


async def change(
    connection: Connection, caller: Principal, project_id: UUID, hook: UUID, given: WebhookPatch
) -> Json:
    """The hook as it is then. Raises `NotFound`."""
    row = _there(await connection.fetchrow(f"{_LIST} AND id = $2 FOR UPDATE", project_id, hook))
    reason = before = row["disabled_reason"]
    if given.disabled is not None:
        reason = (reason or BY_OWNER) if given.disabled else None
    if before is not None and reason is None:
        await connection.execute(_END_WAITING, hook)
    elif given.url not in (None, row["url"]):
        await connection.execute(_SEND_WAITING, hook)
    row = await connection.fetchrow(
        _UPDATE,
        hook,
        project_id,
        given.url or row["url"],
        list(dict.fromkeys(given.types or row["types"])),
        given.format or row["format"],
        reason,
    )
    await _note(connection, caller, "webhook_changed", row)
    return as_json(row)


async def rotate(
    connection: Connection, caller: Principal, project_id: UUID, hook: UUID, how: WebhookRotation
) -> tuple[Json, str]:
    """The hook and its new secret. Raises `NotFound`."""
    secret = signing.new_secret()
    until = times.now() + timedelta(seconds=how.overlap_s)
    row = _there(await connection.fetchrow(_ROTATE, hook, project_id, until, secret))
    await _note(connection, caller, "webhook_rotated", row)
    return as_json(row), secret


async def remove(connection: Connection, caller: Principal, project_id: UUID, hook: UUID) -> None:
    """Raises `NotFound`."""
    row = await connection.fetchrow(
        f"DELETE FROM webhooks WHERE id = $1 AND project_id = $2 RETURNING {_COLUMNS}",
        hook,
        project_id,
    )
    await _note(connection, caller, "webhook_removed", _there(row))


async def deliveries(connection: Connection, hook: UUID, limit: int, cursor: str | None) -> Json:
    """What was sent to a hook lately or is to be, the newest first."""
    return await listing.page(
        connection, "deliveries", _DELIVERIES, (hook,), delivery_as_json, limit, cursor
    )


async def redeliver(connection: Connection, caller: Principal, delivery: UUID) -> Json:
    """The delivery, to be sent again with the same id: at once, or when its receiver no longer wants to be
    left alone. Raises `NotFound`, and `Conflict` where its webhook is off; row-level security finds only what
    owners may see."""
    hook = await connection.fetchrow(_HOOK_OF, delivery)
    if hook is None:
        raise NotFound("no such delivery")
    if hook["disabled_reason"] is not None:
        raise Conflict(f"the webhook is off ({hook['disabled_reason']}); turn it on first")
    row = await connection.fetchrow(_AGAIN, delivery)
    await audit.note(
        connection,
        caller,
        "webhook_redelivered",
        project_id=row["project_id"],
        subject=row["webhook_id"],
        delivery=str(delivery),
    )
    return delivery_as_json(row)


def _there(row: Any) -> Any:
    if row is None:
        raise NotFound("no such webhook")
    return row


async def _note(connection: Connection, caller: Principal, action: str, row: Any) -> None:
    await audit.note(
        connection,
        caller,
        action,
        project_id=row["project_id"],
        subject=row["id"],
        # The rest of the address may hold a token.
        host=urlsplit(row["url"]).hostname,
        types=row["types"],
        disabled_reason=row["disabled_reason"],
    )


def as_json(row: Any) -> Json:
    """A row as it is shown."""
    until: datetime | None = row["old_secret_until"]
    return {
        "id": text(row["id"]),
        "project_id": text(row["project_id"]),
        "url": row["url"],
        "types": row["types"],
        "format": row["format"],
        "disabled": row["disabled_reason"] is not None,
        "disabled_reason": row["disabled_reason"],
        "failing_since": moment(row["failing_since"]),
        "position": row["position"],
        "old_secret_until": moment(until) if until and until > times.now() else None,
        "created_by": text(row["created_by"]),
        "created_at": moment(row["created_at"]),
        "updated_at": moment(row["updated_at"]),
    }


def delivery_as_json(row: Any) -> Json:
    """A row as it is shown."""
    return {
        "id": text(row["id"]),
        "webhook_id": text(row["webhook_id"]),
        "event_id": row["event_id"],
        "type": row["type"],
        "state": row["state"],
        "attempts": row["attempts"],
        "next_at": moment(row["next_at"]) if row["state"] == "pending" else None,
        "status": row["status"],
        "error": row["error"],
        "created_at": moment(row["created_at"]),
        "ended_at": moment(row["ended_at"]),
    }
