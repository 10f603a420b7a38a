"""A subscriber: a cursor, a filter and an outlet.

It is live while its cursor is the room's end: then the room writes to its outlet directly. When its
socket is full it leaves the live set (`on_full`); its own task waits for the socket, reads on from the
cursor chunk by chunk, and rejoins. A new or resuming client is the same thing: a subscriber that starts
behind. A frame is never cut by another: all is written whole, by the room while the subscriber is live
and by its task while it isn't.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from uuid import UUID

import structlog
from starlette.types import Send

from runcast_hub import backfill, chunks, metrics
from runcast_hub.filters import Filter
from runcast_hub.room import Room
from runcast_hub.timer_wheel import Wheel, jittered
from runcast_server import outages
from runcast_server.auth.principal import Principal
from runcast_server.db import Pool
from runcast_server.eventlog import frames, history
from runcast_server.process.http_protocol import Outlet, as_chunk

WRITE_SECONDS = 60.0
"""How long one chunk may wait for a socket; a laptop that sleeps longer resumes from its cursor."""
LAST_WORDS_SECONDS = 2.0
RETRY_READ_SECONDS = 1.0
BLIND_SECONDS = 20.0
"""How long an event that Postgres has may be unreadable before the stream is ended for a new try."""

log = structlog.get_logger()


class Gone(Exception):
    """The client went away, or doesn't take what it is sent."""


@dataclass(slots=True)
class FilterChange:
    """A new filter on its way to a subscriber's task, which answers with the number it counts from."""

    wanted: Filter
    backfill_lines: int
    pool: Pool
    effective_after: asyncio.Future[int] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


@dataclass(frozen=True, slots=True)
class Timing:
    """The timers of a hub's streams, shared by all of them."""

    wheel: Wheel
    heartbeat_seconds: float
    lifetime_seconds: float


class Subscriber:
    """One open stream. Its methods run in the event loop's thread."""

    __slots__ = (
        "_wakeup",
        "beats_at",
        "bytes_before",
        "connected_at",
        "connection_id",
        "cursor",
        "ending",
        "filter",
        "finish_after",
        "history_number",
        "is_gone",
        "max_lag",
        "outlet",
        "pending_filter",
        "principal",
        "room",
        "timing",
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
    ) -> None:
        self.room = room
        self.connection_id = connection_id
        self.principal = principal
        self.filter = wanted
        self.timing = timing
        self.outlet = outlet
        self.cursor = cursor
        self.history_number = room.history_number
        self.max_lag = max_lag
        self.finish_after: int | None = None
        self.ending: str | None = None
        self.is_gone = False
        self.was_slow = False
        self.bytes_before = 0
        self.beats_at = 0.0
        self.connected_at = time.monotonic()
        self.pending_filter: FilterChange | None = None
        self._wakeup: asyncio.Future[None] | None = None

    # ------------------------------------------------------------------ called by the room and the hub

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

    def on_time(self) -> None:
        """What the wheel calls: the end of the stream's time, or its heartbeat; and sets the next one."""
        if self not in self.room.subscribers:
            return  # It ended: the wheel forgets it.
        remaining, reason = self._remaining()
        if remaining <= 0:
            self.end(reason)
            return
        self._beat()
        self.timing.wheel.after(min(self.timing.heartbeat_seconds, remaining), self)

    def start_timing(self) -> None:
        """Sets the first time on the wheel; at random, so that clients that came together don't beat
        together."""
        remaining, _ = self._remaining()
        self.timing.wheel.after(jittered(min(self.timing.heartbeat_seconds, remaining)), self)

    def _remaining(self) -> tuple[float, str]:
        """Seconds until the stream's time is up, and what ends it then."""
        lifetime = self.connected_at + self.timing.lifetime_seconds - time.monotonic()
        expires = self.principal.expires_at
        if expires is not None and (left := expires.timestamp() - time.time()) < lifetime:
            return left, "token_expired"
        return lifetime, "timeout"

    def _beat(self) -> None:
        """Sends a live subscriber its heartbeat; one that is being written to needs none."""
        if self.room.is_live(self):
            self._put(frames.heartbeat(self.room.delivered))

    def end(self, reason: str) -> None:
        """Asks the stream to end with `bye`; the first reason stands."""
        if self.ending is None:
            self.ending = reason
            self.wake()

    def wake(self) -> None:
        """Makes the subscriber's task look at its state."""
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)

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
        self.start_timing()

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
                    await self._until_writable()
                    continue
                if not self._is_at_end():
                    await self._advance()
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

    def _is_at_end(self) -> bool:
        """Whether there is nothing to do but to be live."""
        return (
            self.cursor == self.room.delivered
            and self.history_number == self.room.history_number
            and self.pending_filter is None
            and self.finish_after is None
        )

    async def _advance(self) -> None:
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
            await self.write(frames.heartbeat(self.cursor))

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

    async def write(self, data: bytes) -> None:
        """Writes bytes, a chunk at a time, waiting for the socket at most `WRITE_SECONDS` before each.
        Raises `Gone`."""
        for piece in chunks.pieces(data):
            if self.outlet.flow.write_paused:
                await self._until_writable()
            if self.is_gone:
                raise Gone
            self._put(piece)

    def _put(self, data: bytes) -> None:
        try:
            self.outlet.transport.write(as_chunk(data))
        except RuntimeError:
            self.on_lost()
        else:
            self.bytes_before += len(data)

    async def _until_writable(self) -> None:
        metrics.LAGGING.inc()
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self.outlet.flow.drain()
        except TimeoutError as error:
            raise Gone from error
        finally:
            metrics.LAGGING.dec()

    async def say_bye(self, send: Send, reason: str, retry_ms: int) -> None:
        """The last words of a stream that ends by our will."""
        if self.is_gone:
            return
        body = b"retry: %d\n" % retry_ms + frames.control("bye", {"reason": reason})
        with contextlib.suppress(TimeoutError, OSError, RuntimeError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await send({"type": "http.response.body", "body": body, "more_body": False})


def gap(project_id: UUID, wanted: Filter, reason: str, first: int, last: int) -> bytes:
    """The frame that says: events `first`…`last` won't be sent; this is where to get the state."""
    refetch = [f"/projects/{project_id}/runs", f"/projects/{project_id}/tasks"]
    refetch += [f"/runs/{run_id}/logs" for run_id in wanted.run_ids]
    data = {"from": first, "to": last, "reason": reason, "refetch": refetch}
    return frames.control("gap", data, id=last)
