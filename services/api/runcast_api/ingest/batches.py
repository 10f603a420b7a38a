"""A batch of stream entries into Postgres: one transaction, cursor first, numbers last.

A batch that fails for what is in it is redone with a savepoint for each message, and those that fail are
kept as rejects: however many they are, the others wait for one more transaction. Where that fails too, the
batch is redone by halves until the message that can't be applied stands alone. What fails because the storage
is away (`guard`) changes nothing and is tried again by the caller.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from pydantic import SecretStr

from runcast_api.ingest import batch_items, guard, line_batch, rejects
from runcast_api.ingest.batch_items import Item
from runcast_api.ingest.cursors import Order
from runcast_api.ingest.line_batch import CursorMove, LineBatch
from runcast_api.ingest.messages import Message
from runcast_api.ingest.slow_path import Handlers, Known, apply
from runcast_api.ingest.stream import Entry, Position, as_numbers
from runcast_server.errors import NotFound
from runcast_server.eventlog.log import Committed, EventLog, Transaction
from runcast_server.tracing import spans
from runcast_server.tracing.spans import About

MAX_EVENTS = 1_000

_SWAP = """
UPDATE ingest_cursor SET last_id = $4, updated_at = clock_timestamp()
WHERE stream = $1 AND stream_epoch = $2 AND last_id = $3
"""
_TABLES = """
SELECT string_agg(quote_ident(relname), ', ') FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
  AND relname IN ('runs', 'log_sources', 'project_counters', 'artifacts', 'segments')
"""


class Fenced(Exception):
    """Another process has moved the ingest cursor: this one leads no longer, and nothing was changed."""


@dataclass(eq=False, slots=True)
class Read:
    """An entry of the stream and the message in it. Without an `order`, entries are taken as they come."""

    id: str
    item: Item
    order: Order | None = None
    place: int = 0

    @property
    def cursor(self) -> str:
        """The ingest cursor when this and all that's taken before it are done."""
        return self.id if self.order is None else self.order.cursor(self.place)


UnderWay = asyncio.Task[Sequence[Committed] | None]
"""A batch of lines that was sent to Postgres; None where it has to be applied message by message."""


def understand(entries: Sequence[Entry]) -> list[Read]:
    """Parses entries; what can't be parsed is already refused."""
    return [Read(entry.id, batch_items.read(entry.raw)) for entry in entries]


class Applier:
    """Commits batches of one stream and knows where its cursor then is."""

    def __init__(
        self, stream: str, eventlog: EventLog, handlers: Handlers, secret: SecretStr | None
    ) -> None:
        self.stream = stream
        self._eventlog = eventlog
        self._handlers = handlers
        self._secret = secret
        self._known = Known()

    async def let_pass(self) -> None:
        """Lets single callers' changes go before the next batch."""
        await self._eventlog.let_pass()

    def project_of(self, message: Message) -> Hashable:
        """The project of a message, as far as it is known without asking Postgres. All that are not known
        share one place: else names that no project has would each take a project's turn."""
        return self._known.project_of(message) or ""

    async def is_ready(self) -> bool:
        """Whether Postgres takes changes of all tables that messages touch: none is locked or read-only."""
        try:
            async with self._eventlog.connected() as connection, connection.transaction():
                tables = await connection.fetchval(_TABLES)
                await connection.execute(f"LOCK TABLE {tables} IN ROW EXCLUSIVE MODE NOWAIT")
        except Exception:
            return False
        return True

    async def begin(self, position: Position, batch: Sequence[Read]) -> UnderWay | None:
        """Makes a batch of nothing but lines ready and sends it off; None for other batches.

        The batch before may still be on its way to `position`: this one's statement waits for it, so that
        Postgres never waits for us. `commit` is to be called for each in order, and says what became of it.
        """
        if any(not read.item.is_open or not self._may_say(read.item) for read in batch):
            return None
        if self._handlers.admission.is_refusing:
            return None
        try:
            ready = await line_batch.prepare(
                (message, self._known.find(message) if message else None)
                for message in (read.item.message for read in batch)
            )
        except Exception:  # the long way finds out which message it is
            return None
        if ready is None:
            return None
        return asyncio.create_task(self._attempt(position, batch[-1].cursor, ready))

    def _may_say(self, item: Item) -> bool:
        """Whether a message carries the secret, or need not."""
        given = (item.message and item.message.auth) or ""
        return self._secret is None or secrets.compare_digest(
            given.encode(), self._secret.get_secret_value().encode()
        )

    async def _attempt(
        self, position: Position, last_id: str, ready: LineBatch
    ) -> Sequence[Committed] | None:
        cursor = CursorMove(self.stream, position.epoch, position.last_id, last_id)
        async with self._eventlog.connected() as connection:
            return await line_batch.take(connection, ready, cursor)

    def tell(self, under_way: UnderWay) -> None:
        """Publishes what was sent ahead and is committed, where `commit` isn't called for it any more."""
        self._eventlog.publish(under_way.result() or ())

    async def commit(
        self, position: Position, batch: Sequence[Read], under_way: UnderWay | None = None
    ) -> Position:
        """Applies a batch and moves the cursor past it. Raises `Fenced`, or a database error for which
        no message is to blame. `under_way` is what `begin` made of it."""
        with self._traced(batch):
            return await self._commit_some(position, batch, under_way)

    @contextlib.contextmanager
    def _traced(self, batch: Sequence[Read]) -> Iterator[None]:
        """A trace of a batch where traces are set: from when its oldest message came into the stream. What
        the present task commits meanwhile belongs to it."""
        tracer = self._eventlog.tracer
        span = None
        if tracer is not None:
            about: About = {"runcast.stream": self.stream, "runcast.messages": len(batch)}
            oldest_ms, _ = min(as_numbers(batch[0].id), as_numbers(batch[-1].id))
            span = tracer.begin("ingest", "consumer", None, about, since=oldest_ms / 1000)
        if span is None:
            yield
            return
        token = spans.current.set(span.cause)
        try:
            yield
        except BaseException as error:
            span.end(type(error).__name__)
            raise
        else:
            span.end()
        finally:
            spans.current.reset(token)

    async def _commit_some(
        self, position: Position, batch: Sequence[Read], under_way: UnderWay | None = None
    ) -> Position:
        under_way = under_way or await self.begin(position, batch)
        if under_way is not None and (committed := await under_way) is not None:
            self._eventlog.publish(committed, spans.here())
            return Position(position.epoch, batch[-1].cursor)
        return await self._commit_or_halve(position, batch)

    async def _commit_or_halve(self, position: Position, batch: Sequence[Read]) -> Position:
        try:
            return await self._commit_forgetful(position, batch)
        except Fenced:
            raise
        except Exception as error:
            if guard.is_missing_partition(error):
                await self._eventlog.make_room()
            elif guard.is_storage_away(error):
                raise
            elif len(batch) == 1:
                return await self._commit_alone(position, batch[0])
            elif (after := await self._commit_carefully(position, batch)) is not None:
                return after
        fresh = _fresh(batch)
        middle = (len(batch) + 1) // 2
        position = await self._commit_some(position, fresh[:middle])
        rest = fresh[middle:]
        return await self._commit_some(position, rest) if rest else position

    async def _commit_carefully(self, position: Position, batch: Sequence[Read]) -> Position | None:
        """Applies a batch that failed once more, each message in a savepoint of its own, so that what is
        wrong with any number of them costs the others one transaction. None where it's the batch that
        fails, and nothing was changed."""
        try:
            return await self._commit(position, _fresh(batch), is_careful=True)
        except Fenced:
            raise
        except Exception as error:
            if guard.is_storage_away(error):
                raise
            return None

    async def _commit_forgetful(self, position: Position, batch: Sequence[Read]) -> Position:
        """Applies a batch by what is known of its runs, and where one of their projects turns out to be
        deleted, once more by what Postgres knows: its messages are refused then, the others applied."""
        try:
            return await self._commit(position, batch)
        except NotFound:
            self._known = Known()
            return await self._commit(position, _fresh(batch))

    async def _commit(
        self, position: Position, batch: Sequence[Read], *, is_careful: bool = False
    ) -> Position:
        async with self._eventlog.transaction() as transaction:
            after = await self._swap(transaction, position, batch[-1].cursor)
            messages = [read.item for read in batch]
            scope = await apply(
                transaction,
                messages,
                self._handlers,
                self._secret,
                known=None if is_careful else self._known,
                is_careful=is_careful,
            )
            refused = [(read.id, item) for read in batch for item in read.item.refused()]
            await rejects.keep(transaction.connection, refused)
        scope.committed()
        return after

    async def _commit_alone(self, position: Position, read: Read) -> Position:
        """A message that failed, once more with care: a feed loses only the lines that fail."""
        try:
            return await self._commit(position, _fresh([read]), is_careful=True)
        except Fenced:
            raise
        except Exception as error:
            if guard.is_storage_away(error):
                raise
            return await self.reject(position, read, guard.reason(error))

    async def reject(self, position: Position, read: Read, reason: str) -> Position:
        """Keeps a message that can't be applied as a reject, and moves past it."""
        item = Item(read.item.raw, address=read.item.address, refusal=reason)
        async with self._eventlog.transaction() as transaction:
            after = await self._swap(transaction, position, read.cursor)
            await rejects.keep(transaction.connection, [(read.id, item)])
        return after

    async def _swap(self, transaction: Transaction, position: Position, last_id: str) -> Position:
        """Moves the cursor, or finds that this process leads no longer."""
        done = await transaction.connection.execute(
            _SWAP, self.stream, position.epoch, position.last_id, last_id
        )
        if done != "UPDATE 1":
            raise Fenced
        return Position(position.epoch, last_id)


def _fresh(batch: Sequence[Read]) -> list[Read]:
    return [
        Read(
            read.id,
            batch_items.read(read.item.raw, is_tailers=read.item.is_tailers),
            read.order,
            read.place,
        )
        for read in batch
    ]
