"""What is to be sent: a cursor for each hook into the event log, and the few events beyond it that are on
their way.

A hook whose receiver is away has at most `MAX_PENDING` of them; then its cursor stands, and the log, which is
kept in any case, holds what comes. So a dead receiver costs the same whether one event waits for it or ten
thousand.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from runcast._support.ids import uuid7
from runcast_api.accounts import audit
from runcast_api.outgoing.sender import Outcome
from runcast_api.runs import history
from runcast_api.runs.history import Wanted
from runcast_api.webhooks.hooks import ALL_TYPES
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection, Pool, acquire

Json = dict[str, Any]
Hook = Mapping[str, Any]
"""A row of `target`."""

MAX_PENDING = 100
AT_ONCE = 8
"""Deliveries of a hook that are on their way at a time; of one that fails, one."""
LEASE = timedelta(seconds=30)
"""How long a process may take over a delivery; then another one sends it again."""
RETRY_SECONDS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Pauses after the first failure, the second …: 5 s to a day. After the last one a delivery has failed."""
JITTER = 0.1
GIVEN_UP_AFTER = timedelta(days=5)
"""A hook that only failed for so long is disabled, at the last attempt of a delivery: one failure long after
another one says nothing of the time between."""
KEPT_DAYS = 7
KEPT_DELIVERIES = 1000
SERVER = Principal(name="server")
LOOK_EVENTS = 500
NEAR_EVENTS = 100

_BEHIND = """
SELECT w.id, w.project_id FROM webhooks w
JOIN projects p ON p.id = w.project_id JOIN project_counters c ON c.project_id = w.project_id
WHERE w.disabled_reason IS NULL AND p.deleted_at IS NULL
  AND (c.last_seq > w.position OR coalesce(w.not_before, now()) <= now() AND EXISTS (
      SELECT FROM webhook_deliveries d
      WHERE d.webhook_id = w.id AND d.state = 'pending' AND d.next_at <= now()))
"""
_PROJECTS = "SELECT DISTINCT project_id FROM webhooks WHERE disabled_reason IS NULL"
_HOOK = """
SELECT id, project_id, types, position FROM webhooks
WHERE id = $1 AND disabled_reason IS NULL FOR UPDATE SKIP LOCKED
"""
_ROOM = f"""
SELECT {MAX_PENDING} - count(*) FROM webhook_deliveries WHERE webhook_id = $1 AND state = 'pending'
"""
_HEAD = "SELECT last_seq FROM project_counters WHERE project_id = $1"
_ADD = """
INSERT INTO webhook_deliveries (id, webhook_id, project_id, event_id, type)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[]) ON CONFLICT DO NOTHING
"""
_MOVE = "UPDATE webhooks SET position = $2 WHERE id = $1"
_TAKE = f"""
WITH hook AS (
    SELECT id, CASE WHEN failing_since IS NULL THEN {AT_ONCE} ELSE 1 END AS at_once FROM webhooks
    WHERE id = $1 AND disabled_reason IS NULL AND coalesce(not_before, now()) <= now()
    FOR UPDATE SKIP LOCKED
), room AS (
    SELECT greatest(hook.at_once - (
        SELECT count(*) FROM webhook_deliveries d
        WHERE d.webhook_id = hook.id AND d.state = 'pending' AND d.sending_until > now()), 0) AS free
    FROM hook
)
UPDATE webhook_deliveries SET attempts = attempts + 1, sending_until = now() + $2::interval,
    next_at = now() + $2::interval
WHERE id IN (
    SELECT d.id FROM webhook_deliveries d
    WHERE d.webhook_id = $1 AND d.state = 'pending' AND d.next_at <= now()
    ORDER BY d.next_at, d.event_id LIMIT (SELECT coalesce(max(free), 0) FROM room))
  AND state = 'pending' AND next_at <= now()
RETURNING id, event_id, attempts
"""
_TARGET = """
SELECT id, project_id, url, format, secret, old_secret, failing_since,
    old_secret_until > now() AS has_old, coalesce(w.not_before, now()) <= now() AND EXISTS (
        SELECT FROM webhook_deliveries d
        WHERE d.webhook_id = w.id AND d.state = 'pending' AND d.next_at <= now()) AS is_due
FROM webhooks w WHERE id = $1
"""
# One that was ended while it was on its way (its hook was turned off and on) isn't tried again; what the
# receiver took is delivered all the same. The hook is locked first, then its deliveries, here as in a change.
_DONE = """
UPDATE webhook_deliveries SET state = $2, status = $3, error = $4, sending_until = NULL, next_at = $5,
    ended_at = CASE WHEN $2 = 'pending' THEN NULL ELSE now() END
WHERE id = $1 AND (state = 'pending' OR $2 = 'delivered' AND sending_until IS NOT NULL)
"""
# An answer says something of the address that it came from, and the hook may have another one by now.
_WORKS = """
UPDATE webhooks SET failing_since = NULL
WHERE id = $1 AND url = $2 AND failing_since IS NOT NULL RETURNING true
"""
_SOON = """
UPDATE webhook_deliveries d SET next_at = greatest(now(), w.not_before) FROM webhooks w
WHERE w.id = $1 AND d.webhook_id = $1 AND d.state = 'pending' AND d.sending_until IS NULL
  AND d.next_at > greatest(now(), w.not_before)
"""
_FAILS = """
UPDATE webhooks SET failing_since = coalesce(failing_since, now()),
    not_before = greatest(not_before, now() + make_interval(secs => $6)),
    disabled_reason = CASE WHEN $2::text IS NOT NULL THEN $2
        WHEN $5 AND failing_since < now() - $3::interval THEN $4 ELSE disabled_reason END
WHERE id = $1 AND url = $7 AND disabled_reason IS NULL RETURNING project_id, disabled_reason
"""
_PRUNE = f"""
DELETE FROM webhook_deliveries WHERE state <> 'pending' AND (
    ended_at < now() - interval '{KEPT_DAYS} days' OR id IN (
        SELECT id FROM (SELECT id, row_number() OVER (
                            PARTITION BY webhook_id ORDER BY created_at DESC) AS place
                        FROM webhook_deliveries WHERE state <> 'pending') aged
        WHERE place > {KEPT_DELIVERIES}))
"""


@dataclass(frozen=True, slots=True)
class Taken:
    """A delivery that this process sends now; `attempts` counts this one."""

    id: UUID
    event_id: int
    attempts: int


async def behind(pool: Pool) -> list[tuple[UUID, UUID]]:
    """Hooks for which there may be something to do, each with its project."""
    async with acquire(pool) as connection:
        return [(row["id"], row["project_id"]) for row in await connection.fetch(_BEHIND)]


async def projects(pool: Pool) -> frozenset[UUID]:
    """Projects that have hooks."""
    async with acquire(pool) as connection:
        return frozenset(row["project_id"] for row in await connection.fetch(_PROJECTS))


async def plan(connection: Connection, hook_id: UUID) -> bool:
    """Finds the next events that the hook wants, and moves its cursor past what was looked at; whether there
    may be more. Any number of processes may do so: one that finds the hook locked leaves it."""
    async with connection.transaction():
        hook = await connection.fetchrow(_HOOK, hook_id)
        room = await connection.fetchval(_ROOM, hook_id) if hook else 0
        if room <= 0:
            return False
        head = await connection.fetchval(_HEAD, hook["project_id"])
        if head is None or head <= hook["position"]:
            return False
        wanted = Wanted(
            hook["project_id"],
            hook["position"],
            head + 1,
            _types_to_read(hook["types"]),
            without_lines=True,
        )
        page = await history.page(connection, wanted, LOOK_EVENTS)
        found = [event for event in map(_loaded, page["events"]) if wants(hook["types"], event)]
        position = head if page["next_after"] is None else page["next_after"]
        if len(found) > room:
            found = found[:room]
            position = found[-1]["id"]
        await _add(connection, hook, found)
        await connection.execute(_MOVE, hook_id, position)
        return bool(position < head)


async def _add(connection: Connection, hook: Any, events: Sequence[Json]) -> None:
    count = len(events)
    if count:
        await connection.execute(
            _ADD,
            [uuid7() for _ in events],
            [hook["id"]] * count,
            [hook["project_id"]] * count,
            [event["id"] for event in events],
            [event["type"] for event in events],
        )


def _types_to_read(types: Sequence[str]) -> list[str] | None:
    if ALL_TYPES in types:
        return None
    return sorted({":".join(each.split(":")[:2]) for each in types})


def wants(types: Sequence[str], event: Mapping[str, Any]) -> bool:
    """Whether a hook with these types gets the event."""
    if ALL_TYPES in types or event["type"] in types:
        return True
    status = event["data"].get("new_status")
    return status is not None and f"{event['type']}:{status}" in types


async def take(connection: Connection, hook_id: UUID) -> list[Taken]:
    """Deliveries that are due, for this process to send: as many as the hook may have on their way."""
    rows = await connection.fetch(_TAKE, hook_id, LEASE)
    return [Taken(row["id"], row["event_id"], row["attempts"]) for row in rows]


async def target(connection: Connection, hook_id: UUID) -> Any:
    """Where and how a hook is sent to; None where it is gone."""
    return await connection.fetchrow(_TARGET, hook_id)


async def events(connection: Connection, project_id: UUID, ids: Sequence[int]) -> dict[int, Json]:
    """The events as they were told; those that were erased or have become too old are missing."""
    found: dict[int, Json] = {}
    for first, last in _near(sorted(ids)):
        after: int | None = first - 1
        # A page ends early where reading is slow; what it didn't come to isn't missing.
        while after is not None:
            wanted = Wanted(project_id, after, last + 1, without_lines=True)
            page = await history.page(connection, wanted, last - first + 1)
            found |= {event["id"]: _loaded(event) for event in page["events"] if event["id"] in ids}
            after = page["next_after"]
    return found


def _near(ids: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and last numbers of groups that lie close together, so that one read finds them."""
    first = last = ids[0]
    for id in ids[1:]:
        if id - first > NEAR_EVENTS:
            yield first, last
            first = id
        last = id
    yield first, last


def _loaded(event: Json) -> Json:
    """The event with its data as an object; pages hold it as it is written."""
    return event | {"data": orjson.loads(orjson.dumps(event["data"]))}


async def succeeded(connection: Connection, hook: Hook, id: UUID, status: int) -> None:
    """The receiver at the hook's address took it. What waits because it was away is sent at once, or when it
    no longer wants to be left alone."""
    works = await connection.fetchval(_WORKS, hook["id"], hook["url"])
    await connection.execute(_DONE, id, "delivered", status, None, None)
    if works:
        await connection.execute(_SOON, hook["id"])


async def failed(connection: Connection, hook: Hook, taken: Taken, outcome: Outcome) -> None:
    """The receiver at the hook's address didn't take it: it is sent again later, or has failed. Nothing of
    the hook is sent before the receiver wants it. One that says that it is gone (410), or that only failed
    for days, gets nothing any more."""
    pause = pause_after(taken.attempts)
    gone = "the receiver says that it is gone (410)" if outcome.status == 410 else None
    days = f"it failed for {GIVEN_UP_AFTER.days} days"
    row = await connection.fetchrow(
        _FAILS,
        hook["id"],
        gone,
        GIVEN_UP_AFTER,
        days,
        pause is None,
        outcome.wait_seconds,
        hook["url"],
    )
    await _try_later(connection, taken, outcome, pause, 0 if row is None else outcome.wait_seconds)
    if row is not None and row["disabled_reason"] is not None:
        await audit.note(
            connection,
            SERVER,
            "webhook_disabled",
            project_id=row["project_id"],
            subject=hook["id"],
            reason=row["disabled_reason"],
        )


async def _try_later(
    connection: Connection, taken: Taken, outcome: Outcome, pause: float | None, wait: float
) -> None:
    state = "failed" if pause is None else "pending"
    next_at = None if pause is None else await _in(connection, max(pause, wait))
    await connection.execute(_DONE, taken.id, state, outcome.status, outcome.error or "", next_at)


async def dropped(connection: Connection, id: UUID) -> None:
    """The event isn't there any more."""
    await connection.execute(_DONE, id, "failed", None, "the event was erased or is too old", None)


def pause_after(attempts: int) -> float | None:
    """Seconds until the next attempt; None where there is none."""
    if attempts > len(RETRY_SECONDS):
        return None
    return RETRY_SECONDS[attempts - 1] * random.uniform(1, 1 + JITTER)


async def _in(connection: Connection, seconds: float) -> Any:
    """A moment by Postgres's clock, by which deliveries are due."""
    return await connection.fetchval("SELECT now() + make_interval(secs => $1)", seconds)


async def prune(pool: Pool) -> None:
    """Forgets deliveries that ended long ago, or of which there are many."""
    async with acquire(pool) as connection:
        await connection.execute(_PRUNE)
