"""Searching a whole log: matches as they are found, and how far the search has come."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import orjson

from runcast_api.logs import entries, query
from runcast_api.logs.query import Filter, Log, Window
from runcast_api.logs.search_turns import SearchDatabase
from runcast_server.auth.principal import Principal
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
    place: Window | None = Window(from_line - 1, log.last_line + 1)
    turn = database.thread_of(actor)
    searched_to, number, told = from_line - 1, 0, time.monotonic()
    while place is not None and number < MOST_MATCHES:
        # A page at a time: the search for a rare text says how far it has come, and holds no snapshot long.
        read = partial(query.page, log=log, window=place, wanted=wanted, number=query.ANY_NUMBER)
        (rows, rest), _ = await database.reading(actor, at, read)
        found = await query.matching(log.run_id, rows, place, wanted, turn)
        for entry in found:
            yield orjson.dumps(entries.shown(*entry)) + b"\n"
        number += len(found)
        searched_to = log.last_line if rest is None else rest.after
        place = rest
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            yield _progress(searched_to, number, log, is_done=None)
    yield _progress(max(searched_to, 0), number, log, is_done=place is None)


def _progress(searched_to: int, matches: int, log: Log, *, is_done: bool | None) -> bytes:
    said: dict[str, Any] = {
        "searched_to_line": searched_to,
        "matches": matches,
        "last_line": log.last_line,
    }
    return orjson.dumps(said if is_done is None else said | {"done": is_done}) + b"\n"
