"""Waiting for questions to be closed, whichever process closes them.

Postgres tells of each closed question when its transaction commits (a trigger, `NOTIFY runcast_questions`);
one connection of the process listens. Behind a pooler, whose connections are anyone's, and while that
connection is away, one query a second asks about all questions that are waited for here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from runcast_server.db import LOG_ROLE, Connection, Pool, acquire, is_pooled, open_pool
from runcast_server.errors import Unavailable
from runcast_server.loops import Loop

CHANNEL = "runcast_questions"
MAX_WAITING = 10_000
"""Requests of this process that wait at once at most."""
LISTEN_SECONDS = 0.5
LOOK_SECONDS = 1.0
ALIVE_SECONDS = 5.0
POOLED_SECONDS = 60.0
"""Behind a pooler it isn't listened; how often it is looked whether one still stands in between."""

_CLOSED = "SELECT id FROM questions WHERE id = ANY($1::uuid[]) AND state <> 'open'"


@dataclass(eq=False)
class Waiters:
    """The requests of one process that wait, by question."""

    url: str
    pool: Pool
    _waiting: dict[UUID, set[asyncio.Event]] = field(default_factory=dict)
    _number: int = 0
    _is_released: bool = False

    def loops(self) -> list[Loop]:
        """What wakes them, as loops."""
        return [
            Loop("question notices", self.listen, LISTEN_SECONDS, limit_seconds=None),
            Loop("closed questions", self.look, LOOK_SECONDS),
        ]

    @contextlib.asynccontextmanager
    async def waiting(self, question_id: UUID) -> AsyncIterator[asyncio.Event]:
        """An event that is set once the question is closed, if that happens from now on.

        Raises `Unavailable` while too many wait.
        """
        if self._number >= MAX_WAITING:
            raise Unavailable("too many requests are waiting for answers")
        closed = asyncio.Event()
        if self._is_released:
            closed.set()
        self._number += 1
        self._waiting.setdefault(question_id, set()).add(closed)
        try:
            yield closed
        finally:
            self._number -= 1
            waiting = self._waiting[question_id]
            waiting.discard(closed)
            if not waiting:
                del self._waiting[question_id]

    def release(self) -> None:
        """Lets all requests answer with what is, also those that still come: the process stops."""
        self._is_released = True
        for question_id in list(self._waiting):
            self._wake(question_id)

    def _wake(self, question_id: UUID) -> None:
        for closed in self._waiting.get(question_id, ()):
            closed.set()

    async def listen(self) -> None:
        """Holds the connection that hears of closed questions; ends by an error when that breaks."""
        pool = await open_pool(self.url, role=LOG_ROLE, size=1)
        try:
            async with acquire(pool) as connection:
                if await is_pooled(connection):  # another client would get the notices
                    await asyncio.sleep(POOLED_SECONDS)
                    return
                await self._listen_by(connection)
        finally:
            pool.terminate()

    async def _listen_by(self, connection: Connection) -> None:
        """Listens until the connection ends, which is noticed at once. Raises `Unavailable` then."""
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        await connection.add_listener(CHANNEL, self._hear)
        try:
            while not lost.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ALIVE_SECONDS):
                        await lost.wait()
                        break
                await connection.execute("SELECT")
            raise Unavailable("the connection that hears of closed questions was lost")
        finally:
            with contextlib.suppress(Exception):
                await connection.remove_listener(CHANNEL, self._hear)

    def _hear(self, _: Connection, __: int, ___: str, payload: Any) -> None:
        with contextlib.suppress(ValueError):
            self._wake(UUID(payload))

    async def look(self) -> None:
        """Asks about all that is waited for, in one query."""
        if not self._waiting:
            return
        async with acquire(self.pool) as connection:
            rows = await connection.fetch(_CLOSED, list(self._waiting))
        for row in rows:
            self._wake(row["id"])
