"""The one choke point through which every visible change of a project passes.

State and events are written in one transaction whose last statement takes the numbers and inserts
the events: the lock of the project's counter row makes number order equal commit order, and is held
for that statement and the commit alone, never while the server waits for a client's data. After the
commit the events are handed to the publisher as a block whose bytes are final.

Writers in this process share commits ("natural batching"): while one commit of a project is in
flight, further changes of that project gather, and go together in the next. A lone change commits at
once; a thousand concurrent ones share a few commits. A change that refuses (`Problem`) spoils nobody
else's: among others it runs in a savepoint of its own.

Locks are taken in one order everywhere: ingest cursor, log sources, runs and tasks by id, counters by
id. A deadlock that comes all the same is retried.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from uuid import UUID

import asyncpg

from runcast_server import outages
from runcast_server.db import Connection, Pool, acquire
from runcast_server.errors import NotFound, Problem, Unavailable
from runcast_server.eventlog import frames
from runcast_server.eventlog.frames import Block, Event
from runcast_server.eventlog.publisher import Listener, Publisher

MAX_BATCH = 256
"""Changes that share one commit at most."""
MAX_WAITING = 10_000
"""Changes that may wait for one project's commits; more are refused with 503."""
ATTEMPTS = 4
PASS_SECONDS = 0.05
"""How long bulk writers let single callers go first."""

_TAKE_NUMBERS = """
WITH taken AS (
    UPDATE project_counters
    SET last_seq = last_seq + $2, last_at = greatest(clock_timestamp(), last_at)
    WHERE project_id = $1
    RETURNING epoch, last_seq - $2 AS base, last_at
), inserted AS (
    INSERT INTO events (project_id, seq, at, type, run_id, line_number, data)
    SELECT $1, taken.base + e.position, taken.last_at, e.type, e.run_id, e.line_number, e.data::json
    FROM taken, unnest($3::text[], $4::uuid[], $5::bigint[], $6::text[])
        WITH ORDINALITY AS e (type, run_id, line_number, data, position)
)
SELECT $1 AS project_id, epoch, base FROM taken
"""

_TAKE_NUMBERS_OF_LINES = """
WITH taken AS (
    UPDATE project_counters
    SET last_seq = last_seq + $2, last_at = greatest(clock_timestamp(), last_at)
    WHERE project_id = $1
    RETURNING epoch, last_seq - $2 AS base, last_at
), inserted AS (
    INSERT INTO events (project_id, seq, at, type, run_id, line_number, data)
    SELECT $1, taken.base + e.position, taken.last_at, 'agent:log', $3, $4 + e.position, e.data::json
    FROM taken, unnest($5::text[]) WITH ORDINALITY AS e (data, position)
)
SELECT $1 AS project_id, epoch, base FROM taken
"""

_TAKE_NUMBERS_OF_MANY = """
WITH wanted AS (
    SELECT * FROM unnest($1::uuid[], $2::bigint[]) AS w (project_id, number)
), locked AS (
    SELECT c.project_id, w.number FROM project_counters c JOIN wanted w USING (project_id)
    ORDER BY c.project_id FOR UPDATE OF c
), taken AS (
    UPDATE project_counters c
    SET last_seq = c.last_seq + l.number, last_at = greatest(clock_timestamp(), c.last_at)
    FROM locked l WHERE c.project_id = l.project_id
    RETURNING c.project_id, c.epoch, c.last_seq - l.number AS base, c.last_at
), inserted AS (
    INSERT INTO events (project_id, seq, at, type, run_id, line_number, data)
    SELECT t.project_id, t.base + e.position, t.last_at, e.type, e.run_id, e.line_number, e.data::json
    FROM unnest($3::uuid[], $4::bigint[], $5::text[], $6::uuid[], $7::bigint[], $8::text[])
        AS e (project_id, position, type, run_id, line_number, data)
    JOIN taken t USING (project_id)
)
SELECT project_id, epoch, base FROM taken
"""

_HEAD = "SELECT last_seq FROM project_counters WHERE project_id = $1"

T = TypeVar("T")
Item = TypeVar("Item")
Change = Callable[["Transaction"], Awaitable[T]]
"""One caller's change: reads and writes state, emits events, returns its result, or raises `Problem`."""
GroupChange = Callable[["Transaction", Sequence[Item]], Awaitable[Sequence[T | Problem]]]
"""A change of many callers at once, for the hot paths: one statement for all items. It answers each
item with its result or its `Problem`."""
AtOnce = Callable[
    [Connection, UUID, Sequence[Item]], Awaitable["tuple[Sequence[T | Problem], Block] | None"]
]
"""The same for items that one statement can store, numbers and all, which is its own transaction then:
answers the results and the block, or None, having done nothing, where it takes more than that."""


class Transaction:
    """A change in the making: SQL through `connection`, events through `emit`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.events: dict[UUID, list[Event]] = {}
        self.bases: dict[UUID, int] = {}
        """The number before each project's first event here; known once `number` ran."""
        self._epochs: dict[UUID, int] = {}

    def emit(self, project_id: UUID, *events: Event) -> None:
        """Adds events, in this order, to those that the transaction will number and store."""
        self.events.setdefault(project_id, []).extend(events)

    async def number(self) -> None:
        """Takes the numbers and inserts the events: the last statement before the commit."""
        emitted = {project_id: events for project_id, events in self.events.items() if events}
        if len(emitted) == 1:
            [(project_id, events)] = emitted.items()
            rows = await self._number_one(project_id, events)
        elif emitted:
            rows = await self.connection.fetch(_TAKE_NUMBERS_OF_MANY, *_columns_of_many(emitted))
        else:
            rows = []
        if len(rows) != len(emitted):
            raise NotFound("the project was deleted")
        self.bases = {row["project_id"]: row["base"] for row in rows}
        self._epochs = {row["project_id"]: row["epoch"] for row in rows}

    async def _number_one(self, project_id: UUID, events: Sequence[Event]) -> Sequence[Any]:
        columns: tuple[Any, ...]
        if _are_lines_of_one_run(events):
            first, datas = events[0], _texts(events)
            assert first.line_number is not None
            statement, columns = (
                _TAKE_NUMBERS_OF_LINES,
                (first.run_id, first.line_number - 1, datas),
            )
        else:
            statement, columns = _TAKE_NUMBERS, _columns(events)
        rows: Sequence[Any] = await self.connection.fetch(
            statement, project_id, len(events), *columns
        )
        return rows

    def blocks(self) -> list[tuple[UUID, Block]]:
        """What was numbered, as it is published."""
        blocks: list[tuple[UUID, Block]] = []
        for project_id, base in self.bases.items():
            events = self.events[project_id]
            build = frames.build_lines if _are_lines_of_one_run(events) else frames.build
            blocks.append((project_id, build(self._epochs[project_id], base + 1, events)))
        return blocks


def _are_lines_of_one_run(events: Sequence[Event]) -> bool:
    """Whether these are log lines of one run and nothing else, which is the most frequent batch by far:
    one array goes to Postgres then, not four. A run's lines are consecutive within a transaction, so
    anything else among them would leave the numbers of the first and the last too close together."""
    first, last = events[0], events[-1]
    if first.line_number is None or last.line_number is None or first.run_id != last.run_id:
        return False
    return first.run_id is not None and last.line_number - first.line_number == len(events) - 1


def _texts(events: Sequence[Event]) -> list[str]:
    """The events' data as text, in one conversion: data is one line each."""
    return b"\n".join([event.data for event in events]).decode().split("\n")


def _columns(events: Sequence[Event]) -> tuple[list[Any], ...]:
    return (
        [e.type for e in events],
        [e.run_id for e in events],
        [e.line_number for e in events],
        _texts(events),
    )


def _columns_of_many(emitted: dict[UUID, list[Event]]) -> tuple[list[Any], ...]:
    projects: list[UUID] = []
    positions: list[int] = []
    flat: list[Event] = []
    for project_id, events in emitted.items():
        projects += [project_id] * len(events)
        positions += range(1, len(events) + 1)
        flat += events
    numbers = [len(events) for events in emitted.values()]
    return (list(emitted), numbers, projects, positions, *_columns(flat))


class EventLog:
    """Commits changes with their events and hands the blocks to the publisher."""

    def __init__(self, pool: Pool, publisher: Publisher) -> None:
        self._pool = pool
        self._publisher = publisher
        self._lanes: dict[UUID, _Lane] = {}

    async def commit(self, project_id: UUID, change: Change[T]) -> T:
        """Runs `change` in a transaction of its project, perhaps shared, and returns its result.

        When this returns, state and events are durable. Raises what the change raised, or
        `Unavailable` while Postgres is away, too slow or too many changes are waiting. A caller that
        is cancelled doesn't take its change back: it may still be committed.
        """
        return await self._submit(project_id, _Waiting(change=change))

    async def commit_with_head(self, project_id: UUID, change: Change[T]) -> tuple[T, int]:
        """Like `commit`; answers also the number up to which the state that the change read goes.

        The change must hold a lock on what it reads. Events of the same commit that came after its own
        are not in its result, so the number stands before them.
        """

        async def positioned(transaction: Transaction) -> tuple[T, Transaction, int, int | None]:
            result = await change(transaction)
            offset = len(transaction.events.get(project_id, ()))
            head = None if offset else await transaction.connection.fetchval(_HEAD, project_id)
            return result, transaction, offset, head

        result, transaction, offset, head = await self.commit(project_id, positioned)
        return result, head if head is not None else transaction.bases[project_id] + offset

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
        return await asyncio.shield(waiting.result)

    async def _drain(self, project_id: UUID, lane: _Lane) -> None:
        try:
            while lane.waiting:
                batch = [lane.waiting.popleft() for _ in range(min(MAX_BATCH, len(lane.waiting)))]
                lane.commit = asyncio.get_running_loop().create_future()
                try:
                    await lane.settle(batch)
                finally:
                    lane.commit.set_result(None)
        finally:
            for waiting in lane.waiting:
                waiting.fail(Unavailable("the server is stopping"))
            del self._lanes[project_id]

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction over any number of projects, numbered, committed and published at its end.

        For the ingester, whose batches are transactions already. Raises `asyncpg` errors as they are.
        """
        async with acquire(self._pool) as connection, connection.transaction():
            transaction = Transaction(connection)
            yield transaction
            await transaction.number()
        for project_id, block in transaction.blocks():
            self._publisher.add(project_id, block)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """A connection for a statement that takes the numbers itself; then `publish` its block."""
        async with acquire(self._pool) as connection:
            yield connection

    async def let_pass(self) -> None:
        """Lets the commits that are under way here for single callers go first, for a moment at most.

        For bulk writers, before each batch: one that sends a batch while the one before commits leaves the
        counter's lock to nobody, and who waits for one line would wait for many batches.
        """
        commits = [lane.commit for lane in self._lanes.values() if lane.commit is not None]
        if commits:
            await asyncio.wait(commits, timeout=PASS_SECONDS)

    def publish(self, project_id: UUID, block: Block) -> None:
        """Hands over what was committed by a statement of the caller's own."""
        self._publisher.add(project_id, block)

    def listen(self, listener: Listener) -> None:
        """Lets `listener` hear of each block that is committed here, not always in order."""
        self._publisher.nearby.append(listener)

    async def make_room(self) -> None:
        """Makes the partitions of the coming days; a clock that jumped may need them at once."""
        async with acquire(self._pool) as connection:
            await connection.execute("SELECT make_partitions('events', 7)")

    async def close(self) -> None:
        """Lets commits in flight end."""
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=5.0)


@dataclass(eq=False)
class _Waiting(Generic[T]):
    """A change and its caller's future. Either `change`, or `group` with `item`."""

    change: Change[T] | None = None
    group: GroupChange[Any, T] | None = None
    item: Any = None
    at_once: AtOnce[Any, T] | None = None
    result: asyncio.Future[T] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

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
                    raise Unavailable("the change met others again and again") from None
                await asyncio.sleep(0.005 * 2**attempt)
            except asyncpg.LockNotAvailableError as error:
                raise Unavailable("another change holds this project for too long") from error
            except outages.POSTGRES as error:
                if not outages.is_outage(error):
                    raise
                raise Unavailable("the database can't be reached") from error

    async def _commit(self, batch: list[_Waiting[Any]]) -> None:
        if not await self._commit_at_once(batch):
            await self._commit_in_steps(batch)

    async def _commit_at_once(self, batch: list[_Waiting[Any]]) -> bool:
        at_once = batch[0].at_once
        if at_once is None or any(waiting.at_once is not at_once for waiting in batch):
            return False
        async with self.log.connected() as connection:
            done = await at_once(connection, self.project_id, [waiting.item for waiting in batch])
        if done is None:
            return False
        results, block = done
        self.log.publish(self.project_id, block)
        for waiting, result in zip(batch, results, strict=True):
            waiting.settle(result)
        return True

    async def _commit_in_steps(self, batch: list[_Waiting[Any]]) -> None:
        results: list[tuple[_Waiting[Any], Any]] = []
        async with self.log.transaction() as transaction:
            for group, members in _grouped(batch).items():
                items = [waiting.item for waiting in members]
                results += zip(members, await group(transaction, items), strict=True)
            for waiting in batch:
                if waiting.change is not None:
                    result = await _apply(transaction, waiting.change, is_alone=len(batch) == 1)
                    results.append((waiting, result))
        for waiting, result in results:
            waiting.settle(result)


async def _apply(transaction: Transaction, change: Change[T], *, is_alone: bool) -> T | Problem:
    """The change's result, or its refusal: among others, its writes and events are taken back."""
    if is_alone:
        return await change(transaction)
    before = {project_id: len(events) for project_id, events in transaction.events.items()}
    try:
        async with transaction.connection.transaction():
            return await change(transaction)
    except Problem as problem:
        for project_id, events in transaction.events.items():
            del events[before.get(project_id, 0) :]
        return problem


def _grouped(batch: list[_Waiting[Any]]) -> dict[GroupChange[Any, Any], list[_Waiting[Any]]]:
    groups: dict[GroupChange[Any, Any], list[_Waiting[Any]]] = {}
    for waiting in batch:
        if waiting.group is not None:
            groups.setdefault(waiting.group, []).append(waiting)
    return groups
