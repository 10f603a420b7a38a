"""All of a run's log as one answer, at flat memory.

Page after page, each in a short transaction of its own: an old snapshot would slow the hot counters down.
While a page is shown, Postgres reads the next one; pages have about the same size in bytes, however long
the lines are. Where nothing is left out, a page comes as one value instead of three for each line.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple

import orjson

from runcast_api.logs import query
from runcast_api.logs.query import PAGE_LINES, Filter, Log, Window
from runcast_server import tasks
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection, Database

PAGE_BYTES = 512 * 1024
AT_ONCE = 250
"""Lines that are shown before others have their turn: half a millisecond."""
FIRST_LINES = 200
"""Of the first page: how long the lines are isn't known yet."""

_LINES = """
SELECT array_agg(seq ORDER BY line_number) AS seqs,
    '[' || string_agg(data::text, ',' ORDER BY line_number) || ']' AS lines
FROM (SELECT seq, line_number, data FROM events
      WHERE run_id = $1 AND line_number > $2 AND line_number < $3 AND at >= $4
      ORDER BY line_number LIMIT $5) page
"""

Show = Callable[[int, dict[str, Any]], bytes]


class _Page(NamedTuple):
    """Lines with their event numbers; how many were read for it, of how many bytes; the window behind."""

    seqs: Sequence[int]
    lines: Sequence[dict[str, Any]]
    number: int
    size: int
    rest: Window | None


async def whole(
    database: Database, actor: Principal, log: Log, window: Window, wanted: Filter, show: Show
) -> AsyncIterator[bytes]:
    """All wanted lines of the window, in its order."""

    async def read(place: Window, number: int) -> _Page:
        async with database.acting(actor) as connection:
            if wanted.is_empty and not place.from_end:
                return await _unfiltered(connection, log, place, number)
            return await _filtered(connection, log, place, wanted, number)

    reading = asyncio.create_task(read(window, FIRST_LINES))
    try:
        while True:
            page = await reading
            if page.rest is not None:
                reading = asyncio.create_task(read(page.rest, _next_number(page)))
            for start in range(0, len(page.lines), AT_ONCE):
                # The read needs its turns of the event loop, and so do all others.
                await asyncio.sleep(0)
                part = slice(start, start + AT_ONCE)
                yield b"".join(map(show, page.seqs[part], page.lines[part]))
            if page.rest is None:
                return
    finally:
        await tasks.end(reading)


def _next_number(page: _Page) -> int:
    """How many lines the next page has, if they are as long as those of this one."""
    fitting = page.number * PAGE_BYTES // max(1, page.size)
    return max(1, min(PAGE_LINES, 4 * page.number, fitting))


async def _unfiltered(connection: Connection, log: Log, place: Window, number: int) -> _Page:
    before = min(place.before, log.last_line + 1)
    seqs, lines = await connection.fetchrow(
        _LINES, log.run_id, place.after, before, log.since, number
    )
    if seqs is None:
        return _Page((), (), 0, 0, None)
    parsed = orjson.loads(lines)
    rest = Window(parsed[-1]["line_number"], place.before) if len(parsed) == number else None
    return _Page(seqs, parsed, len(parsed), len(lines), rest)


async def _filtered(
    connection: Connection, log: Log, place: Window, wanted: Filter, number: int
) -> _Page:
    rows, rest = await query.page(connection, log, place, wanted, number)
    found = [(row["seq"], orjson.loads(row["data"])) for row in rows]
    found = [(seq, members) for seq, members in found if wanted.wants(members)]
    size = sum(len(row["data"]) for row in rows)
    seqs, lines = [seq for seq, _ in found], [members for _, members in found]
    return _Page(seqs, lines, len(rows), size, rest)
