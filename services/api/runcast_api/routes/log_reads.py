"""`GET /runs/{run}/logs` and below: a log as windows, whole, searched, and single lines in full."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response

from runcast_api.dependencies import Api, ApiState, Caller
from runcast_api.http import entity_tags, lasting, pagination, ranges
from runcast_api.http.closing import Streamed, closing
from runcast_api.http.conditional import REVALIDATED
from runcast_api.http.pagination import CursorText
from runcast_api.http.responses import HEAD, answer
from runcast_api.logs import entries as log_entries
from runcast_api.logs import export, raw
from runcast_api.logs import query as log_query
from runcast_api.logs import search as log_search
from runcast_api.logs.entries import LogEntryShown
from runcast_api.logs.query import LAST_LINE, Filter, Found, Log, Window
from runcast_server import negotiation
from runcast_server.auth import access
from runcast_server.auth.principal import Principal
from runcast_server.db import Connection, Database
from runcast_server.errors import Invalid

NDJSON = "application/x-ndjson"
TEXT = "text/plain; charset=utf-8"

router = APIRouter(tags=["logs"])

Line = Annotated[int | None, Query(ge=0, le=LAST_LINE - 1)]


IsRegex = Annotated[
    bool, Query(description="Whether `q` is a regular expression, in RE2's syntax.")
]


class LogPage(BaseModel):
    """Lines, oldest first. With a filter there may be fewer than asked for and more to come."""

    logs: list[LogEntryShown]
    next_cursor: str | None


@router.get(
    "/runs/{run}/logs",
    response_model=LogPage,
    responses={
        200: {"content": {"text/plain": {}, NDJSON: {}}},
        206: {"content": {"text/plain": {}, NDJSON: {}}, "description": "A part of the whole log."},
    },
)
async def read_logs(
    request: Request,
    run: str,
    api: ApiState,
    caller: Caller,
    project: str | None = None,
    after_line: Line = None,
    before_line: Line = None,
    tail: Annotated[int | None, Query(ge=1, le=10_000)] = None,
    q: Annotated[str | None, Query(max_length=1000)] = None,
    regex: IsRegex = False,
    level: Annotated[str | None, Query(max_length=32)] = None,
    agent_name: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int | None, Query(ge=1, le=1000)] = None,
    cursor: CursorText = None,
) -> Response:
    """Returns the run's log lines, oldest first. `tail` returns the last lines, `before_line` alone the
    last ones before that line. With `Accept: text/plain` or `application/x-ndjson` and without a `limit`,
    the whole log is streamed."""
    wanted = Filter(q, level, agent_name, regex)
    wanted.check()
    window = _window(after_line, before_line, tail)
    query = ("logs", run, project, after_line, before_line, tail, wanted)
    if cursor is not None:
        window = _window_of(cursor, query)
    shape = _shape(request.headers.get("accept", ""))
    is_page = shape is None or limit is not None or tail is not None
    database = _database(api, caller, wanted, is_page=is_page)
    turn = api.searches.thread_of(caller)

    async def read(connection: Connection) -> tuple[Log, Found | None, int]:
        log = await log_query.find(connection, run_id)
        if not is_page:
            return log, None, await log_query.floor(connection, found.id)
        number = limit or tail or 50
        return log, await log_query.read(connection, log, window, wanted, number, turn), 0

    async with database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project)
        head = found.head
        if database.replica is None:
            log, page, floor = await read(connection)
    if database.replica is not None:
        (log, page, floor), head = await database.reading(caller, found.standing, read)
    headers = {HEAD: str(head), "X-Content-Type-Options": "nosniff"}
    if shape is None:
        assert page is not None
        return answer(_page(page, query), head=head)
    media_type, show = shape
    if page is not None:
        text = b"".join(show(page.lines))
        return Response(text, media_type=media_type, headers=headers)

    def pieces() -> AsyncIterator[bytes]:
        whole = export.whole(database, caller, found.standing, log, window, wanted, show, turn)
        return lasting.while_allowed(api.reader(caller, found.id), whole)

    # Whatever is said, redacted or dropped moves one of these.
    version = (run_id, found.epoch, head, floor, log.last_line)
    tag = entity_tags.of(repr((version, window, wanted, media_type)).encode())
    headers |= {"Accept-Ranges": "bytes", "ETag": tag, "Cache-Control": REVALIDATED}
    if ranges.is_asked(request, tag):
        return await _part(request, api, caller, wanted, pieces, media_type, headers)
    sent = pieces() if wanted.is_empty else _counted(api, caller, pieces())
    return Streamed(sent, media_type=media_type, headers=headers)


async def _part(
    request: Request,
    api: Api,
    caller: Principal,
    wanted: Filter,
    pieces: Callable[[], AsyncIterator[bytes]],
    media_type: str,
    headers: dict[str, str],
) -> Response:
    """The part of a whole log that is asked for. Raises `LimitReached`: a byte of a log costs reading all of
    it, so a part counts as a search, as what is looked for by a filter does already."""
    if wanted.is_empty:
        api.people.requests.count_search(caller)
        api.searches.admit(caller)
    # How long the log is as text is known once it was read: a part costs reading it twice.
    with api.searches.counted(caller):
        size = sum([len(piece) async for piece in pieces()])
    part = ranges.part_of(request, size)
    cut = ranges.cut(_counted(api, caller, pieces()), part.start, part.end)
    return Streamed(cut, 206, headers | part.headers, media_type)


def _database(api: Api, caller: Principal, wanted: Filter, *, is_page: bool) -> Database:
    """The database to read lines from: where a filter has to be looked for, as searches see it. Raises
    `LimitReached` for a caller who searches too often, or has too many open."""
    if wanted.is_empty:
        return api.database
    api.people.requests.count_search(caller)
    if not is_page:
        api.searches.admit(caller)
    return api.searches


def _shape(accept: str) -> Any:
    """How the log is written, where not as JSON: what the client would rather have."""
    match negotiation.best(accept, ("application/json", "text/plain", NDJSON)):
        case "text/plain":
            return TEXT, log_query.as_text
        case "application/x-ndjson":
            return NDJSON, log_query.as_ndjson
    return None


def _window(after_line: int | None, before_line: int | None, tail: int | None) -> Window:
    """Raises `Invalid` where nothing can lie in it."""
    if after_line is not None and before_line is not None and after_line > before_line:
        raise Invalid.of("query.before_line", "lies before after_line: no line is in between")
    from_end = tail is not None or (before_line is not None and after_line is None)
    before = LAST_LINE if before_line is None else before_line
    return Window(after_line or 0, before, from_end)


def _window_of(cursor: str, query: tuple[Any, ...]) -> Window:
    after, before, from_end = pagination.members(
        cursor, query, pagination.whole, pagination.whole, bool
    )
    return Window(after, before, from_end)


def _page(page: log_query.Found, query: tuple[Any, ...]) -> dict[str, Any]:
    place = page.next
    return {
        "logs": [log_entries.shown(*entry) for entry in page.lines],
        "next_cursor": place
        and pagination.encode([place.after, place.before, place.from_end], *query),
    }


@router.get(
    "/runs/{run}/logs/search",
    response_class=Response,
    responses={200: {"content": {NDJSON: {}}, "description": "Matches, and how far it has come."}},
)
async def search_logs(
    run: str,
    api: ApiState,
    caller: Caller,
    q: Annotated[str, Query(min_length=1, max_length=1000)],
    regex: IsRegex = False,
    level: Annotated[str | None, Query(max_length=32)] = None,
    agent_name: Annotated[str | None, Query(max_length=200)] = None,
    from_line: Annotated[int, Query(ge=1, le=LAST_LINE)] = 1,
    project: str | None = None,
) -> Response:
    """Searches the log and streams the matches as NDJSON. Each line is a log entry, or `{searched_to_line,
    matches, last_line}` as progress; the last line has `done`. With `regex`, `q` is an RE2 expression."""
    api.people.requests.count_search(caller)
    wanted = Filter(q, level, agent_name, regex)
    api.searches.admit(caller)
    wanted.check()
    with api.searches.counted(caller):
        async with api.searches.acting(caller) as connection:
            run_id, found = await access.run_id(connection, caller, run, project)
            log = await log_query.find(connection, run_id)
    pieces = _counted(
        api,
        caller,
        log_search.results(api.searches, caller, found.standing, log, wanted, from_line),
    )
    pieces = lasting.while_allowed(api.reader(caller, found.id), pieces)
    return Streamed(pieces, media_type=NDJSON, headers={HEAD: str(found.head)})


async def _counted(
    api: Api, caller: Principal, pieces: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    with api.searches.counted(caller):
        async with closing(pieces):
            async for piece in pieces:
                yield piece


@router.get(
    "/runs/{run}/logs/{line_number}/raw",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "The line's bytes."}},
)
async def read_raw_line(
    run: str,
    line_number: Annotated[int, Path(ge=1, le=LAST_LINE)],
    api: ApiState,
    caller: Caller,
    project: str | None = None,
) -> Response:
    """Returns a whole line that was cut when it was stored, from its file, if that still exists."""
    settings = api.resources.settings.tailer
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project)
        places = raw.Places(settings.runs_dir, settings.roots, settings.tail_project)
        line = await raw.find(connection, run_id, line_number, places)
    headers = {HEAD: str(found.head), "X-Content-Type-Options": "nosniff"}
    media_type = "text/plain; charset=utf-8"
    if line.text is not None:
        return Response(line.text, media_type=media_type, headers=headers)
    pieces = iterate_in_threadpool(await raw.opened(line))
    sent = lasting.while_allowed(api.reader(caller, found.id), pieces)
    headers["Content-Length"] = str(line.length)
    return Streamed(sent, media_type=media_type, headers=headers)
