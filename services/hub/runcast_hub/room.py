"""A room: one project's live history, and the subscribers at its end.

The room is a log with cursors, not a set of queues. It holds the recent frames once (`ring`). Each
subscriber is a cursor. Those at the end are live: in each tick of the event loop the new blocks are
joined once per distinct filter and the same bytes written to every live subscriber of that filter.
A subscriber whose socket is full leaves the live set and reads on from its cursor by itself (`read`),
until it meets `delivered` again and rejoins; nothing is queued for it meanwhile.

Numbers are contiguous, so a live message that doesn't begin at `head` + 1 shows a hole. `target` is
the number that is known to exist; one task fills from the Redis stream, then from Postgres, until
`head` reaches it. The same path serves messages that only name a head, and the periodic comparison with
Postgres.

    delivered <= head <= target
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

import structlog

from runcast_hub import chunks, metrics
from runcast_hub.chunks import CHUNK_BYTES
from runcast_hub.filters import Filter, Fresh
from runcast_hub.group import Group
from runcast_hub.history_reader import REST, Held, Source
from runcast_hub.ring import Budget, Ring
from runcast_hub.traced import Deliveries
from runcast_server import outages
from runcast_server.errors import Unavailable
from runcast_server.eventlog import frames, history
from runcast_server.eventlog.bus import Deleted, Head, Traced
from runcast_server.eventlog.chains import Chain
from runcast_server.eventlog.erasure import ERASING
from runcast_server.eventlog.frames import Block
from runcast_server.eventlog.history import Page, Position
from runcast_server.eventlog.segments import Damaged
from runcast_server.tracing.spans import Tracer

if TYPE_CHECKING:
    from runcast_hub.subscriber import Subscriber

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Chunk:
    """What comes next for a cursor: frames that the filter wants, up to the number `upto`."""

    data: bytes
    upto: int
    lost_upto: int | None = None
    """Set where everything up to this number was dropped by retention: announce it and go on."""


class Watching(Protocol):
    """Is told which subscribers come and go; the removal of one that isn't known changes nothing."""

    def add(self, subscriber: Subscriber) -> None: ...

    def remove(self, subscriber: Subscriber) -> None: ...


class Room:
    """See the module. All methods run in the event loop's thread."""

    def __init__(
        self,
        project_id: UUID,
        source: Source,
        budget: Budget,
        max_events: int,
        watching: Sequence[Watching] = (),
        tracer: Tracer | None = None,
    ) -> None:
        self.project_id = project_id
        self._watching = watching
        self.epoch = 0
        self.head = 0
        self.delivered = 0
        self.target = 0
        self.floor = 0
        self.history_number = 0
        """Counts histories: a subscriber that saw another one must be told of the reset."""
        self._erasures = 0
        """Counts what made us forget: a read that began before one may hold what was erased."""
        self.subscribers: set[Subscriber] = set()
        self.is_closed = False
        self._holders = 0
        self._idle_since = time.monotonic()
        self._heard = False
        self._times_behind = 0
        self._source = source
        self._ring = Ring(budget, max_events)
        self._reaches_back = False
        self._reaching_back: asyncio.Task[None] | None = None
        self._groups: dict[Filter, Group] = {}
        self._of_run: dict[bytes, set[Group]] = {}
        self._fresh: list[Block] = []
        self._flush_scheduled = False
        self._fresh_since = 0.0
        self._filling: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._traced = Deliveries(tracer, {"runcast.project": str(project_id)})
        self.touched_runs: set[bytes] = set()
        """Runs that had an event other than a line since the hub last looked."""

    # ------------------------------------------------------------------ what is known

    def start(self, position: Position) -> None:
        """Begins at the head that Postgres names."""
        self.epoch = position.epoch
        self.head = self.delivered = self.target = position.last_seq
        self.floor = position.floor_seq

    def compare(self, position: Position) -> None:
        """Takes in what Postgres says now: a new floor, a higher head, or another history."""
        self.floor = position.floor_seq
        if position.epoch != self.epoch:
            log.warning("room.reset", project=str(self.project_id), head=position.last_seq)
            self._reset(position)
        elif position.last_seq > self.target:
            self._reach(position.last_seq)

    def seems_deaf(self, *, is_behind: bool) -> bool:
        """Whether this is the second comparison in a row that finds the room behind without a live message
        in between: then nothing comes on its channel."""
        if not is_behind or self._heard:
            self._times_behind = 0
        self._heard = False
        self._times_behind += is_behind
        return self._times_behind >= 2

    def _reset(self, position: Position) -> None:
        self._ring.clear()
        self._fresh.clear()
        self._traced.clear()
        self._reaches_back = True
        self.history_number += 1
        self.start(position)
        self._wake_waiting()
        for subscriber in self.subscribers:
            subscriber.wake()

    def receive(self, message: Chain | Head | Deleted) -> bool:
        """Takes a live message: appends what comes next, and fetches what it can't.

        False for a message of another history, late or new.
        """
        self._heard = True
        match message:
            case Deleted():
                self.end("deleted")
            case _ if message.epoch != self.epoch:
                return False
            case Head(seq=seq):
                self._reach(seq)
            case Chain() if message.last <= self.head:
                pass
            case Chain() if message.first <= self.head + 1:
                self._take(message)
            case Chain():
                if self.target <= self.head:
                    metrics.HOLES.labels("seen").inc()
                self._reach(message.last)
        return True

    def trace(self, message: Traced) -> None:
        """Takes note that what comes next is traced, unless it came already."""
        if message.epoch == self.epoch and message.seq > self.head:
            self._traced.begin(message.causes, message.seq)

    def _take(self, chain: Chain) -> None:
        """Appends a chain that came through Redis; one that was damaged there is fetched."""
        try:
            block = frames.render_intact(chain)
        except Damaged as error:
            log.error("chain.damaged", project=str(self.project_id), error=str(error))
            self._reach(chain.last)
        else:
            self._append(block)

    def hear(self, chain: Chain) -> None:
        """Takes a chain that was committed in this process if it is just what comes next. Anything else will
        come in its order, by Redis: a hole is no hole yet where two commits are a moment apart."""
        if chain.epoch == self.epoch and chain.first == self.head + 1:
            self._traced.begin(chain.causes, chain.last)
            self._append(frames.render(chain))

    def _append(self, block: Block) -> None:
        block = frames.cut(block, self.head)
        if frames.holds_event(block, ERASING):
            # What came before must not be shown again: it is read from Postgres, which has lost it.
            self._erasures += 1
            self._ring.clear()
            self._source.forget(self.project_id)
        for piece in frames.split(block, CHUNK_BYTES):
            self._ring.append(piece)
            self._fresh.append(piece)
            self.head = piece.last
        self.target = max(self.target, self.head)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._fresh_since = time.perf_counter()
            asyncio.get_running_loop().call_soon(self._flush)

    # ------------------------------------------------------------------ holes

    def _reach(self, target: int) -> None:
        self.target = max(self.target, target)
        if self._filling is None and self.head < self.target:
            self._filling = asyncio.create_task(self._fill())

    async def _fill(self) -> None:
        """Fetches `head` + 1 … `target`; what fails is tried again at the next comparison."""
        try:
            while self.head < self.target:
                number, erasures = self.history_number, self._erasures
                blocks = await self._source.blocks(
                    self.project_id, self.epoch, self.head, self.target
                )
                if (number, erasures) != (self.history_number, self._erasures):
                    continue
                before = self.head
                for block in blocks:
                    if block.first <= self.head + 1 and block.last > self.head:
                        self._append(block)
                if self.head == before:
                    break
        except history.Broken as error:
            log.error("history.broken", project=str(self.project_id), error=str(error))
        except outages.ANY as error:
            log.debug("room.not_filled", project=str(self.project_id), error=str(error))
        except Exception as error:
            # The outermost place of this task.
            log.error("room.not_filled", project=str(self.project_id), exc_info=error)
        finally:
            self._filling = None
            # Otherwise a target that can't be reached now would look like work in progress for ever.
            self.target = self.head

    # ------------------------------------------------------------------ live

    def _flush(self) -> None:
        self._flush_scheduled = False
        fresh, self._fresh = self._fresh, []
        for blocks in _batches(fresh):
            batch = Fresh(blocks)
            before = self.delivered
            handed: list[tuple[Group, bytes]] = []
            for group in self._interested(batch):
                try:
                    data = group.is_live() and batch.select(group.filter)
                except Exception as error:
                    group.give_up(error, before)
                    continue
                if data and len(data) <= CHUNK_BYTES:
                    handed.append((group, data))
                elif data:
                    group.fall_behind()
            self.delivered = batch.last
            self.touched_runs.update(batch.event_runs)
            for group, data in handed:
                try:
                    group.deliver(data, before)
                except Exception as error:
                    group.give_up(error, before)
        metrics.DELIVERY_SECONDS.observe(time.perf_counter() - self._fresh_since)
        if self._traced:
            self._traced.end(self.delivered, len(self.subscribers))
        self._wake_waiting()

    def beat(self, seconds: float) -> float:
        """Sends a heartbeat to the live subscribers that were sent nothing for that time. The seconds until
        the next one may be due."""
        left = seconds
        for group in list(self._groups.values()):
            try:
                left = min(left, group.beat(self.delivered, seconds))
            except Exception as error:
                group.give_up(error, self.delivered)
        return left

    def _wake_waiting(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    def _interested(self, batch: Fresh) -> Iterable[Group]:
        if not batch.is_only_logs:
            return list(self._groups.values())
        found = {group for group in self._groups.values() if group.filter.all_logs}
        for run in batch.log_runs:
            found |= self._of_run.get(run, set())
        return found

    def hold(self) -> None:
        """Keeps the room open, for a stream that is being opened in it."""
        self._holders += 1

    def let_go(self) -> None:
        """The end of a `hold`."""
        self._holders -= 1
        self._idle_since = time.monotonic()

    def is_idle(self, since: float) -> bool:
        """Whether no one has needed the room since that moment of the monotonic clock, or does now."""
        return not self._holders and not self.subscribers and self._idle_since <= since

    def enter(self, subscriber: Subscriber) -> None:
        """Counts a subscriber in, wherever it stands. Raises `Unavailable` where the room is closed: no one
        would feed it."""
        if self.is_closed:
            raise Unavailable("the project's room was closed; connect again")
        self.subscribers.add(subscriber)
        for each in self._watching:
            each.add(subscriber)
        self._group(subscriber.filter).members += 1

    def leave(self, subscriber: Subscriber) -> None:
        """Forgets a subscriber."""
        self.subscribers.discard(subscriber)
        for each in self._watching:
            each.remove(subscriber)
        self._idle_since = time.monotonic()
        self._abandon(subscriber)

    def refilter(self, subscriber: Subscriber, wanted: Filter) -> None:
        """Gives a subscriber that isn't live another filter."""
        self._abandon(subscriber)
        subscriber.filter = wanted
        self._group(wanted).members += 1

    def join(self, subscriber: Subscriber) -> None:
        """Makes a subscriber live. Its cursor must be `delivered`."""
        self._groups[subscriber.filter].join(subscriber)

    def part(self, subscriber: Subscriber) -> bool:
        """Takes a subscriber out of the live set; whether it was in, that is, stands at `delivered`."""
        group = self._groups.get(subscriber.filter)
        return group is not None and group.part(subscriber)

    def is_live(self, subscriber: Subscriber) -> bool:
        """Whether a subscriber is in the live set."""
        group = self._groups.get(subscriber.filter)
        return group is not None and group.is_live(subscriber)

    def bytes_sent(self, subscriber: Subscriber) -> int:
        """Bytes handed to the subscriber's socket so far."""
        group = self._groups.get(subscriber.filter)
        return subscriber.bytes_before if group is None else group.bytes_sent(subscriber)

    def _group(self, wanted: Filter) -> Group:
        group = self._groups.get(wanted)
        if group is None:
            group = self._groups[wanted] = Group(wanted)
            for run in _runs(wanted):
                self._of_run.setdefault(run, set()).add(group)
        return group

    def _abandon(self, subscriber: Subscriber) -> None:
        group = self._groups[subscriber.filter]
        group.part(subscriber)
        group.members -= 1
        if group.members:
            return
        del self._groups[group.filter]
        for run in _runs(group.filter):
            self._of_run[run].discard(group)
            if not self._of_run[run]:
                del self._of_run[run]

    # ------------------------------------------------------------------ reading on

    async def read(self, cursor: int, wanted: Filter) -> Chunk:
        """What comes after `cursor`, from the ring, the Redis stream or Postgres. Needs `cursor` below
        `delivered`. Raises `Unavailable` while what is needed can't be read."""
        if cursor < self.floor:
            return Chunk(b"", self.floor, lost_upto=self.floor)
        if not self._has(cursor) and not self._reaches_back:
            # Who comes while the first one reads waits for it, instead of asking Postgres.
            if self._reaching_back is None:
                self._reaching_back = asyncio.create_task(self._reach_back())
            await asyncio.shield(self._reaching_back)
        if self._has(cursor):
            return self._recent(cursor, wanted)
        rest = (self.project_id, self.epoch, cursor, REST, wanted)
        page = self._source.kept(rest)
        if page is None:
            held, erasures = Held(self._ring.first, self.delivered), self._erasures
            page = await self._source.page(
                self.project_id, self.epoch, cursor, held, self.floor, wanted
            )
            if page.floor > cursor:
                self.floor = max(self.floor, page.floor)
                return Chunk(b"", page.floor, lost_upto=page.floor)
            page = self._first_part(page, wanted, may_keep=erasures == self._erasures)
        return Chunk(page.frames, page.upto)

    def _first_part(self, page: Page, wanted: Filter, *, may_keep: bool) -> Page:
        """As much of a page as a stream holds at once. The other parts are kept for those who read on, where
        nothing was erased since the page was asked for; pages of all events are kept whole."""
        first, *others = chunks.cut(page)
        after = first.upto
        for part in others if may_keep and not wanted.takes_everything else ():
            self._source.keep((self.project_id, self.epoch, after, REST, wanted), part)
            after = part.upto
        return first

    def _has(self, cursor: int) -> bool:
        first = self._ring.first
        return first is not None and first <= cursor + 1

    def _recent(self, cursor: int, wanted: Filter) -> Chunk:
        """What the ring has after the cursor, cut and joined once for all who stand there."""
        blocks = [
            block for block in self._ring.after(cursor, CHUNK_BYTES) if block.last <= self.delivered
        ]
        key = (self.project_id, self.epoch, cursor, blocks[-1].last, wanted)
        page = self._source.kept(key)
        if page is None:
            batch = Fresh([frames.cut(block, cursor) for block in blocks])
            page = Page(batch.select(wanted), batch.last)
            self._source.keep(key, page)
        return Chunk(page.frames, page.upto)

    async def _reach_back(self) -> None:
        """Puts what the Redis stream has before the ring's first block into the ring, once."""
        first = self._ring.first or self.head + 1
        number, erasures = self.history_number, self._erasures
        try:
            chains = await self._source.chains_before(self.project_id, self.epoch, first)
        finally:
            self._reaches_back = True
            self._reaching_back = None
        if (number, erasures) != (self.history_number, self._erasures):
            return
        if (self._ring.first or self.head + 1) != first:
            return
        for chain in chains:
            try:
                block = frames.render_intact(chain)
            except Damaged as error:
                log.error("chain.damaged", project=str(self.project_id), error=str(error))
                return
            for piece in reversed(frames.split(block, CHUNK_BYTES)):
                if not self._ring.prepend(piece):
                    return

    def expect(self, number: int) -> None:
        """Fetches what is missing up to `number`, which Postgres has shown."""
        self._reach(number)

    async def moved(self, seconds: float) -> None:
        """Waits until something was delivered or the history was reset, `seconds` at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._moved.wait()

    # ------------------------------------------------------------------ the end

    def end(self, reason: str) -> None:
        """Ends every stream of the room."""
        for subscriber in list(self.subscribers):
            subscriber.end(reason)

    def close(self) -> None:
        """Gives the memory back. New subscribers are refused, and present ones are sent away."""
        self.is_closed = True
        self.end("shutdown")
        self._traced.clear()
        for task in (self._filling, self._reaching_back):
            if task is not None:
                task.cancel()
        self._ring.close()


def _runs(wanted: Filter) -> frozenset[bytes]:
    return wanted.runs if wanted.only_run is None else frozenset((wanted.only_run,))


def _batches(blocks: list[Block]) -> Iterator[list[Block]]:
    """Consecutive blocks, joined up to the size of a chunk."""
    batch: list[Block] = []
    size = 0
    for block in blocks:
        if batch and size + len(block.frames) > CHUNK_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(block)
        size += len(block.frames)
    if batch:
        yield batch
