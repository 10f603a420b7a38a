"""The hint who leads: an advisory lock of a session.

Who leads without it, because its holder was stopped, keeps asking for it: a holder that wakes up and finds
itself fenced gives it back, and must not find it free again, or both would lead, each fencing the other.
"""

from __future__ import annotations

import asyncio

from runcast.contract import INGEST_STREAM, TAILER_STREAM
from runcast_server.db import Connection

LEADER_LOCKS = {INGEST_STREAM: 0x72756E63, TAILER_STREAM: 0x72756E64}  # "runc", "rund"
ASK_SECONDS = 0.5
STEP_BACK_SECONDS = 2.0
"""Who was fenced asks again only after so long: the one who leads now was to get it first."""


class LeaderHint:
    """The lock of a stream, by one connection that nothing else uses meanwhile."""

    def __init__(self, connection: Connection, stream: str) -> None:
        self._connection = connection
        self._lock = LEADER_LOCKS[stream]
        self._is_held: bool | None = False
        """None: it was asked for, and the answer isn't known."""

    async def take(self) -> bool:
        """Whether this session holds the lock (now)."""
        if not self._is_held:
            self._is_held = None
            self._is_held = await self._connection.fetchval(
                "SELECT pg_try_advisory_lock($1)", self._lock
            )
        return bool(self._is_held)

    async def keep_asking(self) -> None:
        """Returns when it is held."""
        while not await self.take():  # noqa: ASYNC110 - another process gives it back
            await asyncio.sleep(ASK_SECONDS)

    async def give_back(self) -> None:
        """Also where asking was interrupted and it isn't known whether it is held."""
        if self._is_held is not False and not self._connection.is_closed():
            await self._connection.execute("SELECT pg_advisory_unlock($1)", self._lock)
