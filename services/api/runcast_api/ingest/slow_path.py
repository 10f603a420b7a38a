"""A batch of messages, applied in stream order within one transaction.

What the messages need is gathered for the whole batch first (whose runs, which are new, which ids were
seen before), then everything is locked, then they go one after another. A message that turns out to be
unacceptable is refused with its reason and changes nothing; the others don't notice. Handlers raise
before they write, so a refusal needs no savepoint.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from pydantic import SecretStr

from runcast_api.ingest import batch_items, over_quota
from runcast_api.ingest.auto_create import create_run
from runcast_api.ingest.batch_items import Item
from runcast_api.ingest.batch_state import Run, Scope
from runcast_api.ingest.messages import LINES, Message, Refused
from runcast_api.ingest.run_lookup import Address, Directory
from runcast_api.logs import sources
from runcast_api.logs.sources import SourceKey
from runcast_api.storage.quotas import Admission, Open
from runcast_server.eventlog.log import Transaction

Handler = Callable[[Scope, Run, Message], Awaitable[None]]
"""Applies one message to its run. Raises `Refused` or a `Problem` before it writes."""
RunlessHandler = Callable[[Scope, Message], Awaitable[None]]
"""The same for a message that is about no run."""

KNOWN_RUNS = 10_000

_SEE = """
INSERT INTO idempotency_keys (principal, route, key, body_hash)
SELECT 'ingest', project, id, '' FROM unnest($1::text[], $2::text[]) AS new (project, id)
ON CONFLICT (principal, route, key) DO UPDATE SET created_at = excluded.created_at
    WHERE idempotency_keys.created_at < now() - interval '24 hours'
RETURNING route, key
"""


@dataclass(frozen=True)
class Handlers:
    """Who applies which type. `custom` takes every `x:<name>`; types of `runless` need no run."""

    of_run: Mapping[str, Handler]
    custom: Handler
    runless: Mapping[str, RunlessHandler] = field(default_factory=dict)
    admission: Admission = field(default_factory=Open)

    async def handle(self, scope: Scope, run: Run | None, message: Message) -> None:
        """Raises `Refused` for a type that no one knows."""
        if run is not None:
            handler = self.custom if message.type.startswith("x:") else None
            handler = handler or self.of_run.get(message.type)
            if handler is not None:
                return await handler(scope, run, message)
        elif message.type in self.runless:
            return await self.runless[message.type](scope, message)
        raise Refused(f"the type {message.type!r} is not known")


_ADDS_LINES = frozenset({LINES, "agent:log"})


class Known:
    """Runs that were met lately, by id, and projects, by the names that messages give them. A run never
    moves to another project; one that is gone is found out when it's locked."""

    def __init__(self) -> None:
        self._addresses: dict[UUID, Address] = {}
        self._projects: dict[str, UUID] = {}

    def project_of(self, message: Message) -> UUID | None:
        """The message's project, where it's known; only who takes turns with whom depends on it."""
        if message.project is not None:
            return self._projects.get(message.project)
        address = self.find(message)
        return address.project_id if address else None

    def find(self, message: Message) -> Address | None:
        if message.run_id is None or message.project is not None:
            return None
        return self._addresses.get(message.run_id)

    def address(self, batch: Sequence[Item]) -> None:
        for item in batch:
            if item.is_open and item.message is not None and item.address is None:
                item.address = self.find(item.message)

    def note(self, batch: Sequence[Item]) -> None:
        if len(self._addresses) > KNOWN_RUNS:
            self._addresses.clear()
        if len(self._projects) > KNOWN_RUNS:
            self._projects.clear()
        for item in batch:
            if item.address is not None:
                self._addresses[item.address.run_id] = item.address
                if item.message is not None and item.message.project is not None:
                    self._projects[item.message.project] = item.address.project_id


async def apply(
    transaction: Transaction,
    batch: Sequence[Item],
    handlers: Handlers,
    secret: SecretStr | None = None,
    *,
    known: Known | None = None,
    is_careful: bool = False,
) -> Scope:
    """Applies the items that are open, and notes why others are refused.

    `known` spares looking up runs that were met lately.
    `is_careful`: an item whose content Postgres doesn't take is refused too, instead of failing all.
    """
    scope = Scope(transaction, is_careful=is_careful)
    if known is not None and secret is None:
        known.address(batch)
    await _address(scope, batch, secret)
    if known is not None:
        known.note(batch)
    for item in batch:
        batch_items.open_feed(item)
    over_quota.leave_out(batch, handlers.admission)
    await _see_ids(scope, batch)
    await scope.lock(_runs(batch), dict.fromkeys(_sources(batch)))
    for item in batch:
        await _apply(scope, item, handlers)
    await scope.save()
    return scope


async def _address(scope: Scope, batch: Sequence[Item], secret: SecretStr | None) -> None:
    """Finds each message's run, or makes it, for those who may say so."""
    unaddressed = [item for item in batch if item.is_open and item.address is None]
    if not unaddressed:
        return
    directory = Directory()
    await directory.look_up(
        scope.connection, [item.message for item in unaddressed if item.message]
    )
    for item in unaddressed:
        with item as message:
            item.address = directory.find(message)
            if item.address is not None:
                directory.check(message, item.address.project_id, secret)
            elif message.needs_run:
                project_id = directory.project(message)
                directory.check(message, project_id, secret)
                async with scope.guarded():
                    item.address = await create_run(
                        scope.transaction, message, project_id, has_directory=item.is_tailers
                    )
                directory.add(item.address, message)
            else:
                directory.check(message, None, secret)


async def _see_ids(scope: Scope, batch: Sequence[Item]) -> None:
    """Marks what came before under the same id, in the last 24 hours or in this batch."""
    named: dict[tuple[str, str], Item] = {}
    for item in batch:
        if item.is_open and item.message and item.message.id is not None:
            route = str(item.address.project_id) if item.address else ""
            if named.setdefault((route, item.message.id), item) is not item:
                item.is_done = True
    if named:
        routes, ids = zip(*sorted(named), strict=True)
        rows = await scope.connection.fetch(_SEE, routes, ids)
        new = {(row["route"], row["key"]) for row in rows}
        for name, item in named.items():
            item.is_done = name not in new


def _runs(batch: Sequence[Item]) -> dict[UUID, UUID]:
    addresses = [item.address for item in batch if item.is_open]
    return {address.run_id: address.project_id for address in addresses if address is not None}


def _sources(batch: Sequence[Item]) -> Iterator[SourceKey]:
    for item in batch:
        if item.is_open and item.address and item.message and item.message.lines:
            yield SourceKey(item.address.run_id, item.message.lines.source)
            yield from _sources(item.inner)


async def _apply(scope: Scope, item: Item, handlers: Handlers) -> None:
    if not item.is_open:
        return
    with item as message:
        run = scope.runs.get(item.address.run_id) if item.address else None
        if run is None and message.needs_run:
            raise Refused(f"no run '{item.address and item.address.run_id}'")
        if run is not None and item.is_tailers and message.type not in _ADDS_LINES:
            _require_directory(run)
        async with scope.guarded(run):
            if run is not None and message.type == LINES:
                await _take_lines(scope, run, item, handlers)
            else:
                await handlers.handle(scope, run, message)


def _require_directory(run: Run) -> None:
    """Raises `Refused` where a directory would change a run that was made elsewhere."""
    if not run.directory_speaks:
        raise Refused("the run wasn't made by this directory, which may only add lines to it")


async def _take_lines(scope: Scope, run: Run, item: Item, handlers: Handlers) -> None:
    """Compares lines with their source's cursor; the new ones of a log are stored, of a feed applied."""
    assert item.message is not None
    assert item.message.lines is not None
    batch = item.message.lines.batch()
    source = scope.sources[SourceKey(run.id, item.message.lines.source)]
    accepted = sources.accept(source, batch)
    if accepted is None:
        return
    before, after = sources.change_events(source, accepted)
    scope.emit(run, *before)
    if item.inner:
        new = item.inner[accepted.start :]
        await _see_ids(scope, new)
        for inner in new:
            await _apply(scope, inner, handlers)
    elif not batch_items.is_feed(source.key.source):
        number = len(batch.texts) - accepted.start
        if number:
            first = run.take_line_numbers(number) + 1
            scope.emit(run, sources.lines_of(source.key, batch, accepted.start, first))
    scope.emit(run, *after)
