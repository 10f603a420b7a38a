"""Searching a whole log: matches as they are found, and how far the search has come.

Regular expressions are run by RE2, in time that is linear in the text, in a thread and without a connection.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import orjson
import re2

from runcast_api.logs import entries, query
from runcast_api.logs.query import Filter, Log, Window
from runcast_server.auth.principal import Principal
from runcast_server.db import Database
from runcast_server.errors import Invalid

PROGRESS_SECONDS = 0.25
MOST_MATCHES = 10_000
"""Matches after which a search ends; `searched_to_line` says where to go on."""
EXPRESSION_BYTES = 4 * 1024 * 1024
"""The memory that an expression may take."""


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: a text in any case, or a regular expression (RE2's syntax)."""

    q: str
    is_regex: bool = False
    level: str | None = None
    from_line: int = 1

    @property
    def filter(self) -> Filter:
        return Filter(None if self.is_regex else self.q, self.level)


def expression(search: Search) -> Callable[[str], bool] | None:
    """What says whether a text matches, where an expression is asked for. Raises `Invalid` for one that
    isn't an expression, or is too large."""
    if not search.is_regex:
        return None
    options = re2.Options()
    options.max_mem = EXPRESSION_BYTES
    options.log_errors = False
    try:
        compiled = re2.compile(search.q, options)
    except re2.error as error:
        raise Invalid.of("query.q", _said(error)) from None

    def matches(text: str) -> bool:
        return compiled.search(text.replace("\x00", query.NUL_SHOWN)) is not None

    return matches


def _said(error: Exception) -> str:
    said = error.args[0] if error.args else error
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


async def results(
    database: Database, actor: Principal, log: Log, search: Search
) -> AsyncIterator[bytes]:
    """Lines of JSON: each match as a log entry, and `searched_to_line` with `matches` now and then, at
    the end with `done`: false where the search was cut short."""
    matches = expression(search)
    place: Window | None = Window(search.from_line - 1, log.last_line + 1)
    searched_to, number, told = search.from_line - 1, 0, time.monotonic()
    while place is not None and number < MOST_MATCHES:
        # A page at a time: the search for a rare text says how far it has come, and holds no snapshot long.
        async with database.acting(actor) as connection:
            rows, rest = await query.page(connection, log, place, search.filter, query.ANY_NUMBER)
        found = await query.matching(log.run_id, rows, place, search.filter, matches)
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
