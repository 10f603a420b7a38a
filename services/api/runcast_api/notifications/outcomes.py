"""What became of attempts: taken, to be tried again, or given up; and which targets are of no use any
more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from runcast_api.accounts import audit
from runcast_api.notifications import deciding
from runcast_api.notifications.deciding import SUMMARY, Due
from runcast_api.outgoing.sender import Outcome
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection

RETRY_SECONDS = (5, 60, 600)
"""Pauses after the first failure, the second …; after the last attempt a message has failed."""
GIVEN_UP_AFTER = timedelta(days=5)
"""A target that only failed for so long is disabled, at the last attempt of a message: one failure long after
another one says nothing of the time between."""
GONE = (404, 410)
"""By which a push service says that a subscription has ended (RFC 8030, section 7.3)."""
KEPT_DAYS = 7
SERVER = Principal(name="server")

_TARGET = """
SELECT id, kind, secret, failing_since FROM notification_targets WHERE user_id = $1 AND id = $2
"""
# Closed while it was being sent: then it is replaced at once.
_SENT = """
UPDATE notifications n SET attempts = 0, sending_until = NULL, error = NULL, next_at = $2,
    state = CASE WHEN n.question_id IS NULL OR EXISTS (
        SELECT FROM questions q WHERE q.id = n.question_id AND q.state = 'open') THEN 'sent' ELSE 'closing'
            END,
    ended_at = CASE WHEN n.question_id IS NULL THEN $2::timestamptz END
WHERE id = $1 AND state IN ('waiting', 'closing')
"""
_CLOSED = """
UPDATE notifications SET state = 'closed', sending_until = NULL, error = NULL, ended_at = $2 WHERE id = $1
"""
_FAILED = """
UPDATE notifications SET sending_until = NULL, error = $2, next_at = coalesce($3, next_at),
    state = CASE WHEN $3::timestamptz IS NULL THEN 'failed' ELSE state END,
    ended_at = CASE WHEN $3::timestamptz IS NULL THEN $4::timestamptz END
WHERE id = $1
"""
_WORKS = """
UPDATE notification_targets SET failing_since = NULL, error = NULL
WHERE user_id = $1 AND id = $2 AND failing_since IS NOT NULL
"""
_FAILS = """
UPDATE notification_targets SET failing_since = coalesce(failing_since, $4), error = $3,
    disabled_reason = CASE WHEN $5::text IS NOT NULL THEN $5
        WHEN $8 AND failing_since < $4 - $6::interval THEN $7 ELSE disabled_reason END
WHERE user_id = $1 AND id = $2 AND disabled_reason IS NULL RETURNING disabled_reason
"""
_PRUNE = f"""
DELETE FROM notifications WHERE ended_at < now() - interval '{KEPT_DAYS} days'
    OR (state = 'sent' AND began_at < now() - interval '{KEPT_DAYS} days')
"""
_PRUNE_PRESENCE = "DELETE FROM notification_presence WHERE until < now()"


async def target(connection: Connection, user_id: UUID, target_id: str) -> Any:
    """Where and how a target is sent to; None where it is gone."""
    return await connection.fetchrow(_TARGET, user_id, target_id)


async def succeeded(connection: Connection, due: Due, now: datetime) -> None:
    """The receiver took it."""
    await connection.execute(_CLOSED if due.is_closing else _SENT, due.id, now)
    await connection.execute(_WORKS, due.person.id, due.target["id"])
    if due.kind == SUMMARY:
        await deciding.summed(connection, due, now)


async def failed(connection: Connection, due: Due, outcome: Outcome, now: datetime) -> None:
    """The receiver didn't take it: it is tried again, not before the receiver wants it, or given up."""
    is_last = due.attempts > len(RETRY_SECONDS)
    pause = 0 if is_last else max(RETRY_SECONDS[due.attempts - 1], outcome.wait_seconds)
    next_at = None if is_last else now + timedelta(seconds=pause)
    await connection.execute(_FAILED, due.id, outcome.error, next_at, now)
    is_gone = due.target["kind"] == "webpush" and outcome.status in GONE
    disabled = await connection.fetchval(
        _FAILS,
        due.person.id,
        due.target["id"],
        outcome.error,
        now,
        "the browser's subscription has ended" if is_gone else None,
        GIVEN_UP_AFTER,
        f"it failed for {GIVEN_UP_AFTER.days} days",
        is_last,
    )
    if disabled is not None:
        await audit.note(
            connection,
            SERVER,
            "notification_target_disabled",
            subject=due.person.id,
            target=due.target["id"],
            reason=disabled,
        )


async def prune(connection: Connection) -> None:
    """Forgets what ended long ago."""
    await connection.execute(_PRUNE)
    await connection.execute(_PRUNE_PRESENCE)
