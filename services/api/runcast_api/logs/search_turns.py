"""What searches may use: some connections and one thread, in turn among callers, and a limit for each caller.

A search holds a connection for as long as a statement may take, and a regular expression can be made to take
all of it. Without bounds a few dozen searches keep everyone else from the database. The lines are looked
through in a thread; several of them together find nothing faster, since they share the interpreter's lock,
but the event loop, and so every other request, would wait for it behind each of them in turn.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from runcast_api.logs.query import Turn
from runcast_server.auth.principal import Principal
from runcast_server.db import Actor, Connection, Database
from runcast_server.errors import LimitReached
from runcast_server.fair_turns import FairTurns
from runcast_server.replica import Standing, T, Work

SEARCHES_AT_ONCE = 3
"""Statements of searches at a time in one process, of the connections that requests have."""
THREADS_AT_ONCE = 1
"""Threads that look through lines at a time in one process."""
SEARCHES_PER_CALLER = 4
"""Searches that one caller may have open; the holders of a share link are one caller."""


@dataclass(frozen=True, slots=True)
class SearchDatabase(Database):
    """The database as searches see it: each of their transactions waits for a turn."""

    turns: FairTurns = field(default_factory=lambda: FairTurns(SEARCHES_AT_ONCE))
    threads: FairTurns = field(default_factory=lambda: FairTurns(THREADS_AT_ONCE))
    open: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, database: Database) -> SearchDatabase:
        return cls(
            database.requests,
            database.log,
            database.accounts,
            database.request_turns,
            database.replica,
        )

    @contextlib.asynccontextmanager
    async def acting(self, actor: Actor) -> AsyncIterator[Connection]:
        """As `Database.acting`, when it is this caller's turn."""
        within = Database.acting(self, actor)
        async with self.turns.of(actor.name), within as connection:
            yield connection

    async def reading(self, actor: Actor, at: Standing, work: Work[T]) -> tuple[T, int]:
        """As `Database.reading`, when it is this caller's turn."""
        async with self.turns.of(actor.name):
            return await Database.reading(self, actor, at, work)

    def thread_of(self, caller: Principal) -> Turn:
        """What gives the caller its turns at the thread."""
        return lambda: self.threads.of(caller.limit_name)

    def admit(self, caller: Principal) -> None:
        """Raises `LimitReached` where the caller has as many searches open as it may have."""
        if self.open[caller.limit_name] >= SEARCHES_PER_CALLER:
            raise LimitReached(
                f"at most {SEARCHES_PER_CALLER} searches at once", retry_after_seconds=2
            )

    @contextlib.contextmanager
    def counted(self, caller: Principal) -> Iterator[None]:
        """Counts a search of the caller for the block."""
        name = caller.limit_name
        self.open[name] += 1
        try:
            yield
        finally:
            self.open[name] -= 1
            if not self.open[name]:
                del self.open[name]
