"""Sending: woken by commits in this process, and by the clock for what came by others or is due again.

Each hook has one task at most in a process, and each of its attempts ends within 20 s; what hangs is its
own hook's. No commit or stream waits for a receiver. A hook takes deliveries only when it has
its turn to send them, and projects take turns: receivers that are slow keep other projects waiting for the
next one that ends, and nothing that only waited counts as failed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

import structlog

from runcast_api.maintenance.due_work import ANYWAY_SECONDS, Timed
from runcast_api.outgoing.jobs import Jobs, Trials
from runcast_api.outgoing.sender import ERROR_CHARACTERS, Outcome, Sender
from runcast_api.webhooks import metrics, outbox, signing
from runcast_api.webhooks.outbox import Taken
from runcast_server.db import Connection, Pool, acquire
from runcast_server.eventlog.chains import Chain
from runcast_server.fair_turns import FairTurns
from runcast_server.loops import Loop

PRUNE_SECONDS = 600.0
DATABASE_AT_ONCE = 2
"""Database connections that webhooks use at a time; projects take turns at them."""
SENDING = 25
"""Hooks that send at a time, of those whose receivers answer; each has `outbox.AT_ONCE` connections."""
SENDING_OF_FAILING = 200
"""The same of those that fail, which have one connection each: who hangs keeps only those waiting that fail,
too."""

log = structlog.get_logger(__name__)


@dataclass(eq=False)
class Dispatcher:
    """Looks what hooks want, and sends it."""

    pool: Pool
    sender: Sender
    base_url: str
    jobs: Jobs = field(default_factory=lambda: Jobs("webhook"))
    _projects: frozenset[UUID] = frozenset()
    _turns: FairTurns = field(default_factory=lambda: FairTurns(DATABASE_AT_ONCE))
    _sending: Mapping[bool, FairTurns] = field(
        default_factory=lambda: {False: FairTurns(SENDING), True: FairTurns(SENDING_OF_FAILING)}
    )
    _tests: Trials = field(default_factory=Trials)
    _loop: Loop | None = None

    def loops(self) -> list[Loop]:
        """Its work at fixed times, as loops."""
        return [Loop("webhook deliveries", self.prune, PRUNE_SECONDS)]

    def timed(self) -> list[Timed]:
        """Its work while there is a hook."""
        self._loop = Loop("webhooks", self.look, ANYWAY_SECONDS)
        return [Timed("SELECT FROM webhooks WHERE disabled_reason IS NULL", self._loop)]

    def heard(self, project_id: UUID, chain: Chain) -> None:
        """A commit of this process: anyone who wants it gets it at once."""
        if project_id in self._projects and any(not one.is_log for one in chain.segments):
            self.changed()

    def changed(self) -> None:
        """A hook was made, changed or is to send again, in this process."""
        if self._loop is not None:
            self._loop.soon()

    async def look(self) -> None:
        """One look; doesn't wait for what it sends."""
        self._projects = await outbox.projects(self.pool)
        for hook_id, project_id in await outbox.behind(self.pool):
            self.jobs.begin(hook_id, partial(self._work_once, hook_id, project_id))

    async def prune(self) -> None:
        await outbox.prune(self.pool)

    async def stop(self) -> None:
        """Ends what is being sent; it is sent again after the next start."""
        await self.jobs.stop()
        self.sender.close()

    @contextlib.asynccontextmanager
    async def _connection(self, project_id: UUID) -> AsyncIterator[Connection]:
        async with self._turns.of(project_id), acquire(self.pool) as connection:
            yield connection

    async def _work_once(self, hook_id: UUID, project_id: UUID) -> bool:
        """Whether there may be more."""
        async with self._connection(project_id) as connection:
            has_more = await outbox.plan(connection, hook_id)
            hook = await outbox.target(connection, hook_id)
        if hook is None or not hook["is_due"]:
            return has_more and hook is not None
        async with self._sending[_is_failing(hook)].of(project_id):
            return await self._send_due(hook_id, project_id) or has_more

    async def _send_due(self, hook_id: UUID, project_id: UUID) -> bool:
        """Sends what is due, as much as may be on its way; whether there was anything."""
        async with self._connection(project_id) as connection:
            taken = await outbox.take(connection, hook_id)
            hook = await outbox.target(connection, hook_id)
            if not taken or hook is None:
                return False
            events = await outbox.events(connection, project_id, [one.event_id for one in taken])
        sent = [self._deliver(hook, events.get(one.event_id), one) for one in taken]
        # None is cut off because another one failed: it would be sent twice.
        for error in await asyncio.gather(*sent, return_exceptions=True):
            if error is not None:
                raise error
        return True

    async def _deliver(self, hook: Any, event: dict[str, Any] | None, taken: Taken) -> None:
        project_id, hook_id = hook["project_id"], hook["id"]
        if event is None:
            async with self._connection(project_id) as connection:
                await outbox.dropped(connection, taken.id)
            return
        try:
            outcome = await self._send(hook, event)
        except Exception as error:
            # An event that can't be written as a body is noted like one that isn't taken.
            log.error(
                "webhook.not_written", webhook=str(hook_id), number=taken.event_id, exc_info=error
            )
            outcome = Outcome(None, f"it can't be sent: {error!r}"[:ERROR_CHARACTERS])
        metrics.ATTEMPTS.labels("delivered" if outcome.error is None else "failed").inc()
        async with self._connection(project_id) as connection, connection.transaction():
            if outcome.error is None and outcome.status is not None:
                await outbox.succeeded(connection, hook, taken.id, outcome.status)
            else:
                await outbox.failed(connection, hook, taken, outcome)

    async def _send(self, hook: Any, event: dict[str, Any]) -> Outcome:
        id = signing.message_id(hook["project_id"], event["id"], hook["id"])
        body = signing.body(event, hook["project_id"], id, self.base_url, hook["format"])
        keys = [hook["secret"]] + ([hook["old_secret"]] if hook["has_old"] else [])
        headers = signing.headers(id, body, keys, hook["format"])
        return await self.sender.send(
            hook["url"], headers, body, payer=hook["project_id"], is_failing=_is_failing(hook)
        )

    async def test(self, hook_id: UUID, event: dict[str, Any]) -> Outcome:
        """Sends an event that isn't in the log, once. Raises `LimitReached` where too many tests are under
        way."""
        async with acquire(self.pool) as connection:
            hook = await outbox.target(connection, hook_id)
        if hook is None:
            return Outcome(None, "the webhook is gone")
        async with self._tests.of(hook["project_id"]):
            return await self._send(hook, event)


def _is_failing(hook: Any) -> bool:
    return hook["failing_since"] is not None
