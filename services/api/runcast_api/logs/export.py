"""All of a run's log as one answer, at flat memory.

Page after page, each in a short transaction of its own: an old snapshot would slow the hot counters down.
While a page is shown, the next one is read. Where nothing is left out, the lines of a segment are parsed in
one call, and each is shown from that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from runcast_api.logs import entries, query
from runcast_api.logs.query import Entry, Filter, Log, Turn, Window
from runcast_server import tasks
from runcast_server.auth.principal import Principal
from runcast_server.db import Database
from runcast_server.eventlog import lines, segments, stored
from runcast_server.eventlog.lines import Row
from runcast_server.eventlog.segments import Damaged
from runcast_server.replica import Standing

AT_ONCE = 250
"""Lines that are shown before others have their turn: half a millisecond."""

Show = Callable[[Iterable[Entry]], Iterator[bytes]]


class _Page(NamedTuple):
    """Rows, the window that they were read for, and what is left of it."""

    rows: Sequence[Row]
    window: Window
    rest: Window | None


async def whole(
    database: Database,
    actor: Principal,
    at: Standing,
    log: Log,
    window: Window,
    wanted: Filter,
    show: Show,
    turn: Turn,
) -> AsyncIterator[bytes]:
    """All wanted lines of the window, in its order. `at` is where its project stood when it was asked for.

    What a filter wants is looked for in its `turn`.
    """

    async def read(place: Window) -> _Page:
        of = partial(query.page, log=log, window=place, wanted=wanted, number=query.ANY_NUMBER)
        (rows, rest), _ = await database.reading(actor, at, of)
        return _Page(rows, place, rest)

    reading = asyncio.create_task(read(window))
    try:
        while True:
            page = await reading
            if page.rest is not None:
                reading = asyncio.create_task(read(page.rest))
            async for piece in _shown(log, page, wanted, show, turn):
                # The read needs its turns of the event loop, and so do all others.
                await asyncio.sleep(0)
                yield piece
            if page.rest is None:
                return
    finally:
        await tasks.end(reading)


async def _shown(
    log: Log, page: _Page, wanted: Filter, show: Show, turn: Turn
) -> AsyncIterator[bytes]:
    if not wanted.is_empty:
        found = await query.matching(log.run_id, page.rows, page.window, wanted, turn)
        for start in range(0, len(found), AT_ONCE):
            yield b"".join(show(found[start : start + AT_ONCE]))
        return
    for row in page.rows:
        known = _plain(row, page.window) if show in _SHOWN_PLAIN else None
        if known is not None:
            for piece in _SHOWN_PLAIN[show](log.run_id, row, known):
                yield piece
            continue
        others = lines.lines_of(row, page.window)
        for start in range(0, len(others), AT_ONCE):
            yield b"".join(show(query.parsed(log.run_id, others[start : start + AT_ONCE])))


def _plain(row: Row, window: Window) -> list[dict[str, Any]] | None:
    """The members of each line of a row, parsed in one call; None where the row isn't wanted whole, or a line
    says something about itself, can't be read, or isn't as we write it."""
    if row["first_line"] <= window.after or row["first_line"] + row["count"] > window.before:
        return None
    try:
        stored.numbers_of_lines(row)
        records = segments.unpack(stored.of_row(row))
        if b"\\" in records and rb"\u0000" in records:
            return None
        members: list[dict[str, Any]] = orjson.loads(b"[{%b]" % records.replace(b"\n", b",{"))
    except (Damaged, orjson.JSONDecodeError):
        return None
    is_ours = all(
        type(each.get("line")) is str and "source" in each and _SPECIAL.isdisjoint(each)
        for each in members
    )
    return members if is_ours else None


def _plain_text(run_id: UUID, row: Row, known: Sequence[dict[str, Any]]) -> Iterator[bytes]:
    """As `query.as_text`."""
    yield "\n".join([*[each["line"] for each in known], ""]).encode()


def _plain_ndjson(run_id: UUID, row: Row, known: Sequence[dict[str, Any]]) -> Iterator[bytes]:
    """As `query.as_ndjson`."""
    run, first_line = str(run_id), row["first_line"]
    seqs = stored.numbers_of_lines(row)
    for start in range(0, len(known), AT_ONCE):
        part = zip(seqs[start:], count(first_line + start), known[start : start + AT_ONCE])
        yield b"".join(
            [
                orjson.dumps(
                    {
                        "id": seq,
                        "run_id": run,
                        "line_number": number,
                        "ts": each.get("ts"),
                        "level": each.get("level"),
                        "agent_name": each.get("agent_name"),
                        "event_type": each.get("event_type"),
                        "message": each["line"],
                        "payload": each.get("payload"),
                        "source": each["source"],
                        "source_line": each.get("source_line"),
                    },
                    option=orjson.OPT_APPEND_NEWLINE,
                )
                for seq, number, each in part
            ]
        )


_SPECIAL = frozenset((*entries.FLAGS, "run_id"))
"""Members of lines that are shown in another way than the rest."""
_SHOWN_PLAIN: dict[Show, Callable[[UUID, Row, Sequence[dict[str, Any]]], Iterator[bytes]]] = {
    query.as_text: _plain_text,
    query.as_ndjson: _plain_ndjson,
}
"""What is shown of lines that say nothing about themselves, which most do."""
