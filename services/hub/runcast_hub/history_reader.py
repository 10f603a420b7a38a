"""Where a room reads what it doesn't have: the Redis stream, then Postgres.

Many clients that return at once ask for the same pages: one read is in flight per page, a page is kept
while there is memory for it, and a bound on reads at once keeps a storm of resumes from taking every
connection. Reads are served room by room in turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple
from uuid import UUID

import structlog

from runcast_hub import metrics
from runcast_hub.filters import Filter, for_guests
from runcast_hub.page_cache import Pages
from runcast_hub.ring import Budget
from runcast_server import outages
from runcast_server.db import Connection, Database, acquire
from runcast_server.eventlog import frames, history
from runcast_server.eventlog.bus import Bus
from runcast_server.eventlog.chains import Chain
from runcast_server.eventlog.frames import Block, Section
from runcast_server.eventlog.history import Page
from runcast_server.eventlog.segments import Damaged
from runcast_server.fair_turns import FairTurns
from runcast_server.replica import Standing

READS_AT_ONCE = 4
SHORT_PAGE_EVENTS = 125
"""A page that is only needed to reach what the room holds ends at a multiple of this: few different ends,
so that it's shared, and little that is read in vain."""
BACK_BYTES = 8 * 1024 * 1024
STREAM_SECONDS = 1.0
"""How long Redis may take for a read: Postgres has the same, so a paused Redis only costs time."""

log = structlog.get_logger()

_Key = tuple[UUID, int, int, int, Filter]
"""Project, epoch, the number after which it begins, the number up to which it was asked for, filter."""
REST = 0
"""In the place of the last number: a part of a longer page, which ends where that was cut."""


class Held(NamedTuple):
    """What a room has: numbers `first` (None: nothing is held) … `last`, the newest delivered."""

    first: int | None
    last: int


class Source:
    """Reads of one hub."""

    def __init__(self, bus: Bus, database: Database, budget: Budget) -> None:
        self._bus = bus
        self._database = database
        self._turns = FairTurns(READS_AT_ONCE)
        self._reading: dict[_Key, asyncio.Task[Page]] = {}
        self._pages: Pages[_Key] = Pages(budget)

    async def _from_stream(self, read: Callable[[], Awaitable[list[Chain]]]) -> list[Chain]:
        """What Redis has; nothing while it fails, is slow, or did so a moment ago."""
        if self._bus.is_avoided:
            return []
        try:
            async with asyncio.timeout(STREAM_SECONDS):
                return await read()
        except Exception as error:
            # What can't be read as chains is a matter of this project: Postgres has the same.
            if outages.is_outage(error):
                self._bus.avoid()
            return []

    async def blocks(self, project_id: UUID, epoch: int, after: int, upto: int) -> list[Block]:
        """Blocks that begin at or below `after` + 1 and go on without a hole; empty when neither the
        stream nor Postgres can give them now. What is damaged in Redis is read from Postgres."""
        chains = await self._from_stream(lambda: self._bus.read(project_id, after))
        if chains and all(chain.epoch == epoch for chain in chains):
            try:
                blocks = [frames.render_intact(chain) for chain in chains]
            except Damaged as error:
                log.error("chain.damaged", project=str(project_id), error=str(error))
            else:
                metrics.HOLES.labels("stream").inc()
                return blocks
        async with self._turns.of(project_id), acquire(self._database.log) as connection:
            chain = await history.chain(connection, project_id, epoch, after, upto)
        metrics.HOLES.labels("postgres").inc()
        return [frames.render(chain)] if chain else []

    async def chains_before(self, project_id: UUID, epoch: int, first: int) -> list[Chain]:
        """What the stream holds right before `first`, newest first."""
        chains = await self._from_stream(lambda: self._bus.read_back(project_id, first, BACK_BYTES))
        return chains if all(chain.epoch == epoch for chain in chains) else []

    def kept(self, key: _Key) -> Page | None:
        """A page, or a part of one, that is in memory."""
        return self._pages.get(key)

    def keep(self, key: _Key, page: Page) -> None:
        """Keeps what was cut for one reader for the next ones, for as long as there is memory for it."""
        self._pages.put(key, page)

    def forget(self, project_id: UUID) -> None:
        """Drops the pages of a project, also those that are being read: they may hold what was erased."""
        self._pages.forget(lambda key: key[0] == project_id)
        for key in [key for key in self._reading if key[0] == project_id]:
            del self._reading[key]

    async def page(
        self, project_id: UUID, epoch: int, cursor: int, held: Held, floor: int, wanted: Filter
    ) -> Page:
        """A page of what `wanted` asks for above `cursor`, read once for all who ask for it.

        It need not go further than to what the room holds. Pages of all events are aligned, so that
        cursors that lie close together share them. A page whose `floor` is above `cursor` holds nothing:
        retention has passed it.
        """
        start = cursor
        if wanted.takes_everything:
            start = max(floor, cursor - cursor % history.PAGE_EVENTS)
        page = await self._shared(project_id, epoch, start, held, wanted)
        if page.floor > cursor:
            return Page(b"", cursor, page.floor)
        if page.floor > start:
            return await self.page(project_id, epoch, cursor, held, page.floor, wanted)
        if start < cursor and page.upto <= cursor:
            # It is full before it has come that far: what its first events hold is large.
            start = cursor
            page = await self._shared(project_id, epoch, start, held, wanted)
            if page.floor > cursor:
                return Page(b"", cursor, page.floor)
        if start == cursor:
            return page
        whole = Section(False, b"", start + 1, page.upto - start, len(page.frames))
        block = frames.cut(Block(epoch, start + 1, page.upto, [whole], page.frames), cursor)
        return Page(block.frames, page.upto)

    async def _shared(
        self, project_id: UUID, epoch: int, start: int, held: Held, wanted: Filter
    ) -> Page:
        """The page after `start`: one that is kept, one that is being read, or one that is read now."""
        upto = whole = held.last
        if wanted.takes_everything:
            upto = whole = min(whole, start + history.PAGE_EVENTS)
        if held.first is not None:
            short = start + -(-(held.first - 1 - start) // SHORT_PAGE_EVENTS) * SHORT_PAGE_EVENTS
            upto = min(upto, short)
        key = (project_id, epoch, start, upto, wanted)
        page = self._pages.get((project_id, epoch, start, whole, wanted)) or self._pages.get(key)
        if page is None:
            task = self._reading.get(key)
            if task is None:
                task = self._reading[key] = asyncio.ensure_future(self._keep(key, held.last))
            page = await asyncio.shield(task)
        return page

    async def _keep(self, key: _Key, newest: int) -> Page:
        is_forgotten = True
        try:
            async with self._turns.of(key[0]):
                page = await self._read(*key, newest)
            if key[-1].is_guest:
                page = replace(page, frames=for_guests(page.frames))
        finally:
            if self._reading.get(key) is asyncio.current_task():
                del self._reading[key]
                is_forgotten = False
        if not is_forgotten:
            self._pages.put(key, page)
        return page

    async def _read(
        self, project_id: UUID, epoch: int, start: int, upto: int, wanted: Filter, newest: int
    ) -> Page:
        """From a standby, if it has the `newest` that the room knows: what that tells of redacted lines and
        deleted runs it has then heard too."""

        async def read(connection: Connection) -> Page:
            if wanted.only_run is not None:
                run = UUID(bytes=wanted.only_run)
                return await history.page(
                    connection, project_id, epoch, start, upto, logs=None, run=run
                )
            logs: Sequence[UUID] | Literal["all"] | None = wanted.run_ids or None
            if wanted.all_logs:
                logs = "all"
            return await history.page(connection, project_id, epoch, start, upto, logs=logs)

        return await self._database.log_reading(Standing(project_id, epoch, newest), read)
