"""All of a run's log as one answer, at flat memory.

Page after page, each in a short transaction of its own: an old snapshot would slow the hot counters down.
While a page is shown, the next one is read. Where nothing is left out and only the text is wanted, a line
costs one parse and one copy.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import orjson

from runcast_api.logs import query
from runcast_api.logs.query import Entry, Filter, Log, Window
from runcast_server import tasks
from runcast_server.auth.principal import Principal
from runcast_server.db import Database
from runcast_server.eventlog import lines
from runcast_server.eventlog.lines import Line, Row

AT_ONCE = 250
"""Lines that are shown before others have their turn: half a millisecond."""

Show = Callable[[Iterable[Entry]], Iterator[bytes]]


class _Page(NamedTuple):
    """Rows, the window that they were read for, and what is left of it."""

    rows: Sequence[Row]
    window: Window
    rest: Window | None


async def whole(
    database: Database, actor: Principal, log: Log, window: Window, wanted: Filter, show: Show
) -> AsyncIterator[bytes]:
    """All wanted lines of the window, in its order."""

    async def read(place: Window) -> _Page:
        async with database.acting(actor) as connection:
            rows, rest = await query.page(connection, log, place, wanted, query.ANY_NUMBER)
            return _Page(rows, place, rest)

    reading = asyncio.create_task(read(window))
    try:
        while True:
            page = await reading
            if page.rest is not None:
                reading = asyncio.create_task(read(page.rest))
            async for piece in _shown(log, page, wanted, show):
                # The read needs its turns of the event loop, and so do all others.
                await asyncio.sleep(0)
                yield piece
            if page.rest is None:
                return
    finally:
        await tasks.end(reading)


async def _shown(log: Log, page: _Page, wanted: Filter, show: Show) -> AsyncIterator[bytes]:
    if not wanted.is_empty:
        found = await query.matching(log.run_id, page.rows, page.window, wanted)
        for start in range(0, len(found), AT_ONCE):
            yield b"".join(show(found[start : start + AT_ONCE]))
        return
    for row in page.rows:
        known = lines.lines_of(row, page.window)
        for start in range(0, len(known), AT_ONCE):
            part = known[start : start + AT_ONCE]
            if show is query.as_text and (text := _plain_text(part)) is not None:
                yield text
            else:
                yield b"".join(show(query.parsed(log.run_id, part)))


def _plain_text(part: Sequence[Line]) -> bytes | None:
    """The lines as text, where none was cut or holds NUL."""
    records = b"[{%b]" % b",{".join([line.record for line in part])
    if b'"cut":' in records or b"\\u0000" in records:
        return None
    try:
        texts = [members["line"] for members in orjson.loads(records)]
        return "\n".join([*texts, ""]).encode()
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None  # Not as we write them: see `query.parsed`.
