"""Telling people: looked at every second, and at once where something was found that needs no delay.

Each project and each person has one task at most in a process, and each attempt ends within 20 s. No commit,
stream or other person waits for a receiver. A message is tried at once and after the pauses of
`RETRY_SECONDS`; it may come twice where a process was killed after it was taken, and then it replaces itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from runcast_api.maintenance.due_work import ANYWAY_SECONDS, Timed
from runcast_api.notifications import (
    answer_links,
    deciding,
    messages,
    metrics,
    outcomes,
    people,
    planning,
)
from runcast_api.notifications.channels import Channels
from runcast_api.notifications.deciding import Due
from runcast_api.notifications.messages import Message
from runcast_api.notifications.people import Person, Readers
from runcast_api.notifications.webpush import WebPush
from runcast_api.outgoing.jobs import Jobs, Trials
from runcast_api.outgoing.sender import Outcome, Sender
from runcast_server import outages
from runcast_server.auth import rights
from runcast_server.db import Connection, Pool, acquire
from runcast_server.fair_turns import FairTurns
from runcast_server.loops import Loop
from runcast_server.service import Resources

PRUNE_SECONDS = 600.0
DATABASE_AT_ONCE = 2
"""Database connections that notifications use at a time; projects and people take turns at them."""
SENDING = 25
"""People to whom messages are sent at a time, of those whose targets answer; each has
`deciding.AT_ONCE` connections."""
TESTS_PER_MINUTE = 10
"""Of a person: each sends a request to an address that the person chose."""
SENDING_TO_FAILING = 50
"""The same of those of whom a target fails: who hangs keeps only those waiting that fail, too."""

log = structlog.get_logger(__name__)


def build(resources: Resources, sender: Sender) -> Notifier:
    """As the settings say."""
    settings = resources.settings
    pool = resources.database.log
    push = WebPush(pool, settings.api.push_secret, settings.push_contact)
    channels = Channels(sender, push, settings.base_url)
    return Notifier(pool, channels, settings.base_url, settings.api.push_answers)


@dataclass(eq=False)
class Notifier:
    """Looks what there is to tell, and tells it. `has_answers`: messages have buttons that answer. `ahead` is
    added to Postgres's clock, by which messages are due."""

    pool: Pool
    channels: Channels
    base_url: str
    has_answers: bool
    ahead: timedelta = timedelta()
    jobs: Jobs = field(default_factory=lambda: Jobs("notifications"))
    _people: Sequence[Person] = ()
    _readers: Readers = field(default_factory=Readers)
    _turns: FairTurns = field(default_factory=lambda: FairTurns(DATABASE_AT_ONCE))
    _sending: Mapping[bool, FairTurns] = field(
        default_factory=lambda: {False: FairTurns(SENDING), True: FairTurns(SENDING_TO_FAILING)}
    )
    _tests: Trials = field(default_factory=lambda: Trials(per_minute=TESTS_PER_MINUTE))
    _loop: Loop | None = None

    def loops(self) -> list[Loop]:
        """Its work at fixed times, as loops."""
        return [Loop("old notifications", self.prune, PRUNE_SECONDS)]

    def timed(self) -> list[Timed]:
        """Its work while someone wants to be told."""
        self._loop = Loop("notifications", self.look, ANYWAY_SECONDS)
        return [Timed("SELECT FROM notification_settings", self._loop)]

    async def changed(self) -> None:
        """Someone has set something: what happens from now on counts."""
        async with acquire(self.pool) as connection:
            self._people = await people.find(connection, self._readers)
        await planning.watch(self.pool, self._people)

    async def look(self) -> None:
        """One look; doesn't wait for what it sends."""
        async with acquire(self.pool) as connection:
            self._people = await people.find(connection, self._readers)
            now = await self._now(connection)
            due = await deciding.people_due(connection, now)
        for project_id in await planning.watch(self.pool, self._people):
            self.jobs.begin(("project", project_id), partial(self._plan, project_id))
        for user_id, is_failing in due:
            self.jobs.begin(("person", user_id), partial(self._tell, user_id, is_failing))

    async def prune(self) -> None:
        """Forgets what ended long ago."""
        async with acquire(self.pool) as connection:
            await outcomes.prune(connection)
        await answer_links.prune(self.pool)

    async def stop(self) -> None:
        """Ends what is being sent; it is sent again after the next start."""
        await self.jobs.stop()

    async def test(self, user_id: UUID, target_id: str, *, is_admin: bool) -> Outcome:
        """Sends a message that tells nothing, once. Raises `LimitReached` where too many tests run."""
        async with acquire(self.pool) as connection:
            target = await outcomes.target(connection, user_id, target_id)
        if target is None:
            return Outcome(None, "there is no such target")
        message = messages.test(secrets.token_hex(16), self.base_url)
        async with self._tests.of(user_id):
            return await self._attempt(user_id, target, message, is_admin=is_admin)

    @contextlib.asynccontextmanager
    async def _connection(self, key: UUID) -> AsyncIterator[Connection]:
        async with self._turns.of(key), acquire(self.pool) as connection:
            yield connection

    async def _now(self, connection: Connection) -> datetime:
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        return now + self.ahead

    async def _plan(self, project_id: UUID) -> bool:
        async with self._connection(project_id) as connection:
            has_more, has_found = await planning.plan(connection, project_id, self._readers)
        if has_found and self._loop is not None:
            self._loop.soon()  # What needs no delay is due.
        return has_more

    async def _tell(self, user_id: UUID, is_failing: bool) -> bool:
        """Takes messages only with a turn to send them: none is taken and then waits."""
        async with self._sending[is_failing].of(user_id):
            async with self._connection(user_id) as connection:
                taken = await deciding.take(
                    connection, self._readers, user_id, await self._now(connection)
                )
            sent = [self._send(due) for due in taken or ()]
            # None is cut off because another one couldn't be noted: it would be sent twice.
            for error in await asyncio.gather(*sent, return_exceptions=True):
                if error is not None:
                    raise error
        return taken is not None

    async def _send(self, due: Due) -> None:
        key = due.person.id
        try:
            outcome = await self._say(due)
        except Exception as error:
            if outages.is_outage(error):
                raise
            # What is wrong with one message costs that one alone.
            log.error("notification.failed", notification=str(due.id), exc_info=error)
            outcome = Outcome(None, "the message can't be written")
        async with self._connection(key) as connection, connection.transaction():
            now = await self._now(connection)
            if outcome.error is None:
                await outcomes.succeeded(connection, due, now)
            else:
                await outcomes.failed(connection, due, outcome, now)

    async def _say(self, due: Due) -> Outcome:
        person = due.person
        async with self._connection(person.id) as connection, connection.transaction():
            buttons = await self._buttons(connection, due)
        message = messages.compose(due, self.base_url, buttons)
        return await self._attempt(person.id, due.target, message, is_admin=person.is_admin)

    async def _buttons(self, connection: Connection, due: Due) -> tuple[messages.Button, ...]:
        options = messages.buttons_of(due)
        role = due.project_id and due.person.role_in(due.project_id)
        has_room = due.target["kind"] != "apprise"
        if not (options and self.has_answers and has_room and role and role >= rights.ANSWER):
            return ()
        assert due.question is not None
        question_id = UUID(due.question["id"])
        return await answer_links.make(
            connection, due.person.id, question_id, options, due.target["kind"]
        )

    async def _attempt(
        self, user_id: UUID, target: Any, message: Message, *, is_admin: bool
    ) -> Outcome:
        outcome = await self.channels.send(user_id, target, message, is_admin=is_admin)
        state = "delivered" if outcome.error is None else "failed"
        metrics.ATTEMPTS.labels(target["kind"], state).inc()
        return outcome
