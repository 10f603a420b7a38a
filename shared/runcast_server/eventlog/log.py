"""The one choke point through which every visible change of a project passes.

State and events are written in one transaction whose last statement takes the numbers and inserts
the events: the lock of the project's counter row makes number order equal commit order, and is held
for that statement and the commit alone, never while the server waits for a client's data. After the
commit the events are handed to the publisher as a chain of segments whose bytes are final.

Writers in this process share commits ("natural batching"): while one commit of a project is in
flight, further changes of that project gather, and go together in the next. A lone change commits at
once; a thousand concurrent ones share a few commits. A change that refuses (`Problem`) spoils no one
else's: among others it runs in a savepoint of its own.

Locks are taken in one order everywhere: ingest cursor, a project's board, log sources, runs and tasks by id,
counters by id. What needs a lock that comes before those that a change holds follows it in a commit of its
own (`Transaction.follow`). A deadlock that comes all the same is retried.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import asyncpg
import structlog

from runcast_server import metrics, outages
from runcast_server.db import Connection, Pool, acquire
from runcast_server.errors import NotFound, Problem, Unavailable
from runcast_server.eventlog import chains, segments, stored
from runcast_server.eventlog.chains import Chain
from runcast_server.eventlog.publisher import Listener, Publisher
from runcast_server.eventlog.segments import Event, Lines, Segment
from runcast_server.tracing import spans
from runcast_server.tracing.spans import About, Cause, Tracer

MAX_BATCH = 256
"""Changes that share one commit at most."""
MAX_WAITING = 10_000
"""Changes that may wait for one project's commits; more are refused with 503."""
ATTEMPTS = 4
PASS_SECONDS = 0.05
"""How long bulk writers let single callers go first."""

_HEAD = "SELECT last_seq FROM project_counters WHERE project_id = $1"

log = structlog.get_logger()

T = TypeVar("T")
Item = TypeVar("Item")
Change = Callable[["Transaction"], Awaitable[T]]
"""One caller's change: reads and writes state, emits events, returns its result, or raises `Problem`."""
GroupChange = Callable[["Transaction", Sequence[Item]], Awaitable[Sequence[T | Problem]]]
"""A change of many callers at once, for the hot paths: one statement for all items. It answers each
item with its result or its `Problem`."""
AtOnce = Callable[
    [Connection, UUID, Sequence[Item]],
    Awaitable["tuple[Sequence[T | Problem], Sequence[Committed]]"],
]
"""The same for items that one statement can store, numbers and all, which is its own transaction then."""


class Committed(NamedTuple):
    """What a commit left of one project, as it is published."""

    project_id: UUID
    chain: Chain


async def store(
    connection: Connection, given: Sequence[tuple[UUID, Segment]]
) -> tuple[list[Segment | None], list[Committed]]:
    """Numbers and stores segments, each given with its project, in one statement: the last one of its
    transaction. Answers them numbered, in the order given (None where the run or project is gone), and
    what is to be published."""
    rows = await connection.fetch(stored.TAKE_NUMBERS, *stored.arguments(given))
    return numbered(given, rows)


def numbered(
    given: Sequence[tuple[UUID, Segment]], rows: Iterable[Sequence[Any]]
) -> tuple[list[Segment | None], list[Committed]]:
    """The same, of the rows that the statement answered."""
    placed: list[Segment | None] = [None] * len(given)
    epochs: dict[UUID, int] = {}
    for row in rows:
        place, epoch, first, first_line = row
        project_id, segment = given[place - 1]
        placed[place - 1] = segment._replace(first=first, first_line=first_line or 0)
        epochs[project_id] = epoch
    of_projects: dict[UUID, list[Segment]] = {}
    for (project_id, _), one in zip(given, placed, strict=True):
        if one is not None:
            of_projects.setdefault(project_id, []).append(one)
    return placed, [
        Committed(project_id, chains.of(epochs[project_id], its))
        for project_id, its in of_projects.items()
    ]


class FollowUp(NamedTuple):
    """A change that is made after the one that asked for it was committed."""

    project_id: UUID
    change: Change[None]


class Mark(NamedTuple):
    """How far a transaction had come."""

    events: Mapping[UUID, int]
    follow_ups: int


class Transaction:
    """A change in the making: SQL through `connection`, events through `emit`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.committed: Sequence[Committed] = ()
        """What was numbered; known once `number` ran."""
        self.causes: Sequence[Cause] = spans.here()
        """Whose traces go on with what it publishes."""
        self.follow_ups: list[FollowUp] = []
        self.following: Sequence[asyncio.Task[None]] = ()
        """The follow-ups, under way; known once it was committed."""
        self._emitted: dict[UUID, list[Event | Lines]] = {}

    def follow(self, project_id: UUID, change: Change[None]) -> None:
        """Has `change` made in a commit of its own, right after this one: for what needs a lock that comes
        before those held here. A process that is killed in between doesn't make it, so a loop must find what
        was missed."""
        self.follow_ups.append(FollowUp(project_id, change))

    def emit(self, project_id: UUID, *events: Event | Lines) -> None:
        """Adds events, in this order, to those that the transaction will number and store. Lines whose
        numbers were not taken in this transaction get the run's next ones."""
        self._emitted.setdefault(project_id, []).extend(events)

    def emitted(self, project_id: UUID) -> int:
        """How many events of a project were emitted so far."""
        return sum(
            one.length if isinstance(one, Lines) else 1 for one in self._emitted.get(project_id, ())
        )

    def mark(self) -> Mark:
        """What `take_back` goes back to."""
        events = {project_id: len(events) for project_id, events in self._emitted.items()}
        return Mark(events, len(self.follow_ups))

    def take_back(self, mark: Mark) -> None:
        """Forgets what was emitted and asked for since."""
        for project_id, events in self._emitted.items():
            del events[mark.events.get(project_id, 0) :]
        del self.follow_ups[mark.follow_ups :]

    async def number(self) -> None:
        """Takes the numbers and stores the events: the last statement before the commit."""
        given = [
            (project_id, segment)
            for project_id, events in self._emitted.items()
            for segment in segments.of(events)
        ]
        if not given:
            return
        placed, self.committed = await store(self.connection, given)
        if None in placed:
            raise NotFound("the project was deleted")

    def base(self, project_id: UUID) -> int:
        """The number before the project's first event here; known once `number` ran."""
        return next(one.chain.first - 1 for one in self.committed if one.project_id == project_id)


class EventLog:
    """Commits changes with their events and hands the blocks to the publisher."""

    def __init__(self, pool: Pool, publisher: Publisher, tracer: Tracer | None = None) -> None:
        self.tracer = tracer
        self._pool = pool
        self._publisher = publisher
        self._lanes: dict[UUID, _Lane] = {}
        self._following: set[asyncio.Task[None]] = set()

    async def commit(self, project_id: UUID, change: Change[T]) -> T:
        """Runs `change` in a transaction of its project, perhaps shared, and returns its result.

        When this returns, state and events are durable, and what follows it was tried. Raises
        what the change raised, or `Unavailable` while Postgres is away, too slow or too many changes are
        waiting. A caller that is cancelled doesn't take its change back: it may still be committed.
        """
        return await self._submit(project_id, _Waiting(change=change))

    async def commit_with_head(self, project_id: UUID, change: Change[T]) -> tuple[T, int]:
        """Like `commit`; answers also the number up to which the state that the change read goes.

        The change must hold a lock on what it reads. Events of the same commit that came after its own
        are not in its result, so the number stands before them.
        """

        async def positioned(transaction: Transaction) -> tuple[T, Transaction, int, int | None]:
            result = await change(transaction)
            offset = transaction.emitted(project_id)
            head = None if offset else await transaction.connection.fetchval(_HEAD, project_id)
            return result, transaction, offset, head

        result, transaction, offset, head = await self.commit(project_id, positioned)
        return result, head if head is not None else transaction.base(project_id) + offset

    async def commit_many(
        self,
        project_id: UUID,
        change: GroupChange[Item, T],
        item: Item,
        at_once: AtOnce[Item, T] | None = None,
    ) -> T:
        """Like `commit`, for a change that takes all waiting items of its kind at once. Where nothing else
        waits beside them, `at_once` is asked first."""
        return await self._submit(project_id, _Waiting(group=change, item=item, at_once=at_once))

    async def _submit(self, project_id: UUID, waiting: _Waiting[T]) -> T:
        lane = self._lanes.get(project_id)
        if lane is None:
            lane = self._lanes[project_id] = _Lane(self, project_id)
        if len(lane.waiting) >= MAX_WAITING:
            raise Unavailable("too many changes of this project are waiting")
        lane.waiting.append(waiting)
        if lane.task is None:
            lane.task = asyncio.create_task(self._drain(project_id, lane))
        result = await asyncio.shield(waiting.result)
        if waiting.following:
            await asyncio.wait(waiting.following)
        return result

    async def _drain(self, project_id: UUID, lane: _Lane) -> None:
        try:
            while lane.waiting:
                batch = [lane.waiting.popleft() for _ in range(min(MAX_BATCH, len(lane.waiting)))]
                lane.commit = asyncio.get_running_loop().create_future()
                try:
                    await lane.settle(batch)
                finally:
                    lane.commit.set_result(None)
                    # Whatever ended it, no caller waits for ever; those that were answered stay answered.
                    for waiting in batch:
                        if not waiting.result.done():
                            waiting.fail(Unavailable("the change was cut off; try again"))
        finally:
            for waiting in lane.waiting:
                waiting.fail(Unavailable("the server is stopping"))
            del self._lanes[project_id]

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction over any number of projects, numbered, committed and published at its end.

        For the ingester, whose batches are transactions already. Raises `asyncpg` errors as they are.
        """
        async with self.connected() as connection, connection.transaction():
            transaction = Transaction(connection)
            yield transaction
            await transaction.number()
        self.publish(transaction.committed, transaction.causes)
        transaction.following = [self._begin(one) for one in transaction.follow_ups]

    def _begin(self, one: FollowUp) -> asyncio.Task[None]:
        task = asyncio.create_task(self._make(one))
        self._following.add(task)
        task.add_done_callback(self._following.discard)
        return task

    async def _make(self, one: FollowUp) -> None:
        try:
            await self.commit(one.project_id, one.change)
        except Exception as error:
            # What it follows is committed and stays; the loop that finds what was missed tries again.
            project = str(one.project_id)
            log.warning("follow_up.failed", project=project, error=outages.named(error))

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """A connection for a statement that takes the numbers itself; then `publish` what it left."""
        async with acquire(self._pool) as connection:
            began = time.perf_counter()
            yield connection
            metrics.COMMITS.inc()
            metrics.COMMIT_SECONDS.observe(time.perf_counter() - began)

    async def let_pass(self) -> None:
        """Lets the commits that are under way here for single callers go first, for a moment at most.

        For bulk writers, before each batch: one that sends a batch while the one before commits leaves the
        counter's lock to no one, and who waits for one line would wait for many batches.
        """
        commits = [lane.commit for lane in self._lanes.values() if lane.commit is not None]
        if commits:
            await asyncio.wait(commits, timeout=PASS_SECONDS)

    def publish(self, committed: Iterable[Committed], causes: Sequence[Cause] = ()) -> None:
        """Hands over what was committed, also by a statement of the caller's own, and of which spans it
        comes."""
        for project_id, chain in committed:
            metrics.COMMITTED_EVENTS.inc(chain.last - chain.first + 1)
            self._publisher.add(project_id, chains.caused(chain, causes))

    def listen(self, listener: Listener) -> None:
        """Lets `listener` hear of each chain that is committed here, not always in order."""
        self._publisher.nearby.append(listener)

    async def make_room(self) -> None:
        """Makes the partitions of the coming weeks; a clock that jumped may need them at once."""
        async with acquire(self._pool) as connection:
            await connection.execute("SELECT make_partitions('segments', 40)")

    async def close(self) -> None:
        """Lets commits in flight end."""
        lanes = [lane.task for lane in self._lanes.values() if lane.task is not None]
        tasks = [*lanes, *self._following]
        if tasks:
            await asyncio.wait(tasks, timeout=5.0)


@dataclass(eq=False)
class _Waiting(Generic[T]):
    """A change and its caller's future. Either `change`, or `group` with `item`."""

    change: Change[T] | None = None
    group: GroupChange[Any, T] | None = None
    item: Any = None
    at_once: AtOnce[Any, T] | None = None
    cause: Cause | None = field(default_factory=spans.current.get)
    result: asyncio.Future[T] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    following: Sequence[asyncio.Task[None]] = ()
    """Its follow-ups, which its caller waits for. (Those of a `group` are made too, and not waited for.)"""

    def settle(self, result: T | Problem) -> None:
        if isinstance(result, Problem):
            self.fail(result)
        elif not self.result.done():
            self.result.set_result(result)

    def fail(self, error: BaseException) -> None:
        if not self.result.done():
            self.result.set_exception(error)


@dataclass(eq=False)
class _Lane:
    """The changes of one project that wait in this process, and the task that commits them."""

    log: EventLog
    project_id: UUID
    waiting: deque[_Waiting[Any]] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None
    commit: asyncio.Future[None] | None = None
    """Done when the batch that is being committed is."""

    async def settle(self, batch: list[_Waiting[Any]]) -> None:
        """Commits a batch; one that fails as a whole is redone by halves.

        This is the outermost place of a lane: whatever a change raised reaches its caller from here,
        and the lane lives on.
        """
        try:
            await self._attempt(batch)
        except Unavailable as problem:
            for waiting in batch:
                waiting.fail(problem)
        except Exception as error:
            if len(batch) == 1:
                batch[0].fail(error)
                return
            middle = len(batch) // 2
            await self.settle(batch[:middle])
            await self.settle(batch[middle:])

    async def _attempt(self, batch: list[_Waiting[Any]]) -> None:
        for attempt in range(ATTEMPTS):
            try:
                return await self._commit(batch)
            except asyncpg.CheckViolationError as error:
                if attempt + 1 == ATTEMPTS or "no partition" not in str(error):
                    raise
                await self.log.make_room()
            except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
                if attempt + 1 == ATTEMPTS:
                    raise Unavailable(
                        "gave up after repeated conflicts with concurrent changes; try again"
                    ) from None
                await asyncio.sleep(0.005 * 2**attempt)
            except asyncpg.LockNotAvailableError as error:
                raise Unavailable(
                    "timed out waiting for another change to this project; try again"
                ) from error
            except outages.POSTGRES as error:
                if not outages.is_outage(error):
                    raise
                raise Unavailable("the database can't be reached") from error

    async def _commit(self, batch: list[_Waiting[Any]]) -> None:
        causes = [waiting.cause for waiting in batch if waiting.cause is not None]
        about: About = {"runcast.project": str(self.project_id), "runcast.changes": len(batch)}
        with spans.during(self.log.tracer, "commit", "internal", causes, about) as going_on:
            if not await self._commit_at_once(batch, going_on):
                await self._commit_in_steps(batch, going_on)

    async def _commit_at_once(self, batch: list[_Waiting[Any]], causes: Sequence[Cause]) -> bool:
        at_once = batch[0].at_once
        if at_once is None or any(waiting.at_once is not at_once for waiting in batch):
            return False
        async with self.log.connected() as connection:
            results, committed = await at_once(
                connection, self.project_id, [waiting.item for waiting in batch]
            )
        self.log.publish(committed, causes)
        for waiting, result in zip(batch, results, strict=True):
            waiting.settle(result)
        return True

    async def _commit_in_steps(self, batch: list[_Waiting[Any]], causes: Sequence[Cause]) -> None:
        results: list[tuple[_Waiting[Any], Any]] = []
        asked: list[tuple[_Waiting[Any], slice]] = []
        async with self.log.transaction() as transaction:
            transaction.causes = causes
            for group, members in _grouped(batch).items():
                items = [waiting.item for waiting in members]
                results += zip(members, await group(transaction, items), strict=True)
            for waiting in batch:
                if waiting.change is not None:
                    before = len(transaction.follow_ups)
                    result = await _apply(transaction, waiting.change, is_alone=len(batch) == 1)
                    results.append((waiting, result))
                    asked.append((waiting, slice(before, len(transaction.follow_ups))))
        for waiting, its in asked:
            waiting.following = transaction.following[its]
        for waiting, result in results:
            waiting.settle(result)


async def _apply(transaction: Transaction, change: Change[T], *, is_alone: bool) -> T | Problem:
    """The change's result, or its refusal: among others, its writes and events are taken back."""
    if is_alone:
        return await change(transaction)
    before = transaction.mark()
    try:
        async with transaction.connection.transaction():
            return await change(transaction)
    except Problem as problem:
        transaction.take_back(before)
        return problem


def _grouped(batch: list[_Waiting[Any]]) -> dict[GroupChange[Any, Any], list[_Waiting[Any]]]:
    groups: dict[GroupChange[Any, Any], list[_Waiting[Any]]] = {}
    for waiting in batch:
        if waiting.group is not None:
            groups.setdefault(waiting.group, []).append(waiting)
    return groups
