"""Finding what is to be told: a cursor for each project into its event log, moved past what was looked at in
the transaction that notes it. So what was committed is found after any crash, and found once.

A target has at most `MAX_WAITING` messages that wait; what is beyond is counted for its next summary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from runcast._support import times
from runcast._support.ids import uuid7
from runcast_api.notifications import matters, people
from runcast_api.notifications.matters import Matter
from runcast_api.notifications.people import Person, Readers
from runcast_api.runs import history
from runcast_api.runs.history import Wanted
from runcast_server.db import Connection, Pool, acquire

Json = dict[str, Any]

MAX_WAITING = 200
LOOK_EVENTS = 500
NEW_PROJECT = timedelta(minutes=1)
"""A project that young is looked at from its first event on."""

_WATCH = """
WITH watched AS (
    SELECT p.id FROM projects p WHERE p.deleted_at IS NULL AND ($1 OR p.id = ANY($2::uuid[]))
), gone AS (
    DELETE FROM notification_cursors n WHERE NOT EXISTS (SELECT FROM watched w WHERE w.id = n.project_id)
)
INSERT INTO notification_cursors (project_id, position)
SELECT p.id, CASE WHEN p.created_at > now() - $3::interval THEN 0 ELSE c.last_seq END
FROM watched w JOIN projects p ON p.id = w.id JOIN project_counters c ON c.project_id = w.id
WHERE NOT EXISTS (SELECT FROM notification_cursors n WHERE n.project_id = w.id)
ON CONFLICT DO NOTHING
"""
_BEHIND = """
SELECT n.project_id FROM notification_cursors n JOIN project_counters c ON c.project_id = n.project_id
WHERE c.last_seq > n.position
"""
_CURSOR = """
SELECT n.position, c.last_seq FROM notification_cursors n
JOIN project_counters c ON c.project_id = n.project_id
WHERE n.project_id = $1 FOR UPDATE OF n SKIP LOCKED
"""
_MOVE = "UPDATE notification_cursors SET position = $2 WHERE project_id = $1"
_WAITING = """
SELECT user_id, target_id, count(*) AS number FROM notifications
WHERE state IN ('waiting', 'summed') AND user_id = ANY($1::uuid[]) GROUP BY user_id, target_id
"""
_ADD = """
INSERT INTO notifications (id, user_id, target_id, subject, kind, project_id, run_id, question_id, at,
    next_at)
SELECT n.id, n.user_id, n.target_id, n.subject, n.kind, $2, r.id, q.id, n.at, n.next_at
FROM json_to_recordset($1) AS n (id uuid, user_id uuid, target_id text, subject text, kind text, run_id uuid,
                                 question_id uuid, at timestamptz, next_at timestamptz)
JOIN notification_targets t ON t.user_id = n.user_id AND t.id = n.target_id AND t.disabled_reason IS NULL
JOIN runs r ON r.id = n.run_id
LEFT JOIN questions q ON q.id = n.question_id
WHERE n.question_id IS NULL OR q.id IS NOT NULL
ON CONFLICT DO NOTHING
"""
_UNSAID = """
UPDATE notification_targets t SET unsaid = unsaid + n.number
FROM unnest($1::uuid[], $2::text[], $3::int[]) AS n (user_id, target_id, number)
WHERE t.user_id = n.user_id AND t.id = n.target_id
"""
CLOSE = """
UPDATE notifications SET
    state = CASE WHEN state = 'sent' OR sending_until > now() THEN 'closing' ELSE 'dropped' END,
    next_at = greatest(now(), sending_until), attempts = 0,
    ended_at = CASE WHEN state = 'sent' OR sending_until > now() THEN NULL ELSE now() END
WHERE question_id = ANY($1::uuid[]) AND state IN ('waiting', 'sent', 'summed')
"""


@dataclass(frozen=True, slots=True)
class _Found:
    """A matter for a target of someone."""

    person: Person
    target: str
    matter: Matter
    at: datetime
    due_at: datetime


async def watch(pool: Pool, given: Sequence[Person]) -> list[UUID]:
    """Keeps a cursor for each project of which someone wants to hear, from now on. Answers the projects that
    have events that weren't looked at."""
    is_everywhere = any(person.is_admin for person in given)
    ids = list({id for person in given for id in person.roles})
    async with acquire(pool) as connection:
        await connection.execute(_WATCH, is_everywhere, ids, NEW_PROJECT)
        return [row["project_id"] for row in await connection.fetch(_BEHIND)]


async def plan(connection: Connection, project_id: UUID, readers: Readers) -> tuple[bool, bool]:
    """Notes what the next events hold for people; whether there may be more, and whether they held something.
    Any number of processes may do so: one that finds the cursor locked leaves it."""
    async with connection.transaction():
        cursor = await connection.fetchrow(_CURSOR, project_id)
        if cursor is None or cursor["last_seq"] <= cursor["position"]:
            return False, False
        head, position = cursor["last_seq"], cursor["position"]
        wanted = Wanted(project_id, position, head + 1, matters.TYPES, without_lines=True)
        page = await history.page(connection, wanted, LOOK_EVENTS)
        events = [_loaded(event) for event in page["events"]]
        # Read under the cursor's lock: who wants to hear of it now, not who did when another one held it.
        holds = any(True for event in events for _ in matters.of(event))
        found = _found(project_id, await people.find(connection, readers), events) if holds else []
        closed = [id for id in map(matters.closed_question, events) if id is not None]
        if closed:
            # Messages before targets, which `_note` locks: so do those who note what became of sending.
            await connection.execute(CLOSE, closed)
        await _note(connection, project_id, found)
        position = head if page["next_after"] is None else page["next_after"]
        await connection.execute(_MOVE, project_id, position)
        return bool(position < head), bool(found or closed)


def _loaded(event: Json) -> Json:
    """The event with its data as an object; pages hold it as it is written."""
    return event | {"data": orjson.loads(orjson.dumps(event["data"]))}


def _found(project_id: UUID, given: Sequence[Person], events: Sequence[Json]) -> list[_Found]:
    found: list[_Found] = []
    readers = [person for person in given if person.role_in(project_id) is not None]
    for event in events:
        at = times.parse(event["at"])
        for matter in matters.of(event):
            for person in readers:
                if at < person.since:
                    continue
                for target, after in _targets(person, project_id, matter.kind).items():
                    due_at = at + timedelta(seconds=after)
                    found.append(_Found(person, target, matter, at, due_at))
    return found


def _targets(person: Person, project_id: UUID, kind: str) -> Mapping[str, float]:
    """To which targets such a thing is told, and after how many seconds: the fewest of the rules."""
    targets: dict[str, float] = {}
    for rule in person.rules_for(project_id, kind):
        for target in rule.to:
            targets[target] = min(rule.after_s, targets.get(target, rule.after_s))
    return targets


async def _note(connection: Connection, project_id: UUID, found: Sequence[_Found]) -> None:
    if not found:
        return
    user_ids = list({one.person.id for one in found})
    rows = await connection.fetch(_WAITING, user_ids)
    waiting = Counter({(row["user_id"], row["target_id"]): row["number"] for row in rows})
    kept: list[Json] = []
    unsaid: Counter[tuple[UUID, str]] = Counter()
    for one in found:
        key = (one.person.id, one.target)
        waiting[key] += 1
        if waiting[key] > MAX_WAITING:
            unsaid[key] += 1
        else:
            kept.append(_row(one))
    await connection.execute(_ADD, kept, project_id)
    if unsaid:
        await connection.execute(
            _UNSAID,
            [user_id for user_id, _ in unsaid],
            [target for _, target in unsaid],
            list(unsaid.values()),
        )


def _row(one: _Found) -> Json:
    return {
        "id": uuid7(),
        "user_id": str(one.person.id),
        "target_id": one.target,
        "subject": one.matter.subject,
        "kind": one.matter.kind,
        "run_id": one.matter.run_id,
        "question_id": one.matter.question_id,
        "at": one.at,
        "next_at": one.due_at,
    }
