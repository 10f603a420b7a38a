"""`/runs/{run}/logs`: written by agents, many times a second, and read as windows or whole.

The POST is a plain handler, without FastAPI's look at its parameters: agents call it more than everything
else together. Its forms are described for the OpenAPI document by hand.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from runcast import times
from runcast_api import bodies, log_intake, log_reading, log_search, logs, pagination, raw_lines
from runcast_api.answers import HEAD, Answer, answer
from runcast_api.idempotency import HEADER, Once, render
from runcast_api.ingest.requests import take_lines
from runcast_api.log_intake import Intake
from runcast_api.log_reading import LAST_LINE, Filter, Window
from runcast_api.logs import Append, LinesCursor, LinesMessage, LogEntry, LogEntryShown, Taken
from runcast_api.pagination import CursorText
from runcast_api.state import Api, ApiState, Caller
from runcast_server import access
from runcast_server.auth import Principal
from runcast_server.db import acquire
from runcast_server.errors import Invalid, Problem
from runcast_server.eventlog import EventLog, Transaction

LOGS_BYTES = 16 * 1024 * 1024
"""A body that isn't streamed at most."""
STREAM_BYTES = 16 * 1024 * 1024 * 1024
NDJSON = "application/x-ndjson"

router = APIRouter(tags=["logs"])

Line = Annotated[int | None, Query(ge=0, le=LAST_LINE - 1)]


class LogPage(BaseModel):
    """Lines, oldest first. With a filter there may be fewer than asked for and more to come."""

    logs: list[LogEntryShown]
    next_cursor: str | None


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        {"$ref": "#/components/schemas/LogEntry"},
                        {"type": "array", "items": {"$ref": "#/components/schemas/LogEntry"}},
                        {"$ref": "#/components/schemas/LinesMessage"},
                    ]
                }
            },
            NDJSON: {"schema": {"type": "string", "description": "One LogEntry per line."}},
        },
    },
    "parameters": [
        {"name": "run", "in": "path", "required": True, "schema": {"type": "string"}},
        {"name": "project", "in": "query", "required": False, "schema": {"type": "string"}},
        {"name": HEADER, "in": "header", "required": False, "schema": {"type": "string"}},
    ],
}
BODY_MODELS: tuple[type[BaseModel], ...] = (LogEntry, LinesMessage)
"""Models that only the description above names."""


@router.post(
    "/runs/{run}/logs",
    status_code=201,
    openapi_extra=_BODY,
    response_model=LogEntryShown | Taken | LinesCursor,
)
async def add_logs(request: Request) -> Response:
    """Takes one entry, an array, NDJSON, or a `lines` message."""
    api: Api = request.app.state.api
    caller = await api.caller(request)
    run_id, project_id = await api.runs.reportable(
        caller, request.path_params["run"], request.query_params.get("project")
    )
    call = _Call(api, _once(request, caller), project_id, run_id)
    if request.headers.get("content-type", "").startswith(NDJSON):
        return await _add_stream(call, request)
    body = await bodies.read(request, LOGS_BYTES)
    match value := bodies.parse(body):
        case list():
            return await _add_array(call, value, body)
        case {"type": "lines"}:
            return await _add_lines(call, value, body)
        case dict():
            return await _add_one(call, value, body)
    raise Invalid.of("body", "must be an object or an array of objects")


@dataclass(frozen=True, slots=True)
class _Call:
    """One POST: who adds to which run, and whether only once."""

    api: Api
    once: Once
    project_id: UUID
    run_id: UUID

    @property
    def limit(self) -> int:
        return self.api.resources.settings.tailer.max_line_bytes

    @property
    def eventlog(self) -> EventLog:
        return self.api.resources.eventlog

    def intake(self) -> Intake:
        return Intake(self.eventlog, self.once, self.project_id, self.run_id)

    def once_whole(self, body: bytes) -> Once:
        """The key over a body that is taken in one part."""
        return self.once.of_body(hashlib.sha256(body).digest(), 1)


async def _add_stream(call: _Call, request: Request) -> Response:
    intake = call.intake()
    await log_intake.take_stream(intake, bodies.chunks(request, STREAM_BYTES), call.limit)
    return answer(intake.taken(), status=201, head=intake.head)


async def _add_array(call: _Call, values: list[Any], body: bytes) -> Response:
    intake = call.intake()
    await log_intake.take_array(intake, values, hashlib.sha256(body).digest(), call.limit)
    return answer(intake.taken(), status=201, head=intake.head)


async def _add_lines(call: _Call, value: dict[str, Any], body: bytes) -> Response:
    message = logs.message_of(value)

    async def change(transaction: Transaction) -> Answer:
        cursor = await take_lines(
            transaction, call.project_id, call.run_id, message, call.api.handlers
        )
        return Answer(cursor)

    return await call.once_whole(body).commit(call.eventlog, call.project_id, change)


async def _add_one(call: _Call, value: dict[str, Any], body: bytes) -> Response:
    now = times.to_milliseconds(times.now())
    item = Append(
        call.project_id, call.run_id, [logs.encode(logs.entry_of(value), now, call.limit)]
    )
    if call.once.key is not None:
        return await _add_once(call.api, call.once_whole(body), item)
    appended = await logs.append(call.eventlog, item)
    return answer(appended.first(appended.id), status=201, head=appended.id)


async def _add_once(api: Api, once: Once, item: Append) -> Response:
    """Stores an entry unless its key did so before. Its id isn't known when the key's answer is kept."""

    async def change(transaction: Transaction) -> Answer:
        [appended] = await logs.append_all(transaction, [item])
        if isinstance(appended, Problem):
            raise appended
        return Answer(appended.first(0), 201)

    given, is_repeat, head = await once.run(api.resources.eventlog, item.project_id, change)
    if is_repeat:
        async with acquire(api.database.log) as connection:
            line_number = given.content["line_number"]
            head = await log_reading.id_of(connection, item.run_id, line_number)
    return render(Answer(given.content | {"id": head}, given.status), is_repeat, head)


def _once(request: Request, caller: Principal) -> Once:
    route = f"POST {request.url.path}?{request.url.query}"
    key = request.headers.get(HEADER)
    if key is not None and len(key) > 255:
        raise Invalid.of(f"header.{HEADER}", "longer than 255 characters")
    return Once(caller.name, route, key, b"")


@router.get("/runs/{run}/logs", response_model=LogPage)
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
    level: Annotated[str | None, Query(max_length=32)] = None,
    agent_name: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int | None, Query(ge=1, le=1000)] = None,
    cursor: CursorText = None,
) -> Response:
    """Oldest first. `tail` gives the last lines, `before_line` alone the last ones before that line.

    `Accept: text/plain` or `application/x-ndjson` without a `limit` streams all of it.
    """
    wanted = Filter(q, level, agent_name)
    window = _window(after_line, before_line, tail)
    query = ("logs", run, project, after_line, before_line, tail, wanted)
    if cursor is not None:
        window = _window_of(cursor, query)
    shape = _shape(request.headers.get("accept", ""))
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project)
        log = await log_reading.find(connection, run_id)
        if shape is None or limit is not None or tail is not None:
            page = await log_reading.read(connection, log, window, wanted, limit or tail or 50)
    headers = {HEAD: str(found.head), "X-Content-Type-Options": "nosniff"}
    if shape is None:
        return answer(_page(page, query), head=found.head)
    media_type, show = shape
    if limit is not None or tail is not None:
        text = b"".join([show(seq, members) for seq, members in page.lines])
        return Response(text, media_type=media_type, headers=headers)
    pieces = log_reading.whole(api.database, caller, log, window, wanted, show)
    return StreamingResponse(pieces, media_type=media_type, headers=headers)


def _shape(accept: str) -> Any:
    for part in accept.split(","):
        match part.partition(";")[0].strip():
            case "text/plain":
                return "text/plain; charset=utf-8", log_reading.as_text
            case "application/x-ndjson":
                return NDJSON, log_reading.as_ndjson
            case "application/json" | "*/*":
                return None
    return None


def _window(after_line: int | None, before_line: int | None, tail: int | None) -> Window:
    from_end = tail is not None or (before_line is not None and after_line is None)
    before = LAST_LINE if before_line is None else before_line
    return Window(after_line or 0, before, from_end)


def _window_of(cursor: str, query: tuple[Any, ...]) -> Window:
    match pagination.decode(cursor, *query):
        case [int(after), int(before), bool(from_end)]:
            return Window(after, before, from_end)
    raise pagination.refusal()


def _page(page: log_reading.Found, query: tuple[Any, ...]) -> dict[str, Any]:
    place = page.next
    return {
        "logs": [logs.shown(seq, members) for seq, members in page.lines],
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
    regex: bool = False,
    level: Annotated[str | None, Query(max_length=32)] = None,
    from_line: Annotated[int, Query(ge=1, le=LAST_LINE)] = 1,
    project: str | None = None,
) -> Response:
    """Lines of JSON: each match as a log entry; between them `{searched_to_line, matches, last_line}`, at
    the end with `done`. `regex` is in Postgres's syntax."""
    search = log_search.Search(q, regex, level, from_line)
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project)
        await log_search.check(connection, search)
        log = await log_reading.find(connection, run_id)
    pieces = log_search.results(api.database, caller, log, search)
    return StreamingResponse(pieces, media_type=NDJSON, headers={HEAD: str(found.head)})


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
    """The whole line where it was cut and its file is still there."""
    settings = api.resources.settings.tailer
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project)
        line = await raw_lines.find(connection, run_id, line_number, settings.runs_dir)
    headers = {HEAD: str(found.head), "X-Content-Type-Options": "nosniff"}
    media_type = "text/plain; charset=utf-8"
    if line.text is not None:
        return Response(line.text, media_type=media_type, headers=headers)
    pieces = await raw_lines.opened(line, (settings.runs_dir, *settings.roots))
    headers["Content-Length"] = str(line.length)
    return StreamingResponse(pieces, media_type=media_type, headers=headers)
