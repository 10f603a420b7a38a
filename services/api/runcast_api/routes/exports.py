"""`GET /runs/{run}/export` and `GET /projects/{project}/export`."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import Response

from runcast_api import projects
from runcast_api.dependencies import Api, ApiState, Caller
from runcast_api.exports import archive, content, ndjson
from runcast_api.exports.content import Source
from runcast_api.exports.running import ExportResponse
from runcast_api.http import lasting
from runcast_api.http.responses import HEAD
from runcast_api.runs import runs
from runcast_server.auth import access
from runcast_server.errors import Invalid

router = APIRouter(tags=["exports"])

Format = Annotated[Literal["ndjson", "parquet", "zip"], Query(description="`docs/export.md`.")]
_MEDIA_TYPES = ("application/x-ndjson", "application/vnd.apache.parquet", "application/zip")
_DESCRIBED: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {name: {} for name in _MEDIA_TYPES},
        "description": "The export, as an attachment.",
    }
}


class _Form(NamedTuple):
    """How an export is written."""

    media_type: str
    suffix: str
    pieces: Callable[[Source], AsyncIterator[bytes]]


@router.get("/runs/{run}/export", response_class=Response, responses=_DESCRIBED)
async def export_run(
    run: str,
    api: ApiState,
    caller: Caller,
    format: Format = "ndjson",
    project: str | None = None,
) -> Response:
    """Exports the run with its log, events and artifacts as of now."""
    api.exports.check(caller)
    form = _form(format)
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project)
        source = Source(
            api.database,
            api.store,
            caller,
            await projects.show(connection, found.id, found.role.name.lower()),
            found.standing,
            await runs.show(connection, run_id),
            await content.find_log(connection, run_id),
        )
    return _answer(api, source, form)


@router.get("/projects/{project}/export", response_class=Response, responses=_DESCRIBED)
async def export_project(
    project: str, api: ApiState, caller: Caller, format: Format = "ndjson"
) -> Response:
    """Exports the project's runs with all events, lines and artifacts as of now."""
    api.exports.check(caller)
    form = _form(format)
    async with api.database.acting(caller) as connection:
        found = await access.project(connection, caller, project)
        shown = await projects.show(connection, found.id, found.role.name.lower())
    return _answer(api, Source(api.database, api.store, caller, shown, found.standing), form)


def _form(format: str) -> _Form:
    """Raises `Invalid` for Parquet where its library isn't installed."""
    module = {"ndjson": ndjson, "zip": archive}.get(format)
    if module is None:
        try:
            module = importlib.import_module("runcast_api.exports.parquet")
        except ImportError:
            raise Invalid.of(
                "query.format", "this server can't write Parquet: pip install 'runcast[parquet]'"
            ) from None
    return _Form(module.MEDIA_TYPE, module.SUFFIX, module.pieces)


def _answer(api: Api, source: Source, form: _Form) -> Response:
    name = source.name + form.suffix
    headers = {
        HEAD: str(source.head),
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
    }
    look = api.reader(source.actor, UUID(source.project["id"]))
    pieces = lasting.while_allowed(look, form.pieces(source))
    return ExportResponse(api.exports, source.actor, pieces, form.media_type, headers)
