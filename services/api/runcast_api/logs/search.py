"""Searching a whole log: matches as they are found, and how far the search has come."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from functools import partial
from typing import Any

import orjson

from runcast_api.logs import entries, query
from runcast_api.logs.query import Filter, Log, Window
from runcast_api.logs.search_turns import SearchDatabase
from runcast_server.auth.principal import Principal
from runcast_server.eventlog.lines import Row
from runcast_server.replica import Standing

PROGRESS_SECONDS = 0.25
MOST_MATCHES = 10_000
"""Matches after which a search ends; `searched_to_line` says where to go on."""


async def results(
    database: SearchDatabase,
    actor: Principal,
    at: Standing,
    log: Log,
    wanted: Filter,
    from_line: int,
) -> AsyncIterator[bytes]:
    """Lines of JSON: each match as a log entry, and `searched_to_line` with `matches` now and then, at
    the end with `done`: false where the search was cut short."""
    whole = Window(from_line - 1, log.last_line + 1)
    place: Window | None = whole
    turn = database.thread_of(actor)
    searched_to, number, told = from_line - 1, 0, time.monotonic()
    async with contextlib.aclosing(_pages(database, actor, at, log, wanted, whole)) as pages:
        async for rows, window, place in pages:
            found = await query.matching(log.run_id, rows, window, wanted, turn)
            for entry in found:
                yield orjson.dumps(entries.shown(*entry)) + b"\n"
            number += len(found)
            searched_to = log.last_line if place is None else place.after
            if number >= MOST_MATCHES:
                break
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                yield _progress(searched_to, number, log, is_done=None)
    yield _progress(max(searched_to, 0), number, log, is_done=place is None)


async def _pages(
    database: SearchDatabase,
    actor: Principal,
    at: Standing,
    log: Log,
    wanted: Filter,
    place: Window,
) -> AsyncGenerator[tuple[Sequence[Row], Window, Window | None]]:
    """A window's rows, page by page: the rows, where they lie, and what is left of the window. The next page
    is read while one is looked through.

    Each is read in a transaction of its own: the search for a rare text says how far it has come, and holds
    no snapshot long.
    """

    def reading(window: Window) -> asyncio.Task[tuple[tuple[Sequence[Row], Window | None], int]]:
        read = partial(query.page, log=log, window=window, wanted=wanted, number=query.ANY_NUMBER)
        return asyncio.create_task(database.reading(actor, at, read))

    ahead, rest = reading(place), place
    try:
        while True:
            window = rest
            (rows, left), _ = await ahead
            if left is None:
                yield rows, window, None
                return
            ahead, rest = reading(left), left
            yield rows, window, left
    finally:
        ahead.cancel()
        await asyncio.gather(ahead, return_exceptions=True)


def _progress(searched_to: int, matches: int, log: Log, *, is_done: bool | None) -> bytes:
    said: dict[str, Any] = {
        "searched_to_line": searched_to,
        "matches": matches,
        "last_line": log.last_line,
    }
    return orjson.dumps(said if is_done is None else said | {"done": is_done}) + b"\n"
