"""Reads that a standby serves, as fresh as the primary's.

A standby replays what its primary committed, later by its lag. The reader knows where the project stood on
the primary a moment ago (`Standing`), and the standby is asked, in the same snapshot as the rows, whether it
has come that far in that history. Where it hasn't, where it doesn't know the caller yet, or where it doesn't
answer, the primary is read. So a lag costs a statement, and no answer is older than what the reader has seen.
What was redacted or deleted before that moment isn't shown either: both are events of the project.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from uuid import UUID

import structlog

from runcast_server import outages
from runcast_server.errors import Unavailable

if TYPE_CHECKING:
    from runcast_server.db import Connection, Pool

ACQUIRE_SECONDS = 1.0
AWAY_SECONDS = 10.0
"""How long a standby that failed isn't asked again."""

T = TypeVar("T")
Work = Callable[["Connection"], Awaitable[T]]

_HEAD = "SELECT epoch, last_seq FROM project_counters WHERE project_id = $1"

log = structlog.get_logger()


class Standing(NamedTuple):
    """What a reader knows of a project: the identity of its history, and a number that exists in it."""

    project_id: UUID
    epoch: int
    head: int


class Lacking(Exception):
    """The standby can't serve this read: the primary is to."""


@dataclass(eq=False)
class Replica:
    """The pools on the standby, and whether it is worth asking."""

    requests: Pool
    log: Pool
    trouble: str | None = None
    """Why it wasn't asked lately, for `/ready`."""
    _asked_again_at: float = 0.0

    async def read(
        self, pool: Pool, before: Work[None], at: Standing, work: Work[T]
    ) -> tuple[T, int]:
        """What `work` reads in one snapshot that has `at`, and the project's newest number in it. `before`
        says who asks. Raises `Lacking`."""
        if time.monotonic() < self._asked_again_at:
            raise Lacking
        try:
            connection = await pool.acquire(timeout=ACQUIRE_SECONDS)
        except (OSError, *outages.POSTGRES_SAYS) as error:
            self._is_away(error)
            raise Lacking from error
        self.trouble = None
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await before(connection)
                head = await reached(connection, at)
                return await work(connection), head
        except (*outages.POSTGRES, Unavailable) as error:
            # A conflict with what it replays, for one: nothing that the primary has.
            log.info("replica.read_failed", error=outages.line_of(error))
            raise Lacking from error
        finally:
            await pool.release(connection)

    def _is_away(self, error: BaseException) -> None:
        if self.trouble is None:
            log.warning("replica.away", error=outages.line_of(error))
        self.trouble = outages.line_of(error)
        self._asked_again_at = time.monotonic() + AWAY_SECONDS

    async def close(self) -> None:
        """Closes the pools."""
        for pool in (self.requests, self.log):
            try:
                async with asyncio.timeout(2.0):
                    await pool.close()
            except TimeoutError:
                pool.terminate()


async def reached(connection: Connection, at: Standing) -> int:
    """The project's newest number in this snapshot. Raises `Lacking` where it isn't as far as `at`."""
    row = await connection.fetchrow(_HEAD, at.project_id)
    if row is None or row["epoch"] != at.epoch or row["last_seq"] < at.head:
        raise Lacking
    head: int = row["last_seq"]
    return head
