"""Looking at a person's messages that are due: each is sent, waits on, is counted in a summary, or is
dropped.

All decisions about a person are made one after the other, under the lock of their settings, so that their
limit counts whatever process decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from runcast._support.ids import uuid7
from runcast_api.notifications import matters, people, quiet
from runcast_api.notifications.people import Person, Readers
from runcast_api.notifications.schemas import Rule
from runcast_api.questions import schemas
from runcast_server.db import Connection
from runcast_server.loops import item

Json = dict[str, Any]

TAKEN = 20
"""Messages of a person that are looked at together."""
AT_ONCE = 4
"""Messages of a person that are on their way at a time."""
LEASE = timedelta(seconds=60)
"""How long a process may take over a message; then another one sends it again."""
AGAIN = timedelta(seconds=30)
"""When something that the person sees anyway, or isn't away for, is looked at again."""
MOST, WINDOW = 6, timedelta(minutes=10)
"""Messages of a person at most, and in which time; then one that sums up what else there is."""
SUMMARY = "summary"
MORE = "more"
"""In a summary: what was too much to be kept one by one."""

_PEOPLE_DUE = """
SELECT n.user_id, bool_or(t.failing_since IS NOT NULL) AS is_failing FROM notifications n
JOIN notification_targets t ON t.user_id = n.user_id AND t.id = n.target_id
WHERE n.state IN ('waiting', 'closing') AND n.next_at <= $1 GROUP BY n.user_id
"""
_LOCK = "SELECT user_id FROM notification_settings WHERE user_id = $1 FOR UPDATE SKIP LOCKED"
_ON_THEIR_WAY = """
SELECT count(*) FROM notifications
WHERE user_id = $1 AND state IN ('waiting', 'closing') AND sending_until > $2
"""
_DUE = f"""
SELECT id, target_id, subject, kind, project_id, run_id, question_id, state, attempts, at, began_at
FROM notifications WHERE user_id = $1 AND state IN ('waiting', 'closing') AND next_at <= $2
ORDER BY state = 'waiting', at, id LIMIT {TAKEN}
"""
_TARGET = """
SELECT id, kind, secret, failing_since, disabled_reason, unsaid FROM notification_targets
WHERE user_id = $1 AND id = $2
"""
_RUN = """
SELECT r.id, r.key, r.name, r.number, r.agent_name, r.status, r.liveness, r.attention, r.error, p.slug,
    p.name AS project
FROM runs r JOIN projects p ON p.id = r.project_id WHERE r.id = $1 AND p.deleted_at IS NULL
"""
_QUESTION = f"SELECT {schemas.COLUMNS} FROM questions WHERE id = $1"
_IS_AWAY = "SELECT EXISTS (SELECT FROM away WHERE user_id = $1)"
_SEES = """
SELECT EXISTS (SELECT FROM notification_presence WHERE user_id = $1 AND place = ANY($2::text[]) AND until >
    $3)
"""
_BEGUN = """
SELECT count(DISTINCT subject) FROM notifications WHERE user_id = $1 AND began_at > $2 AND subject <> $3
"""
_LAST_SUMMARY = """
SELECT max(began_at) FROM notifications WHERE user_id = $1 AND target_id = $2 AND kind = 'summary'
"""
_ADD_SUMMARY = """
INSERT INTO notifications (id, user_id, target_id, subject, kind, at, next_at)
SELECT $1, $2, $3, 'summary:' || $1::uuid, 'summary', $4, $5
WHERE NOT EXISTS (SELECT FROM notifications
                  WHERE user_id = $2 AND target_id = $3 AND kind = 'summary' AND state = 'waiting'
                    AND (sending_until IS NULL OR sending_until <= $4))
"""
_SUMMED = """
SELECT n.kind, count(*) AS number FROM notifications n
LEFT JOIN questions q ON q.id = n.question_id
WHERE n.user_id = $1 AND n.target_id = $2 AND n.state = 'summed'
  AND (n.question_id IS NULL OR q.state = 'open')
GROUP BY n.kind ORDER BY n.kind
"""
_CLEAR_SUMMED = """
UPDATE notifications SET state = 'dropped', ended_at = $3
WHERE user_id = $1 AND target_id = $2 AND state = 'summed' AND ended_at <= $4
"""
_CLEAR_UNSAID = """
UPDATE notification_targets SET unsaid = greatest(unsaid - $3, 0) WHERE user_id = $1 AND id = $2
"""
_WAIT = "UPDATE notifications SET next_at = $2 WHERE id = $1"
_END = "UPDATE notifications SET state = $2, ended_at = $3 WHERE id = $1"
_TAKE = """
UPDATE notifications SET attempts = attempts + 1, sending_until = $2, next_at = $2,
    began_at = CASE WHEN state = 'waiting' THEN coalesce(began_at, $3) ELSE began_at END
WHERE id = $1 RETURNING attempts
"""


@dataclass(frozen=True, slots=True)
class Due:
    """A message that is to be sent now, with all that it tells of. `attempts` counts this one."""

    id: UUID
    person: Person
    target: Any
    kind: str
    is_closing: bool
    attempts: int
    taken_at: datetime
    project_id: UUID | None
    run: Any = None
    question: Json | None = None
    counts: tuple[tuple[str, int], ...] = ()
    """Of a summary: how many of each kind there are besides."""


class _Verdict(NamedTuple):
    """What becomes of a message: it is sent, or ends in a state, or waits until a time."""

    sends: bool = False
    ends: str | None = None
    waits_until: datetime | None = None


SEND = _Verdict(sends=True)
DROP = _Verdict(ends="dropped")
SUM = _Verdict(ends="summed")


async def people_due(connection: Connection, now: datetime) -> list[tuple[UUID, bool]]:
    """Who has messages that are due, and whether one of their targets for them fails."""
    rows = await connection.fetch(_PEOPLE_DUE, now)
    return [(row["user_id"], row["is_failing"]) for row in rows]


async def take(
    connection: Connection, readers: Readers, user_id: UUID, now: datetime
) -> list[Due] | None:
    """Decides about the messages of a person that are due, and answers those that this process sends now;
    None where there is nothing to decide, or another process decides."""
    async with connection.transaction():
        if await connection.fetchval(_LOCK, user_id) is None:
            return None
        room = AT_ONCE - await connection.fetchval(_ON_THEIR_WAY, user_id, now)
        rows = await connection.fetch(_DUE, user_id, now)
        if not rows or room <= 0:
            return None
        found = await people.find(connection, readers, user_id)
        taken: list[Due] = []
        for row in rows:
            if len(taken) >= room:
                break
            due = await _decide_alone(connection, found[0] if found else None, row, now)
            if due is not None:
                taken.append(due)
        return taken


async def _decide_alone(
    connection: Connection, person: Person | None, row: Any, now: datetime
) -> Due | None:
    """What is wrong with one message costs that one alone."""
    with item("notification", notification=str(row["id"])):
        async with connection.transaction():
            return await _decide(connection, person, row, now)
    await connection.execute(_END, row["id"], "failed", now)
    return None


async def _decide(
    connection: Connection, person: Person | None, row: Any, now: datetime
) -> Due | None:
    """The message, where it is sent now; what else becomes of it is noted."""
    if person is None:
        await connection.execute(_END, row["id"], "dropped", now)
        return None
    target = await connection.fetchrow(_TARGET, person.id, row["target_id"])
    if target["disabled_reason"] is not None:
        await connection.execute(_END, row["id"], "dropped", now)
        return None
    run = row["run_id"] and await connection.fetchrow(_RUN, row["run_id"])
    question = row["question_id"] and await connection.fetchrow(_QUESTION, row["question_id"])
    question = question and schemas.as_json(question)
    if row["kind"] == SUMMARY:
        return await _sum_up(connection, person, target, row, now)
    verdict = await _verdict(connection, person, target, row, run, question, now)
    if verdict.waits_until is not None:
        await connection.execute(_WAIT, row["id"], verdict.waits_until)
        return None
    if verdict.ends is not None:
        await connection.execute(_END, row["id"], verdict.ends, now)
        if verdict is SUM:
            await _want_summary(connection, person.id, row["target_id"], now)
        return None
    attempts = await connection.fetchval(_TAKE, row["id"], now + LEASE, now)
    return Due(
        row["id"],
        person,
        target,
        row["kind"],
        row["state"] == "closing",
        attempts,
        now,
        row["project_id"],
        run,
        question,
    )


async def _verdict(
    connection: Connection,
    person: Person,
    target: Any,
    row: Any,
    run: Any,
    question: Any,
    now: datetime,
) -> _Verdict:
    if row["state"] == "closing":
        if run is None or person.role_in(row["project_id"]) is None:
            return DROP
        return _Verdict(ends="closed") if target["kind"] == "apprise" else SEND
    rules = person.rules_for(row["project_id"], row["kind"], row["target_id"])
    if not rules or run is None:
        return DROP
    if not matters.still_holds(row["kind"], row["subject"], run, question):
        return DROP
    if (
        row["began_at"] is not None
    ):  # Sent before, and not taken: only the time was to be waited for.
        return SEND
    is_away = await connection.fetchval(_IS_AWAY, person.id)
    found = [_told_at(rule, row["kind"], row["at"], now, is_away=is_away) for rule in rules]
    moments = [moment for moment in found if moment is not None]
    if not moments:
        return DROP
    if min(moments) > now:
        return _Verdict(waits_until=min(moments))
    if await connection.fetchval(_SEES, person.id, ["inbox", str(run["id"])], now):
        return _Verdict(waits_until=now + AGAIN) if matters.lasts(row["kind"]) else DROP
    begun = await connection.fetchval(_BEGUN, person.id, now - WINDOW, row["subject"])
    return SUM if begun >= MOST else SEND


def _told_at(
    rule: Rule, kind: str, at: datetime, now: datetime, *, is_away: bool
) -> datetime | None:
    """When a rule tells of something that began at `at`, or is looked at again; None where it never does.
    Each rule counts by itself: its own time is over, and its own hours aren't quiet."""
    due_at = at + timedelta(seconds=rule.after_s)
    if due_at > now:
        return due_at
    if rule.only_away and not is_away:
        return now + AGAIN if matters.lasts(kind) else None
    return _quiet_until([rule], kind, now) or now


def _quiet_until(rules: Sequence[Rule], kind: str, now: datetime) -> datetime | None:
    """When the first of the rules tells again; None where one does now."""
    ends: list[datetime] = []
    for rule in rules:
        hours = rule.quiet
        end = quiet.until(hours, now) if hours and kind not in hours.except_ else None
        if end is None:
            return None
        ends.append(end)
    return min(ends, default=None)


async def _want_summary(connection: Connection, user_id: UUID, target: str, now: datetime) -> None:
    """A summary at once, or a while after the last one."""
    last = await connection.fetchval(_LAST_SUMMARY, user_id, target)
    due_at = now if last is None else max(now, last + WINDOW)
    await connection.execute(_ADD_SUMMARY, uuid7(), user_id, target, now, due_at)


async def _sum_up(
    connection: Connection, person: Person, target: Any, row: Any, now: datetime
) -> Due | None:
    rows = await connection.fetch(_SUMMED, person.id, target["id"])
    counts = [(one["kind"], one["number"]) for one in rows]
    if target["unsaid"]:
        counts.append((MORE, target["unsaid"]))
    if not counts and row["began_at"] is None:
        await connection.execute(_END, row["id"], "dropped", now)
        return None
    if (
        ends := _summary_quiet_until(person, target["id"], [kind for kind, _ in counts], now)
    ) is not None:
        await connection.execute(_WAIT, row["id"], ends)
        return None
    attempts = await connection.fetchval(_TAKE, row["id"], now + LEASE, now)
    return Due(row["id"], person, target, SUMMARY, False, attempts, now, None, counts=tuple(counts))


def _summary_quiet_until(
    person: Person, target: str, kinds: Sequence[str], now: datetime
) -> datetime | None:
    """When the first of these kinds is told again at the target; None where one is now, or where no rule
    speaks of any."""
    ends: list[datetime] = []
    for kind in kinds:
        rules = [rule for rule in person.rules if kind in (*rule.when, MORE) and target in rule.to]
        if rules:
            end = _quiet_until(rules, kind, now)
            if end is None:
                return None
            ends.append(end)
    return min(ends, default=None)


async def summed(connection: Connection, due: Due, now: datetime) -> None:
    """A summary was taken: what it told isn't told again. What came while it was on its way waits for
    the next one."""
    user_id, target = due.person.id, due.target["id"]
    await connection.execute(_CLEAR_SUMMED, user_id, target, now, due.taken_at)
    await connection.execute(_CLEAR_UNSAID, user_id, target, dict(due.counts).get(MORE, 0))
