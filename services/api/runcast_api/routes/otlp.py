"""`/v1/logs`, `/v1/traces`, `/v1/metrics`, also beneath `/otlp/`: telemetry over OTLP/HTTP.

Answers and refusals come in the form of the request, protocol buffers or JSON, as the protocol wants it.
Source: the OpenTelemetry protocol's specification 1.x, "OTLP/HTTP".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from runcast_api.dependencies import Api, Bearer
from runcast_api.http import problems, query_names, request_body
from runcast_api.otlp import json_form, logs, names, protobuf_form, spans, taking, taking_traces
from runcast_api.otlp.said import Said
from runcast_api.otlp.wire import Bundle, Export, Refused, Unreadable
from runcast_server.auth.principal import Principal
from runcast_server.errors import (
    PROBLEM_MEDIA_TYPE,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    QuotaExceeded,
    Unavailable,
)

T = TypeVar("T")

BODY_BYTES = 20 * 1024 * 1024
"""A body at most, before and after it is inflated."""
WAIT_SECONDS = 20.0
PAUSE = 100
"""Records after which others get their turn."""
LARGE = 256 * 1024
"""A larger body is read in a thread, so that others run meanwhile."""
NAMED_PROJECTS = 50
"""Projects that the resources of one request may name."""
NO_PROJECT = "this key belongs to no project; name one here, or as the resource's runcast.project"
_GRPC_CODES = {401: 16, 403: 7, 404: 5, 409: 10, 429: 8, 500: 13, 503: 14}
"""`google.rpc.Code` by status of HTTP; what isn't here is an invalid argument (3)."""

router = APIRouter(tags=["telemetry"])


class UnsupportedType(Problem):
    """A body that is neither protocol buffers nor JSON."""

    status = 415
    type = "unsupported-type"
    title = "The body's type isn't supported"


@dataclass(frozen=True)
class Form:
    """One of the two forms."""

    media_type: str
    logs: Callable[[bytes], Export]
    spans: Callable[[bytes], Export]
    check_metrics: Callable[[bytes], None]
    logs_answer: Callable[[Refused], bytes]
    spans_answer: Callable[[Refused], bytes]
    status: Callable[[int, str], bytes]


def _form(module: Any) -> Form:
    return Form(
        module.MEDIA_TYPE,
        module.logs,
        module.spans,
        module.check_metrics,
        module.logs_answer,
        module.spans_answer,
        module.status,
    )


_PROTOBUF, _JSON = _form(protobuf_form), _form(json_form)
_FORMS = {form.media_type: form for form in (_PROTOBUF, _JSON)}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    """The same in both forms."""
    protobuf = {"schema": {"type": "string", "format": "binary"}}
    return {_PROTOBUF.media_type: protobuf, _JSON.media_type: {"schema": schema}}


_STATUS = {
    "type": "object",
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
    "required": ["code", "message"],
}


def _described(service: str) -> dict[str, Any]:
    """How an operation is described: its bodies aren't schemas of ours."""
    project = {
        "name": "project",
        "in": "query",
        "required": False,
        "schema": {"type": "string"},
        "description": "Where the key belongs to no project; else its own.",
    }
    given = {"type": "object", "description": f"Export{service}ServiceRequest"}
    answered = {"type": "object", "description": f"Export{service}ServiceResponse"}
    return {
        "requestBody": {"required": True, "content": _content(given)},
        "parameters": [project],
        "responses": {
            "200": {"description": "Taken, perhaps in part.", "content": _content(answered)},
            "default": {
                "description": "A `google.rpc.Status`; before the request is read, a problem.",
                "content": _content(_STATUS) | {PROBLEM_MEDIA_TYPE: {"schema": {"type": "object"}}},
            },
        },
    }


@router.post("/v1/logs", openapi_extra=_described("Logs"))
@router.post(
    "/otlp/v1/logs",
    operation_id="receive_telemetry_logs_beneath_otlp",
    openapi_extra=_described("Logs"),
)
async def receive_telemetry_logs(request: Request, _: Bearer) -> Response:
    """Log records: telemetry of agents, or entries of any program."""
    return await _answer(request, _take_logs)


@router.post("/v1/traces", openapi_extra=_described("Trace"))
@router.post(
    "/otlp/v1/traces",
    operation_id="receive_telemetry_traces_beneath_otlp",
    openapi_extra=_described("Trace"),
)
async def receive_telemetry_traces(request: Request, _: Bearer) -> Response:
    """Spans: runs of agents, with tools and requests to models."""
    return await _answer(request, _take_spans)


@router.post("/v1/metrics", openapi_extra=_described("Metrics"))
@router.post(
    "/otlp/v1/metrics",
    operation_id="receive_telemetry_metrics_beneath_otlp",
    openapi_extra=_described("Metrics"),
)
async def receive_telemetry_metrics(request: Request, _: Bearer) -> Response:
    """Metrics are read, and kept nowhere."""
    return await _answer(request, _check_metrics)


@dataclass(frozen=True)
class _Call:
    """One request, read."""

    api: Api
    caller: Principal
    form: Form
    body: bytes
    project: str | None

    @property
    def limit(self) -> int:
        return self.api.resources.settings.tailer.max_line_bytes

    async def aside(self, read: Callable[..., T], *given: Any) -> T:
        """What `read` answers; of a large body in a thread."""
        if len(self.body) <= LARGE:
            return read(*given)
        return await asyncio.to_thread(read, *given)

    async def own_project(self) -> UUID | None:
        """The project that the request or its key names. Raises `NotFound` or `Forbidden`."""
        if self.project is None:
            return None
        return await self.api.workplaces.project(self.caller, self.project)

    async def by_project(self, export: Export) -> dict[UUID, list[Bundle]]:
        """The bundles by the project that they name, or the request's. Of one that isn't there for the caller
        the items are refused. Raises `Invalid` where none is named at all."""
        own = await self.own_project()
        found: dict[UUID, list[Bundle]] = {}
        answers: dict[str, UUID | str] = {}
        for bundle in export:
            project_id: UUID | str | None = own
            if named := names.text(bundle.resource, (names.PROJECT,))[:200]:
                if named not in answers:
                    answers[named] = await self._project(named, len(answers))
                project_id = answers[named]
            if isinstance(project_id, str):
                export.refused.add(project_id, len(bundle.items))
                continue
            if project_id is None:
                raise Invalid.of("query.project", NO_PROJECT)
            found.setdefault(project_id, []).append(bundle)
        return found

    async def _project(self, named: str, known: int) -> UUID | str:
        """The project that a resource names, or why its items are refused. A transaction for each of a
        hundred thousand names would keep a place for hours."""
        if known >= NAMED_PROJECTS:
            return f"one request names at most {NAMED_PROJECTS} projects"
        try:
            return await self.api.workplaces.project(self.caller, named)
        except (NotFound, Forbidden) as problem:
            return problem.detail or problem.title


_Take = Callable[[_Call], Awaitable[bytes]]


async def _answer(request: Request, take: _Take) -> Response:
    """The answer in the request's form, whatever happens."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form = _FORMS.get(content_type)
    try:
        api: Api = request.app.state.api
        caller = await api.caller(request)
        query_names.refuse_unknown(request, ("project",))
        if form is None:
            raise UnsupportedType(f"{content_type[:100]!r} isn't taken; send {' or '.join(_FORMS)}")
        body = await request_body.read(request, BODY_BYTES)
        caller = await api.still(request)  # it may have come slowly
        project = request.query_params.get("project") or (
            str(caller.project_id) if caller.project_id else None
        )
        try:
            async with api.telemetry.of(caller.limit_name, WAIT_SECONDS):
                content = await take(_Call(api, caller, form, body, project))
        except TimeoutError:
            raise Unavailable("too much telemetry at once", retry_after_seconds=5) from None
        return Response(content, media_type=form.media_type)
    except Exception as error:
        return _refusal(error, form or _JSON)


def _refusal(error: Exception, form: Form) -> Response:
    if isinstance(error, Unreadable):
        return Response(form.status(3, str(error)), 400, media_type=form.media_type)
    answer = problems.response_to(error)
    problem = problems.problem_of(error)
    status = 400 if problem.status == 422 else problem.status
    content = form.status(_GRPC_CODES.get(status, 3), problem.detail or problem.title)
    kept = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("content-length", "content-type")
    }
    return Response(content, status, kept, form.media_type)


async def _take_logs(call: _Call) -> bytes:
    export = await call.aside(call.form.logs, call.body)
    for project_id, bundles in (await call.by_project(export)).items():
        said = [one async for one in _said(bundles)]
        if _is_over_quota(call, project_id):
            said = _without_lines(call, project_id, said, export.refused)
        refused = await taking.take_records(
            call.api.resources.eventlog, project_id, said, call.limit
        )
        export.refused.add(refused.why, refused.count)
    return call.form.logs_answer(export.refused)


async def _said(bundles: Iterable[Bundle]) -> AsyncIterator[Said]:
    """What the records come to; others run meanwhile."""
    count = 0
    for bundle in bundles:
        for one in logs.said(bundle):
            yield one
            count += 1
            if count % PAUSE == 0:
                await asyncio.sleep(0)


def _is_over_quota(call: _Call, project_id: UUID) -> bool:
    try:
        call.api.quotas.check(project_id)
    except QuotaExceeded:
        return True
    return False


def _without_lines(call: _Call, project_id: UUID, said: list[Said], refused: Refused) -> list[Said]:
    """What is taken all the same of a project that may add no lines: usage, and the end of questions. Raises
    `QuotaExceeded` where there is only lines."""
    kept = [one for one in said if one.entry is None]
    if not kept:
        call.api.quotas.check(project_id)
    refused.add("the project's quota is used up: its lines aren't taken", len(said) - len(kept))
    return kept


async def _take_spans(call: _Call) -> bytes:
    export = await call.aside(call.form.spans, call.body)
    which = call.api.resources.settings.api.otlp_spans
    for project_id, bundles in (await call.by_project(export)).items():
        call.api.quotas.check(project_id)
        told = await call.aside(spans.traces, bundles, which)
        refused = await taking_traces.take_traces(
            call.api.resources.eventlog, project_id, told, call.limit
        )
        export.refused.add(refused.why, refused.count)
    return call.form.spans_answer(export.refused)


async def _check_metrics(call: _Call) -> bytes:
    await call.own_project()
    await call.aside(call.form.check_metrics, call.body)
    return b"" if call.form is _PROTOBUF else b"{}"
