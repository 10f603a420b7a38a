"""Searching a whole log: matches as they are found, and how far the search has come.

Regular expressions are run by Postgres: its engine doesn't go astray on most of them, and where it does,
the statement is cancelled; Python's would hold the whole process.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from runcast_api.logs import entries, query
from runcast_api.logs.query import Filter, Log, Window
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection, Database
from runcast_server.errors import Invalid

PROGRESS_SECONDS = 0.25
REACH_LINES = 20_000
"""Lines that one statement looks through."""
MOST_MATCHES = 10_000
"""Matches after which a search ends; `searched_to_line` says where to go on."""
EXPRESSION_SECONDS = 3.0
"""How long an expression may take over one page of lines."""

_MATCHING = """
SELECT place FROM unnest($1::text[]) WITH ORDINALITY AS given (line, place) WHERE line ~ $2
"""


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: a text in any case, or a regular expression (Postgres's syntax)."""

    q: str
    is_regex: bool = False
    level: str | None = None
    from_line: int = 1

    @property
    def filter(self) -> Filter:
        return Filter(None if self.is_regex else self.q, self.level)


async def check(connection: Connection, search: Search) -> None:
    """Raises `Invalid` for an expression that isn't one."""
    if not search.is_regex:
        return
    try:
        await connection.fetch(_MATCHING, [""], search.q, timeout=EXPRESSION_SECONDS)
    except asyncpg.InvalidRegularExpressionError as error:
        raise Invalid.of("query.q", str(error)) from None
    except TimeoutError:
        raise Invalid.of("query.q", "the expression takes too long") from None


async def results(
    database: Database, actor: Principal, log: Log, search: Search
) -> AsyncIterator[bytes]:
    """Lines of JSON: each match as a log entry, and `searched_to_line` with `matches` now and then, at
    the end with `done`: false where the search was cut short."""
    searched_to, matches, told = search.from_line - 1, 0, time.monotonic()
    while searched_to < log.last_line and matches < MOST_MATCHES:
        # A bounded reach: the search for a rare text says how far it has come, and holds no snapshot long.
        reach = Window(after=searched_to, before=min(searched_to + REACH_LINES, log.last_line) + 1)
        async with database.acting(actor) as connection:
            rows, place = await query.page(connection, log, reach, search.filter, query.PAGE_LINES)
            try:
                found = await _matching(connection, search, rows)
            except TimeoutError:
                break
        for seq, members in found:
            yield orjson.dumps(entries.shown(seq, members)) + b"\n"
        matches += len(found)
        searched_to = place.after if place else reach.before - 1
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            yield _progress(searched_to, matches, log, is_done=None)
    yield _progress(searched_to, matches, log, is_done=searched_to >= log.last_line)


def _progress(searched_to: int, matches: int, log: Log, *, is_done: bool | None) -> bytes:
    said: dict[str, Any] = {
        "searched_to_line": searched_to,
        "matches": matches,
        "last_line": log.last_line,
    }
    return orjson.dumps(said if is_done is None else said | {"done": is_done}) + b"\n"


async def _matching(
    connection: Connection, search: Search, rows: Sequence[Any]
) -> list[tuple[int, dict[str, Any]]]:
    parsed = [(row["seq"], orjson.loads(row["data"])) for row in rows]
    wanted = [(seq, members) for seq, members in parsed if search.filter.wants(members)]
    if not search.is_regex or not wanted:
        return wanted
    texts = [members["line"].replace("\x00", query.NUL_SHOWN) for _, members in wanted]
    found = await connection.fetch(_MATCHING, texts, search.q, timeout=EXPRESSION_SECONDS)
    return [wanted[row["place"] - 1] for row in found]
