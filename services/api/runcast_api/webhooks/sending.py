"""Sending: woken by commits in this process, and by the clock for what came by others or is due again.

Each hook has one task at most in a process, and each of its attempts ends within `ATTEMPT_SECONDS`; what
hangs is its own hook's. No commit or stream waits for a receiver. A hook takes deliveries only when it has
its turn to send them, and projects take turns: receivers that are slow keep other projects waiting for the
next one that ends, and nothing that only waited counts as failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpcore
import structlog

from runcast_api.webhooks import addresses, metrics, outbox, signing
from runcast_api.webhooks.addresses import CheckedNetwork, Refused
from runcast_api.webhooks.lookups import Lookups
from runcast_api.webhooks.outbox import Taken
from runcast_server import tasks
from runcast_server.db import Connection, Pool, acquire
from runcast_server.errors import LimitReached
from runcast_server.eventlog.chains import Chain
from runcast_server.fair_turns import FairTurns
from runcast_server.loops import Loop, item

ATTEMPT_SECONDS = 20.0
EVERY_SECONDS = 1.0
PRUNE_SECONDS = 600.0
DATABASE_AT_ONCE = 2
"""Database connections that webhooks use at a time; projects take turns at them."""
SENDING = 25
"""Hooks that send at a time, of those whose receivers answer; each has `outbox.AT_ONCE` connections."""
SENDING_OF_FAILING = 200
"""The same of those that fail, which have one connection each: who hangs keeps only those waiting that fail,
too."""
TESTS = 16
TEST_TURN_SECONDS = 5.0
"""How long a test waits for its turn."""
ERROR_CHARACTERS = 300
SUCCESS = range(200, 300)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt: the receiver's status, and why it failed; `error` is None where it took
    it."""

    status: int | None
    error: str | None


@dataclass(eq=False)
class Sender:
    """POSTs bodies to receivers. Names of receivers that fail are looked up apart from those of others."""

    allows_private: bool
    _lookups: Mapping[bool, Lookups] = field(
        default_factory=lambda: {False: Lookups(), True: Lookups()}
    )
    _tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    async def send(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        project: Hashable = None,
        is_failing: bool = False,
    ) -> Outcome:
        """One attempt. Redirects aren't followed: they are failures."""
        try:
            addresses.check_url(url, allows_private=self.allows_private)
            network = CheckedNetwork(
                self._lookups[is_failing], project, allows_private=self.allows_private
            )
            async with asyncio.timeout(ATTEMPT_SECONDS):
                status = await self._post(network, url, headers, body)
        except Refused as refused:
            return Outcome(None, str(refused)[:ERROR_CHARACTERS])
        except TimeoutError:
            return Outcome(None, f"no answer within {ATTEMPT_SECONDS:.0f} s")
        except (OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException,
                ssl.SSLError, UnicodeError, ValueError) as error:  # fmt: skip
            return Outcome(None, (str(error) or type(error).__name__)[:ERROR_CHARACTERS])
        if status in SUCCESS:
            return Outcome(status, None)
        why = (
            "a redirect, which isn't followed" if 300 <= status < 400 else "the receiver refused it"
        )
        return Outcome(status, f"{status}: {why}")

    async def _post(
        self, network: CheckedNetwork, url: str, headers: Mapping[str, str], body: bytes
    ) -> int:
        sent = [(name, value) for name, value in headers.items()]
        # A pool for one connection: each goes to what was checked for it, and none is kept.
        # What a receiver answers besides its status is never read.
        async with (
            httpcore.AsyncConnectionPool(self._tls, network_backend=network) as pool,
            pool.stream("POST", url, headers=sent, content=body) as answer,
        ):
            return answer.status

    def close(self) -> None:
        for lookups in self._lookups.values():
            lookups.close()


@dataclass(eq=False)
class Dispatcher:
    """Looks what hooks want, and sends it."""

    pool: Pool
    sender: Sender
    base_url: str
    _working: dict[UUID, asyncio.Task[None]] = field(default_factory=dict)
    _projects: frozenset[UUID] = frozenset()
    _turns: FairTurns = field(default_factory=lambda: FairTurns(DATABASE_AT_ONCE))
    _sending: Mapping[bool, FairTurns] = field(
        default_factory=lambda: {False: FairTurns(SENDING), True: FairTurns(SENDING_OF_FAILING)}
    )
    _tests: FairTurns = field(default_factory=lambda: FairTurns(TESTS))
    _loop: Loop | None = None

    def loops(self) -> list[Loop]:
        """Its work as loops."""
        self._loop = Loop("webhooks", self.look, EVERY_SECONDS)
        return [self._loop, Loop("webhook deliveries", self.prune, PRUNE_SECONDS)]

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
            if hook_id not in self._working:
                task = asyncio.create_task(self._work(hook_id, project_id))
                self._working[hook_id] = task

    async def prune(self) -> None:
        await outbox.prune(self.pool)

    async def stop(self) -> None:
        """Ends what is being sent; it is sent again after the next start."""
        await tasks.end(*self._working.values())
        self.sender.close()

    @contextlib.asynccontextmanager
    async def _connection(self, project_id: UUID) -> AsyncIterator[Connection]:
        async with self._turns.of(project_id), acquire(self.pool) as connection:
            yield connection

    async def _work(self, hook_id: UUID, project_id: UUID) -> None:
        try:
            with item("webhook", webhook=str(hook_id)):
                while await self._work_once(hook_id, project_id):
                    pass
        except Exception as error:
            # The database is away; the next look finds what is left.
            log.warning("webhook.waits", webhook=str(hook_id), error=repr(error))
        finally:
            del self._working[hook_id]

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
        async with asyncio.TaskGroup() as group:
            for one in taken:
                group.create_task(self._deliver(hook, events.get(one.event_id), one))
        return True

    async def _deliver(self, hook: Any, event: dict[str, Any] | None, taken: Taken) -> None:
        project_id, hook_id = hook["project_id"], hook["id"]
        if event is None:
            async with self._connection(project_id) as connection:
                await outbox.dropped(connection, taken.id)
            return
        outcome = await self._send(hook, event)
        metrics.ATTEMPTS.labels("delivered" if outcome.error is None else "failed").inc()
        async with self._connection(project_id) as connection, connection.transaction():
            if outcome.error is None and outcome.status is not None:
                await outbox.succeeded(connection, hook_id, taken.id, outcome.status)
            else:
                why = outcome.error or ""
                await outbox.failed(connection, hook_id, taken, outcome.status, why)

    async def _send(self, hook: Any, event: dict[str, Any]) -> Outcome:
        id = signing.message_id(hook["project_id"], event["id"], hook["id"])
        body = signing.body(event, hook["project_id"], id, self.base_url, hook["format"])
        keys = [hook["secret"]] + ([hook["old_secret"]] if hook["has_old"] else [])
        headers = signing.headers(id, body, keys, hook["format"])
        return await self.sender.send(
            hook["url"], headers, body, project=hook["project_id"], is_failing=_is_failing(hook)
        )

    async def test(self, hook_id: UUID, event: dict[str, Any]) -> Outcome:
        """Sends an event that isn't in the log, once. Raises `LimitReached` where too many tests are under
        way."""
        async with acquire(self.pool) as connection:
            hook = await outbox.target(connection, hook_id)
        if hook is None:
            return Outcome(None, "the webhook is gone")
        async with contextlib.AsyncExitStack() as turn:
            try:
                await turn.enter_async_context(
                    self._tests.of(hook["project_id"], TEST_TURN_SECONDS)
                )
            except TimeoutError:
                raise LimitReached(
                    "too many webhooks are being tested", retry_after_seconds=20
                ) from None
            return await self._send(hook, event)


def _is_failing(hook: Any) -> bool:
    return hook["failing_since"] is not None
