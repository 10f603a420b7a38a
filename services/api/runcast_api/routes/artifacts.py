"""`/runs/{run}/artifacts` and `/artifacts/{artifact}`: outputs, kept by version and served inert."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.responses import Response

from runcast_api.artifacts import artifacts, multipart
from runcast_api.artifacts.artifacts import Artifact, ArtifactList, ArtifactNew, Upload
from runcast_api.artifacts.store import Stored
from runcast_api.dependencies import Api, ApiState, Caller, OnceOnly
from runcast_api.http import lasting, problems, ranges, request_body
from runcast_api.http.closing import Streamed
from runcast_api.http.pagination import CursorText, Limit
from runcast_api.http.responses import HEAD, Answer, answer
from runcast_server.auth import access, rights
from runcast_server.auth.principal import Principal
from runcast_server.eventlog.log import Transaction

JSON_CONTENT_BYTES = 16 * 1024 * 1024
FILE_BYTES = 4 * 1024 * 1024 * 1024
"""A file at most; it is streamed to the store."""

router = APIRouter(tags=["artifacts"])

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/ArtifactNew"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["step_name", "file"],
                    "properties": {
                        "step_name": {"type": "string"},
                        "file": {"type": "string", "format": "binary"},
                        "media_type": {"type": "string"},
                        "id": {"type": "string", "format": "uuid"},
                    },
                }
            },
        },
    }
}
BODY_MODELS = (ArtifactNew,)
"""Models that only the description above names."""


@router.post("/runs/{run}/artifacts", status_code=201, response_model=Artifact, openapi_extra=_BODY)
async def create_artifact(
    request: Request,
    run: str,
    api: ApiState,
    caller: Caller,
    once: OnceOnly,
    project: str | None = None,
) -> Response:
    """Stores an artifact as the next version of its step: JSON `{step_name, content}`, or a form with
    `step_name` and one `file`."""
    run_id, project_id = await api.runs.reportable(caller, run, project)
    lasting.keep_looking(request, api.reporter(request, run, project))
    upload = await _receive(request, api, project_id, caller)
    used = False

    async def change(transaction: Transaction) -> Answer:
        nonlocal used
        shown, used = await artifacts.create(transaction, run_id, upload)
        return Answer(shown, 201 if used else 200)

    try:
        hashed = once.of_body(_identity(upload))
        return await hashed.commit(api.resources.eventlog, project_id, change)
    finally:
        if not used and upload.stored.object_key:
            await api.store.discard(upload.stored.object_key)


async def _receive(request: Request, api: Api, project_id: UUID, caller: Principal) -> Upload:
    content_type = request.headers.get("content-type", "")
    intake = api.store.intake(project_id)
    if content_type.startswith("multipart/form-data"):
        body = request_body.chunks(request, FILE_BYTES)
        form = await multipart.receive(content_type, body, intake, _described)
        new = _described(form.fields)
        media_type = form.fields.get("media_type") or form.media_type
        filename = form.filename and form.filename.replace("\x00", "")[:255]
        named = (media_type.replace("\x00", "")[:255], form.stored, filename)
        return Upload(new.step_name, *named, new.id, caller.user_id)
    new = _validated(request_body.parse(await request_body.read(request, JSON_CONTENT_BYTES)))
    await intake.write(orjson.dumps(new.content))
    stored: Stored = await intake.finish()
    return Upload(new.step_name, artifacts.JSON_MEDIA_TYPE, stored, None, new.id, caller.user_id)


def _described(fields: multipart.Fields) -> ArtifactNew:
    known = {name: fields[name] for name in ("step_name", "id") if name in fields}
    return _validated({"content": None} | known)


def _validated(value: Any) -> ArtifactNew:
    try:
        return ArtifactNew.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise problems.invalid(
            [{**each, "loc": ("body", *each["loc"])} for each in found]
        ) from None


def _identity(upload: Upload) -> bytes:
    """What makes two uploads the same: a form's own bytes differ by their boundary."""
    told = (upload.step_name, upload.media_type, upload.filename, upload.stored.sha256)
    return hashlib.sha256(repr(told).encode()).digest()


@router.get("/runs/{run}/artifacts", response_model=ArtifactList)
async def list_artifacts(
    run: str,
    api: ApiState,
    caller: Caller,
    project: str | None = None,
    step_name: Annotated[str | None, Query(max_length=200)] = None,
    versions: Annotated[
        Literal["latest", "all"], Query(description="The latest of each step, or all.")
    ] = "latest",
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Response:
    """Lists the run's artifacts, by step, newest version first."""
    async with api.database.acting(caller) as connection:
        run_id, found = await access.run_id(connection, caller, run, project)
        page = await artifacts.page(
            connection, run_id, step_name, limit, cursor, all_versions=versions == "all"
        )
    return answer(page, head=found.head)


@router.get("/artifacts/{artifact}", response_model=Artifact)
async def show_artifact(artifact: UUID, api: ApiState, caller: Caller) -> Response:
    """Returns the artifact, with its content if that is JSON of at most 1 MiB."""
    row, head = await _find(api, caller, artifact)
    return answer(artifacts.as_json(row), head=head)


@router.get(
    "/artifacts/{artifact}/content",
    response_class=Response,
    responses={
        200: {"content": {"*/*": {}}},
        206: {"content": {"*/*": {}}, "description": "A part."},
    },
)
async def read_content(request: Request, artifact: UUID, api: ApiState, caller: Caller) -> Response:
    """Returns the content, or a `Range` of its bytes. It is sent as an attachment that browsers don't run."""
    row, head = await _find(api, caller, artifact)
    headers = _inert(row) | {HEAD: str(head)}
    status, wanted = 200, None
    if ranges.is_asked(request, headers["ETag"]):
        part = ranges.part_of(request, row["size"])
        status, wanted = 206, (part.start, part.end)
        headers |= part.headers
    if row["content"] is not None:
        return Response(row["content"][slice(*wanted) if wanted else slice(None)], status, headers)
    pieces: AsyncIterator[bytes] = await api.store.read(row["object_key"], wanted)
    sent = lasting.while_allowed(api.reader(caller, row["project_id"]), pieces)
    return Streamed(sent, status, {"Content-Length": str(row["size"])} | headers)


async def _find(api: Api, caller: Principal, artifact: UUID) -> tuple[Any, int]:
    async with api.database.acting(caller) as connection:
        row = await artifacts.find(connection, artifact)
        absent = f"no artifact '{artifact}'"
        found = await access.inside(connection, caller, row["project_id"], absent, rights.READ)
    return row, found.head


def _inert(row: Any) -> dict[str, str]:
    """Headers with which a browser saves what was uploaded, and never shows or runs it."""
    name = row["filename"] or f"{row['step_name']}-v{row['version']}"
    if row["filename"] is None and row["media_type"] == artifacts.JSON_MEDIA_TYPE:
        name += ".json"
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\/' else "_" for c in name)
    return {
        "Content-Type": _header_text(row["media_type"]),
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-cache",
        "Accept-Ranges": "bytes",
        "ETag": f'"{row["sha256"]}"',
    }


def _header_text(text: str) -> str:
    return "".join(c for c in text if c.isascii() and c.isprintable()) or "application/octet-stream"
