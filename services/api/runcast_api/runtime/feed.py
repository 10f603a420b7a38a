"""`/admin/stream`: what the status page shows, as it changes.

One task of the process looks at Postgres while someone watches, and hands what is new to everybody's
queue; so all processes send the same, whichever took the report. A watcher that reads too slowly gets a
fresh snapshot instead of what it missed: this stream has no ids and nothing to resume.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import structlog
from sse_starlette import ServerSentEvent

from runcast_api.runtime import events, status
from runcast_server import outages, tasks
from runcast_server.db import Pool, acquire
from runcast_server.loops import Items

LOOK_SECONDS = 1.0
GLANCE_EVERY = 2
"""Looks for which one glance at workers and queue is taken."""
OVERLAP = timedelta(seconds=5)
"""Events commit in another order than they were given their time in; this much is read again."""
MAX_EVENTS = 500
"""Of one read."""
MAX_READS = 20
"""Reads of one look; where more has come, the watchers get a snapshot, and go on from the present."""
QUEUE_SIZE = 1000
CONNECTION_SECONDS = 3600.0

_ARRIVED = f"""
SELECT {events.COLUMNS} FROM runtime_events
WHERE (created_at, id) > ($1, $2::uuid) AND occurred_at > $1 - interval '1 day'
ORDER BY created_at, id LIMIT $3
"""
_FIRST = UUID(int=0)

log = structlog.get_logger()


class Frame(NamedTuple):
    """One event of the stream."""

    type: str
    data: Any

    def as_sse(self) -> ServerSentEvent:
        return ServerSentEvent(orjson.dumps(self.data).decode(), event=self.type, sep="\n")


Ending = Callable[[], Awaitable[str | None]]
"""Says why a watcher may look on no longer, if that is so."""


@dataclass(eq=False)
class _Watcher:
    ending: Ending
    frames: asyncio.Queue[Frame | None] = field(default_factory=lambda: asyncio.Queue(QUEUE_SIZE))
    has_missed: bool = False

    def put(self, frame: Frame) -> None:
        try:
            self.frames.put_nowait(frame)
        except asyncio.QueueFull:
            self.has_missed = True


class RuntimeFeed:
    """One per process."""

    def __init__(self, pool: Pool, heartbeat_seconds: float) -> None:
        self._pool = pool
        self._heartbeat_seconds = heartbeat_seconds
        self._watchers: set[_Watcher] = set()
        self._task: asyncio.Task[None] | None = None
        self._shown: dict[str, Any] = {}
        self._since: datetime | None = None
        self._seen: dict[str, datetime] = {}

    async def watch(self, ending: Ending) -> AsyncIterator[ServerSentEvent]:
        """A snapshot, then what changes, until the process drains (`bye`), an hour has passed, or
        `ending`, which is asked every few seconds, gives a reason."""
        watcher = _Watcher(ending)
        self._watchers.add(watcher)
        if self._task is None or self._task.done():
            self._since, self._shown = None, {}
            self._task = asyncio.create_task(self._look_on(), name="runtime feed")
        try:
            yield Frame("snapshot", await self._glance()).as_sse()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CONNECTION_SECONDS):
                    while frame := await watcher.frames.get():
                        if watcher.has_missed:
                            watcher.has_missed = False
                            frame = Frame("snapshot", await self._glance())
                        yield frame.as_sse()
                        if frame.type == "bye":
                            return
                    yield Frame("bye", {"reason": "shutdown"}).as_sse()
                    return
            yield Frame("bye", {"reason": "timeout"}).as_sse()
        finally:
            self._watchers.discard(watcher)

    async def stop(self) -> None:
        """Ends all streams, and the look-out."""
        for watcher in self._watchers:
            while not watcher.frames.empty():
                watcher.frames.get_nowait()
            watcher.frames.put_nowait(None)
        if self._task is not None:
            await tasks.end(self._task)

    async def _glance(self) -> dict[str, Any]:
        async with acquire(self._pool) as connection:
            return await status.glance(connection, self._heartbeat_seconds)

    async def _look_on(self) -> None:
        """For as long as there are watchers. The outermost place of its task: a look that fails is
        followed by another."""
        look = 0
        while self._watchers:
            try:
                if look % GLANCE_EVERY == 0:
                    await self._tell_status()
                    await self._end_watchers()
                await self._tell_events()
            except Exception as error:
                log.warning("runtime_feed.failed", error=outages.named(error))
            look += 1
            await asyncio.sleep(LOOK_SECONDS)

    async def _tell_status(self) -> None:
        before, now = self._shown, await self._glance()
        self._shown = now
        if not before:
            return
        known = {worker["worker_id"]: _without_heartbeat(worker) for worker in before["workers"]}
        for worker in now["workers"]:
            if known.get(worker["worker_id"]) != _without_heartbeat(worker):
                self._tell("worker:status_changed", worker)
        if (before["queue"], before["degraded"]) != (now["queue"], now["degraded"]):
            self._tell("queue:counts", {"queue": now["queue"], "degraded": now["degraded"]})

    async def _tell_events(self) -> None:
        async with acquire(self._pool) as connection:
            now: datetime = await connection.fetchval("SELECT clock_timestamp()")
            # Postgres's clock gave the events their times; it may have been set back since the last look.
            since = now if self._since is None else min(self._since, now)
            place, is_all = (since - OVERLAP, _FIRST), False
            for _ in range(MAX_READS):
                rows = await connection.fetch(_ARRIVED, *place, MAX_EVENTS)
                self._tell_new(rows)
                if is_all := len(rows) < MAX_EVENTS:
                    break
                place = (rows[-1]["created_at"], rows[-1]["id"])
        if not is_all:
            for watcher in self._watchers:
                watcher.has_missed = True
        self._since = now if not is_all else max(since, rows[-1]["created_at"] if rows else since)
        edge = self._since - 2 * OVERLAP
        self._seen = {id: at for id, at in self._seen.items() if at > edge}

    def _tell_new(self, rows: Sequence[Any]) -> None:
        for row in rows:
            shown = events.as_json(row)
            if shown["id"] not in self._seen:
                self._seen[shown["id"]] = row["created_at"]
                self._tell("runtime:event", shown)

    async def _end_watchers(self) -> None:
        watchers = Items("runtime_feed.watcher")
        for watcher in list(self._watchers):
            with watchers.one():
                if reason := await watcher.ending():
                    watcher.put(Frame("bye", {"reason": reason}))

    def _tell(self, type: str, data: Any) -> None:
        for watcher in self._watchers:
            watcher.put(Frame(type, data))


def _without_heartbeat(worker: dict[str, Any]) -> dict[str, Any]:
    """What makes a status another one. The time of a route's newest call doesn't."""
    route = worker["active_route"]
    shown = {name: value for name, value in worker.items() if name != "last_heartbeat"}
    return shown | {"active_route": route and (route["provider"], route["model"])}
