"""A combined stream: several projects on one connection.

Each project has its `Part`, which is a subscriber of that project's room like any other: it has a cursor and
a filter, is live at the room's end, and reads on from its cursor otherwise. What is different is where it
writes: all parts share one connection and one task. The task serves those parts that are behind in turn, a
chunk each, so a project that replays its history delays the others by a chunk. While the task is awake no
part is live, so a frame is never cut by another one.

The id of an event is the position in all projects (`positions`). It is put in front of the event's own number
when it is written, so frames are the bytes of a single stream but for their ids.

A part ends alone: `bye` names its project. The stream ends when no part is left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import structlog

from runcast_hub import metrics
from runcast_hub.chunks import CHUNK_BYTES
from runcast_hub.filters import Filter
from runcast_hub.gzip import HISTORY_BYTES, Gzip, block
from runcast_hub.positions import Positions, grown, renumbered
from runcast_hub.room import Room
from runcast_hub.subscriber import BLIND_SECONDS, Subscriber
from runcast_hub.wire import Gone, Timing, Wire
from runcast_server.auth.principal import Principal
from runcast_server.eventlog import frames
from runcast_server.process.http_protocol import Outlet

LOOK_AGAIN_SECONDS = 0.05
"""How soon the task looks again where all that is left to do is to wait for rooms."""

log = structlog.get_logger()


class Part(Subscriber):
    """One project's part of a combined stream."""

    takes_frames = True

    __slots__ = ("_blind_since", "stream")

    def __init__(
        self, stream: Combined, room: Room, wanted: Filter, *, cursor: int, max_lag: int | None
    ) -> None:
        super().__init__(
            room,
            stream.connection_id,
            stream.principal,
            wanted,
            stream.timing,
            stream.outlet,
            cursor=cursor,
            max_lag=max_lag,
        )
        self.stream = stream
        self._blind_since: float | None = None

    def take(self, data: bytes, before: int) -> None:
        """Takes frames that the room has just delivered; what is too long with its ids is read instead."""
        others = self.stream.positions.before(self.room.project_id)
        if grown(data, others) > CHUNK_BYTES:
            if self.room.part(self):
                self.cursor = before
                self.wake()
            return
        self.stream.positions.reach(self.room.project_id, self.room.delivered)
        self.stream.put(renumbered(data, others))

    def wake(self) -> None:
        self.stream.wake()

    def heartbeat(self) -> bytes:
        self.note()
        return self.stream.heartbeat()

    async def write(self, data: bytes) -> None:
        project_id = self.room.project_id
        await self.stream.write(renumbered(data, self.stream.positions.before(project_id)))

    def note(self) -> None:
        """Has the stream's position say where this part stands."""
        self.stream.positions.reach(self.room.project_id, self.position)

    @property
    def waits_for_room(self) -> bool:
        """Whether Postgres showed events that the room has not delivered yet."""
        return self.cursor > self.room.delivered and self.history_number == self.room.history_number

    async def _wait_for_room(self, number: int) -> None:
        """Only asks: the other parts go on meanwhile."""
        now = time.monotonic()
        if self._blind_since is None:
            self._blind_since = now
        if now - self._blind_since > BLIND_SECONDS:
            return self.end("shutdown")
        self.room.expect(number)

    async def go_on(self) -> None:
        """The next step, at most a chunk. What fails for this project ends its part alone."""
        try:
            if not self.waits_for_room:
                self._blind_since = None
            await self.advance()
            self.note()
        except Gone:
            raise
        except Exception as error:
            log.error("stream.failed", connection=self.connection_id, exc_info=error)
            self.end("shutdown")


class Combined(Wire):
    """One open stream over several projects. Its methods run in the event loop's thread."""

    __slots__ = ("has_left", "history", "parts", "positions")

    def __init__(
        self,
        connection_id: str,
        principal: Principal,
        timing: Timing,
        outlet: Outlet,
        positions: Positions,
        gzip: Gzip | None = None,
    ) -> None:
        super().__init__(connection_id, principal, timing, outlet, gzip)
        self.history = b""
        """What a block may refer to: nothing comes on this connection but from here."""
        self.parts: Sequence[Part] = ()
        self.positions = positions
        self.has_left = False

    def bytes_sent(self) -> int:
        """Bytes handed to the socket, since the stream began."""
        return self.bytes_before

    # ------------------------------------------------------------------ called by rooms, server and wheel

    def on_full(self) -> None:
        """What the transport calls when the socket is full: no part is live any more."""
        if self._part_all():
            metrics.SLOW.inc()
            self.wake()

    def on_lost(self) -> None:
        self.is_gone = True
        self._part_all()
        self.wake()

    def is_open(self) -> bool:
        return not self.has_left

    def beat(self) -> None:
        """One heartbeat for all parts, while all are live; a stream that is being written to needs none."""
        if self.parts and all(part.room.is_live(part) for part in self.parts):
            for part in self.parts:
                part.note()
            self.put(self.heartbeat())

    def encode(self, gzip: Gzip, data: bytes) -> bytes:
        made = block(data, self.history)
        self.history = (self.history + data)[-HISTORY_BYTES:]
        return gzip.counted(data, made)

    def heartbeat(self) -> bytes:
        """A comment, and the position in all projects."""
        return b": hb\nid: %b\n\n" % bytes(self.positions)

    # ------------------------------------------------------------------ the stream's own task

    def enter(self) -> None:
        """Takes the connection over: from now on its end ends the stream."""
        self.outlet.stream = self
        self.is_gone = self.outlet.transport.is_closing()

    def add(self, part: Part) -> None:
        """Another project. Raises `Unavailable` where its room is closed."""
        part.room.enter(part)
        self.parts = (*self.parts, part)

    def leave(self) -> None:
        """Leaves all rooms, and gives the connection back to the server."""
        self.outlet.stream = None
        self.has_left = True
        for part in self.parts:
            part.room.leave(part)

    async def serve(self) -> None:
        """Delivers until the stream ends: `ending` says why, unless the client is gone."""
        try:
            while not self.is_gone and self.ending is None:
                if self.outlet.flow.write_paused:
                    await self.until_writable()
                elif ended := [part for part in self.parts if part.ending is not None]:
                    await self._bury(ended)
                elif behind := [part for part in self.parts if not part.is_at_end()]:
                    await self._go_on(behind)
                else:
                    await self._be_live()
        except Gone:
            self.is_gone = True
        except Exception as error:
            # The outermost place of a stream: its client is told to come back, and resumes.
            log.error("stream.failed", connection=self.connection_id, exc_info=error)
            self.end("shutdown")

    async def _be_live(self) -> None:
        self._wakeup = asyncio.get_running_loop().create_future()
        for part in self.parts:
            part.room.join(part)
        try:
            await self._wakeup
        finally:
            self._part_all()
            self._wakeup = None

    async def _go_on(self, behind: Sequence[Part]) -> None:
        if all(part.waits_for_room for part in behind):
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        for part in behind:
            if self.ending is not None:
                return
            await part.go_on()

    async def _bury(self, ended: Sequence[Part]) -> None:
        """Says of each part that it ended, and ends the stream with the last one."""
        for part in ended:
            project_id, reason = part.room.project_id, part.ending or "shutdown"
            if part.pending_filter is not None:
                part.pending_filter.effective_after.cancel()
            part.room.leave(part)
            self.parts = tuple(one for one in self.parts if one is not part)
            if reason == "shutdown":
                # It may come back: a client that opens the stream again goes on after what was sent.
                part.note()
            else:
                self.positions.forget(project_id)
            said = {"project_id": str(project_id), "reason": reason}
            await self.write(frames.control("bye", said))
            if not self.parts:
                self.end(reason)

    def _part_all(self) -> bool:
        """Takes all parts out of their rooms' live sets; whether any was in."""
        was_live = False
        for part in self.parts:
            if part.room.part(part):
                part.cursor = part.room.delivered
                was_live = True
        return was_live
