"""`POST /runs/{run}/logs`: what agents write, many times a second.

It is a plain handler, without FastAPI's look at its parameters: agents call it more than everything
else together. Its forms are described for the OpenAPI document by hand.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from runcast._support import times
from runcast_api.dependencies import Api
from runcast_api.http import lasting, query_names, request_body
from runcast_api.http.idempotency import HEADER, Once, render
from runcast_api.http.responses import Answer, answer
from runcast_api.ingest import batch_items, guard
from runcast_api.ingest.requests import take_lines, take_lines_at_once
from runcast_api.logs import entries, query, spools, upload
from runcast_api.logs.entries import (
    Append,
    LinesCursor,
    LinesMessage,
    LogEntry,
    LogEntryShown,
    Taken,
)
from runcast_api.logs.sources import SourceKey
from runcast_api.logs.upload import Intake
from runcast_server.auth.principal import Principal
from runcast_server.db import acquire
from runcast_server.errors import Invalid, Problem
from runcast_server.eventlog.log import EventLog, Transaction

LOGS_BYTES = 16 * 1024 * 1024
"""A body that isn't streamed at most."""
STREAM_BYTES = 16 * 1024 * 1024 * 1024
NDJSON = "application/x-ndjson"

router = APIRouter(tags=["logs"])

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
    """Stores log lines: one entry, an array, NDJSON, or a `lines` message. An array is stored whole or not
    at all; a stream is stored up to its first invalid entry."""
    api: Api = request.app.state.api
    caller = await api.caller(request)
    query_names.refuse_unknown(request, ("project",))
    run_id, project_id = await api.runs.reportable(
        caller, request.path_params["run"], request.query_params.get("project")
    )
    look = api.reporter(request, request.path_params["run"], request.query_params.get("project"))
    lasting.keep_looking(request, look)
    call = _Call(api, _once(request, caller), project_id, run_id)
    if request.headers.get("content-type", "").startswith(NDJSON):
        return await _add_stream(call, request)
    body = await request_body.read(request, LOGS_BYTES)
    match value := request_body.parse(body):
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
        return Intake(self.eventlog, self.once, self.project_id, self.run_id, self.admit)

    def admit(self) -> None:
        """Raises `QuotaExceeded` where the project may add no lines."""
        self.api.quotas.check(self.project_id)

    def once_whole(self, body: bytes) -> Once:
        """The key over a body that is taken in one part."""
        return self.once.of_body(hashlib.sha256(body).digest(), 1)


async def _add_stream(call: _Call, request: Request) -> Response:
    intake = call.intake()
    await upload.take_stream(intake, request_body.chunks(request, STREAM_BYTES), call.limit)
    return answer(intake.taken(), status=201, head=intake.head)


async def _add_array(call: _Call, values: list[Any], body: bytes) -> Response:
    intake = call.intake()
    await upload.take_array(intake, values, hashlib.sha256(body).digest(), call.limit)
    return answer(intake.taken(), status=201, head=intake.head)


async def _add_lines(call: _Call, value: dict[str, Any], body: bytes) -> Response:
    message = entries.message_of(value)
    if not batch_items.is_feed(message.source):
        call.admit()
    if call.once.key is None and message.spool is None:
        taken = await take_lines_at_once(call.eventlog, call.project_id, call.run_id, message)
        if taken is not None:
            return answer(taken[0], head=taken[1])
    once = call.once_whole(body)

    async def take(transaction: Transaction, *, is_careful: bool) -> Answer:
        handlers = call.api.handlers
        if message.spool is not None:
            key = SourceKey(call.run_id, message.source)
            await spools.claim(transaction.connection, key, call.project_id, message.spool)
        cursor = await take_lines(
            transaction, call.project_id, call.run_id, message, handlers, is_careful=is_careful
        )
        return Answer(cursor)

    unforeseen: Exception | None = None
    for is_careful in (False, True):
        change = functools.partial(take, is_careful=is_careful)
        try:
            return await once.commit(call.eventlog, call.project_id, change)
        except Exception as error:
            if isinstance(error, Problem) or guard.is_storage_away(error):
                raise
            unforeseen = error
    assert unforeseen is not None
    raise Invalid(guard.reason(unforeseen)) from unforeseen


async def _add_one(call: _Call, value: dict[str, Any], body: bytes) -> Response:
    call.admit()
    now = times.to_milliseconds(times.now())
    item = Append(
        call.project_id, call.run_id, [entries.encode(entries.entry_of(value), now, call.limit)]
    )
    if call.once.key is not None:
        return await _add_once(call.api, call.once_whole(body), item)
    appended = await entries.append(call.eventlog, item)
    return answer(appended.first(appended.id), status=201, head=appended.id)


async def _add_once(api: Api, once: Once, item: Append) -> Response:
    """Stores an entry unless its key did so before. Its id isn't known when the key's answer is kept."""

    async def change(transaction: Transaction) -> Answer:
        [appended] = await entries.append_all(transaction, [item])
        if isinstance(appended, Problem):
            raise appended
        return Answer(appended.first(0), 201)

    given, is_repeat, head = await once.run(api.resources.eventlog, item.project_id, change)
    if is_repeat:
        async with acquire(api.database.log) as connection:
            line_number = given.content["line_number"]
            head = await query.id_of(connection, item.run_id, line_number)
    return render(Answer(given.content | {"id": head}, given.status), is_repeat, head)


def _once(request: Request, caller: Principal) -> Once:
    route = f"POST {request.url.path}?{request.url.query}"
    key = request.headers.get(HEADER)
    if key is not None and len(key) > 255:
        raise Invalid.of(f"header.{HEADER}", "longer than 255 characters")
    return Once(caller.name, route, key, b"")
