"""A subscriber: a cursor, a filter and an outlet.

It is live while its cursor is the room's end: then the room writes to its outlet directly. When its
socket is full it leaves the live set (`on_full`); its own task waits for the socket, reads on from the
cursor chunk by chunk, and rejoins. A new or resuming client is the same thing: a subscriber that starts
behind. A frame is never cut by another: all is written whole, by the room while the subscriber is live
and by its task while it isn't.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar
from uuid import UUID

import structlog

from runcast_hub import backfill, metrics
from runcast_hub.filters import Filter
from runcast_hub.gzip import Gzip
from runcast_hub.room import Room
from runcast_hub.wire import Gone, Timing, Wire
from runcast_server import outages
from runcast_server.auth.principal import Principal
from runcast_server.db import Pool
from runcast_server.eventlog import frames, history
from runcast_server.process.http_protocol import Outlet

RETRY_READ_SECONDS = 1.0
BLIND_SECONDS = 20.0
"""How long an event that Postgres has may be unreadable before the stream is ended for a new try."""

log = structlog.get_logger()


@dataclass(slots=True)
class FilterChange:
    """A new filter on its way to a subscriber's task, which answers with the number it counts from."""

    wanted: Filter
    backfill_lines: int
    pool: Pool
    effective_after: asyncio.Future[int] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Subscriber(Wire):
    """One open stream. Its methods run in the event loop's thread."""

    takes_frames: ClassVar[bool] = False
    """Whether the room hands frames to `take`, instead of writing them to the socket."""

    __slots__ = (
        "beats_at",
        "cursor",
        "filter",
        "finish_after",
        "history_number",
        "max_lag",
        "pending_filter",
        "room",
        "was_slow",
    )

    def __init__(
        self,
        room: Room,
        connection_id: str,
        principal: Principal,
        wanted: Filter,
        timing: Timing,
        outlet: Outlet,
        *,
        cursor: int,
        max_lag: int | None = None,
        gzip: Gzip | None = None,
    ) -> None:
        super().__init__(connection_id, principal, timing, outlet, gzip)
        self.room = room
        self.filter = wanted
        self.cursor = cursor
        self.history_number = room.history_number
        self.max_lag = max_lag
        self.finish_after: int | None = None
        self.was_slow = False
        self.beats_at = 0.0
        self.pending_filter: FilterChange | None = None

    @property
    def parts(self) -> Sequence[Subscriber]:
        """What the stream shows: one project, or one run of it."""
        return (self,)

    def bytes_sent(self) -> int:
        """Bytes handed to the socket, since the stream began."""
        return self.room.bytes_sent(self)

    def heartbeat(self) -> bytes:
        """A comment, and the position."""
        return frames.heartbeat(self.position)

    # ------------------------------------------------------------------ called by the room and the hub

    def take(self, data: bytes, before: int) -> None:
        """Takes frames that the room has just delivered; `before` is the number that was delivered before
        them."""
        raise NotImplementedError

    def on_full(self) -> None:
        """What the transport calls when the socket is full: a live subscriber isn't live any more."""
        if self.room.part(self):
            self.cursor = self.room.delivered
            self._note_slow()
            self.wake()

    def fall_behind(self) -> None:
        """What the room calls before what it can't hand over at once: read on from here."""
        if self.room.part(self):
            self.cursor = self.room.delivered
            self.wake()

    def on_lost(self) -> None:
        """What the transport calls when the client is gone."""
        self.is_gone = True
        self.room.part(self)
        self.wake()

    def is_open(self) -> bool:
        return self in self.room.subscribers

    def finish(self, seq: int) -> None:
        """Ends the stream as complete once everything up to number `seq` was sent."""
        self.finish_after = seq
        self.wake()

    @property
    def position(self) -> int:
        """The last number handed to the socket, whether live or not."""
        return self.room.delivered if self.room.is_live(self) else self.cursor

    # ------------------------------------------------------------------ the stream's own task

    def enter(self) -> None:
        """Enters the room, and takes the connection over: from now on its end ends the stream. Raises
        `Unavailable` where the room is closed."""
        self.room.enter(self)
        self.outlet.stream = self
        self.is_gone = self.outlet.transport.is_closing()

    def leave(self) -> None:
        """Leaves the room, and gives the connection back to the server."""
        self.outlet.stream = None
        self.room.leave(self)

    async def serve(self) -> None:
        """Delivers until the stream ends: `ending` says why, unless the client is gone.

        The wait of an idle stream stands right here: each coroutine between a stream and its wait
        would cost as much memory as the stream's other state.
        """
        room = self.room
        try:
            while not self.is_gone and self.ending is None:
                if self.outlet.flow.write_paused:
                    await self.until_writable()
                    continue
                if not self.is_at_end():
                    await self.advance()
                    continue
                self._wakeup = asyncio.get_running_loop().create_future()
                room.join(self)
                try:
                    await self._wakeup
                finally:
                    if room.part(self):
                        self.cursor = room.delivered
                    self._wakeup = None
        except Gone:
            self.is_gone = True
        except Exception as error:
            # The outermost place of a stream: its client is told to come back, and resumes.
            log.error("stream.failed", connection=self.connection_id, exc_info=error)
            self.end("shutdown")

    def is_at_end(self) -> bool:
        """Whether there is nothing to do but to be live."""
        return (
            self.cursor == self.room.delivered
            and self.history_number == self.room.history_number
            and self.pending_filter is None
            and self.finish_after is None
        )

    async def advance(self) -> None:
        """The next step of what there is to do."""
        room = self.room
        if self.history_number != room.history_number:
            await self._announce_reset()
        elif self.pending_filter is not None:
            await self._change_filter(self.pending_filter)
        elif self.cursor < room.delivered:
            await self._read_on()
        elif self.cursor > room.delivered:
            await self._wait_for_room(self.cursor)
        elif self.finish_after is not None:
            await self._finish(self.finish_after)

    async def _finish(self, seq: int) -> None:
        """Ends the stream as complete when everything up to `seq` was sent."""
        if self.cursor < seq:
            await self._wait_for_room(seq)
        else:
            self.end("complete")

    def _note_slow(self) -> None:
        metrics.SLOW.inc()
        if not self.was_slow:
            self.was_slow = True
            log.warning(
                "stream.slow",
                connection=self.connection_id,
                who=self.principal.name,
                cursor=self.cursor,
            )

    async def _read_on(self) -> None:
        lag = self.room.delivered - self.cursor
        if self.max_lag is not None and lag > self.max_lag:
            await self._announce_gap("lag", self.cursor + 1, self.room.delivered)
            return
        try:
            chunk = await self.room.read(self.cursor, self.filter)
        except outages.ANY:
            await self._wait_for_storage()
            return
        except history.Broken as error:
            log.error("history.broken", connection=self.connection_id, error=str(error))
            self.end("shutdown")
            return
        if self.history_number != self.room.history_number:
            return
        if chunk.lost_upto is not None:
            await self._announce_gap("retention", self.cursor + 1, chunk.lost_upto)
            return
        if chunk.data:
            await self.write(chunk.data)
        self.cursor = chunk.upto
        # A send to a socket with room never suspends: without this a long replay would hold the loop.
        await asyncio.sleep(0)

    async def _wait_for_storage(self) -> None:
        """A pause before what can't be read now is tried again, with heartbeats: nothing else is sent."""
        await asyncio.sleep(RETRY_READ_SECONDS)
        if time.monotonic() >= self.beats_at:
            self.beats_at = time.monotonic() + self.timing.heartbeat_seconds
            await self.write(self.heartbeat())

    async def _wait_for_room(self, number: int) -> None:
        """Postgres showed us events up to `number` that the room has not delivered yet."""
        room, deadline = self.room, time.monotonic() + BLIND_SECONDS
        while room.delivered < number and self.history_number == room.history_number:
            if self.is_gone or self.ending is not None:
                return
            if time.monotonic() > deadline:
                return self.end("shutdown")
            room.expect(number)
            await room.moved(RETRY_READ_SECONDS)

    def change_filter(self, change: FilterChange) -> None:
        """Asks for another filter; a change that was still waiting is overtaken."""
        if self.pending_filter is not None:
            self.pending_filter.effective_after.cancel()
        self.pending_filter = change
        self.wake()

    async def _change_filter(self, change: FilterChange) -> None:
        """The new filter takes effect at the subscriber's own cursor; older lines come as backfill."""
        self.pending_filter = None
        had = self.filter
        self.room.refilter(self, change.wanted)
        if not change.effective_after.done():
            change.effective_after.set_result(self.cursor)
        new = [run_id for run_id in change.wanted.run_ids if run_id.bytes not in had.runs]
        if not change.backfill_lines or had.all_logs:
            return
        try:
            async for chunk in backfill.last_lines(
                change.pool, self.room.project_id, new, change.backfill_lines, self.cursor
            ):
                await self.write(chunk)
        except outages.ANY as error:
            # Going on would leave out lines that were promised; a new stream asks for them again.
            log.warning("stream.given_up", connection=self.connection_id, error=str(error))
            self.end("shutdown")

    async def _announce_reset(self) -> None:
        self.history_number = self.room.history_number
        await self._announce_gap("reset", 1, self.room.delivered)

    async def _announce_gap(self, reason: str, first: int, last: int) -> None:
        metrics.GAPS.labels(reason).inc()
        await self.write(gap(self.room.project_id, self.filter, reason, first, last))
        self.cursor = last


def gap(project_id: UUID, wanted: Filter, reason: str, first: int, last: int) -> bytes:
    """The frame that says: events `first`…`last` won't be sent; this is where to get the state."""
    refetch = [f"/projects/{project_id}/runs", f"/projects/{project_id}/tasks"]
    refetch += [f"/runs/{run_id}/logs" for run_id in wanted.run_ids]
    data = {
        "project_id": str(project_id),
        "from": first,
        "to": last,
        "reason": reason,
        "refetch": refetch,
    }
    return frames.control("gap", data, id=last)
