"""Entries of one request, stored part by part: what is stored stays stored, whatever comes later.

While one part commits, the next is read and encoded. With an idempotency key each part has a key of its
own; parts are cut by number and size alone, so a repeated body is cut at the same places, and what was
stored the first time is not stored again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

from runcast._support import times
from runcast_api.http import request_body
from runcast_api.http.idempotency import Once
from runcast_api.http.responses import Answer
from runcast_api.logs import entries as log_entries
from runcast_api.logs.entries import Append, Encoded
from runcast_server.errors import (
    Forbidden,
    NotFound,
    Problem,
    QuotaExceeded,
    TooLarge,
    Unauthenticated,
)
from runcast_server.eventlog.log import EventLog, Transaction

PART_ENTRIES = 1_000
PART_BYTES = 1024 * 1024
_NO_MORE = (QuotaExceeded, Unauthenticated, Forbidden, NotFound)
"""What says that nothing more is taken: not even what has come already."""
TURN_ENTRIES = 50
"""Entries that are read before other requests have a turn: some tenths of a millisecond. A body may hold tens
of thousands, which would keep the event loop from everyone else for as long as they take together."""


class Intake:
    """Stores entries of one run for one caller, in order."""

    def __init__(
        self,
        eventlog: EventLog,
        once: Once,
        project_id: UUID,
        run_id: UUID,
        admit: Callable[[], None],
    ) -> None:
        """`admit` raises `QuotaExceeded` where the project may add no lines (any more)."""
        self._eventlog = eventlog
        self._admit = admit
        self._once = once
        self._project_id = project_id
        self._run_id = run_id
        self._parts = 0
        self._commit: asyncio.Task[tuple[dict[str, Any], int]] | None = None
        self.head: int | None = None
        self.accepted = 0
        self.first_line: int | None = None
        self.last_line: int | None = None

    @property
    def is_once(self) -> bool:
        """Whether parts have keys: then only whole ones are stored, so that they are cut alike again."""
        return self._once.key is not None

    async def put(self, entries: Sequence[Encoded], sent: bytes) -> None:
        """Stores the next part, once the one before is stored.

        `sent` is the hash of what the caller sent for it. The entries themselves don't tell whether a
        body is the same again: they carry the time of their coming where the caller named none.
        """
        await self.settle()
        self._admit()
        self._parts += 1
        self._commit = asyncio.create_task(self._store(entries, self._parts, sent))

    async def settle(self) -> None:
        """Waits until all parts are stored. Raises what the last one raised."""
        if self._commit is None:
            return
        commit, self._commit = self._commit, None
        stored, self.head = await commit
        self.accepted += stored["accepted"]
        self.first_line = self.first_line or stored["first_line_number"]
        self.last_line = stored["last_line_number"]

    def taken(self) -> dict[str, Any]:
        """What was stored, as it is answered."""
        return {
            "accepted": self.accepted,
            "first_line_number": self.first_line,
            "last_line_number": self.last_line,
        }

    async def _store(
        self, entries: Sequence[Encoded], part: int, sent: bytes
    ) -> tuple[dict[str, Any], int]:
        append = Append(self._project_id, self._run_id, entries)
        if self._once.key is None:
            appended = await log_entries.append(self._eventlog, append)
            return _taken(appended), appended.last_id
        once = self._once.of_body(sent, part)

        async def store(transaction: Transaction) -> Answer:
            [appended] = await log_entries.append_all(transaction, [append])
            if isinstance(appended, Problem):
                raise appended
            return Answer(_taken(appended))

        async def change(transaction: Transaction) -> dict[str, Any]:
            given, _ = await once.do(transaction.connection, lambda: store(transaction))
            content: dict[str, Any] = given.content
            return content

        return await self._eventlog.commit_with_head(self._project_id, change)


def _taken(appended: log_entries.Appended) -> dict[str, Any]:
    number = len(appended.append.entries)
    return {
        "accepted": number,
        "first_line_number": appended.number,
        "last_line_number": appended.number + number - 1,
    }


async def take_array(intake: Intake, values: Sequence[Any], sent: bytes, limit: int) -> None:
    """Stores an array of entries, `sent` in a body of this hash; one that is refused leaves all of them
    out."""
    now = times.to_milliseconds(times.now())
    entries: list[Encoded] = []
    for place, value in enumerate(values):
        where = f"body.{place}"
        entries.append(log_entries.encode(log_entries.entry_of(value, where), now, limit, where))
        if place % TURN_ENTRIES == TURN_ENTRIES - 1:
            await asyncio.sleep(0)
    for part in _parts(entries):
        await intake.put(part, sent)
    await intake.settle()


def _parts(entries: Sequence[Encoded]) -> Iterator[Sequence[Encoded]]:
    start = size = 0
    for place, entry in enumerate(entries):
        if place - start == PART_ENTRIES or (size and size + len(entry.record) > PART_BYTES):
            yield entries[start:place]
            start, size = place, 0
        size += len(entry.record)
    if start < len(entries):
        yield entries[start:]


async def take_stream(intake: Intake, body: AsyncIterator[bytes], limit: int) -> None:
    """Stores newline-delimited entries as they come.

    Raises the refusal of the first entry that isn't good; those before it are stored, and `accepted` in
    the answer says how many.
    """
    part: list[Encoded] = []
    size = 0
    sent = hashlib.sha256()
    now = times.to_milliseconds(times.now())
    try:
        async for number, line in _lines(body):
            entry = log_entries.encode(
                log_entries.entry_of(_parsed(line, number), f"line {number}"),
                now,
                limit,
                f"line {number}",
            )
            if len(part) == PART_ENTRIES or (size and size + len(entry.record) > PART_BYTES):
                await intake.put(part, sent.digest())
                part, size = [], 0
                now = times.to_milliseconds(times.now())
            part.append(entry)
            size += len(entry.record)
            sent.update(line)
            if len(part) % TURN_ENTRIES == 0:
                await asyncio.sleep(0)
        if part:
            await intake.put(part, sent.digest())
    except Problem as problem:
        is_bad_entry = problem.status < 500 and not isinstance(problem, _NO_MORE)
        if part and is_bad_entry and not intake.is_once:
            await intake.put(part, sent.digest())
        await intake.settle()
        problem.extra |= {"accepted": intake.accepted}
        raise
    await intake.settle()


def _parsed(line: bytes, number: int) -> Any:
    return request_body.parse(line, f"line {number}")


async def _lines(body: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    """Lines that aren't empty, with their numbers, from 1."""
    number = 0
    rest = b""
    async for chunk in body:
        pieces = (rest + chunk).split(b"\n")
        rest = pieces.pop()
        for line in pieces:
            number += 1
            if line and not line.isspace():
                yield number, line
        if len(rest) > log_entries.ENTRY_BYTES:
            raise TooLarge(f"line {number + 1} is larger than {log_entries.ENTRY_BYTES:,} bytes")
    if rest and not rest.isspace():
        yield number + 1, rest
