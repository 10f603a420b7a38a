"""What each type of message does: one function each, on the same domain functions as the REST endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from runcast._support import times
from runcast_api.artifacts import artifacts
from runcast_api.artifacts.artifacts import JSON_MEDIA_TYPE
from runcast_api.ingest.artifact_message import ArtifactMessage
from runcast_api.ingest.auto_create import fill_bare, first_complaint
from runcast_api.ingest.batch_state import Run, Scope
from runcast_api.ingest.messages import Message, Refused
from runcast_api.ingest.slow_path import Handler, Handlers, RunlessHandler
from runcast_api.logs import entries
from runcast_api.questions import questions
from runcast_api.questions.schemas import QuestionNew
from runcast_api.runs import metrics, names, progress, runs, schemas
from runcast_api.storage.quotas import Admission, Open
from runcast_api.usage import requests
from runcast_api.usage.requests import UsedRequests
from runcast_server.auth.principal import Principal
from runcast_server.eventlog.frames import Event

Model = TypeVar("Model", bound=BaseModel)

INGEST = Principal(name="ingest")
"""Who asks a question that came by a message."""

CLEARED = frozenset({"attention", "parent_run_id"})
"""Members of a run that a message takes away by saying null."""


def handlers(
    *,
    line_bytes: int,
    runless: Mapping[str, RunlessHandler] | None = None,
    admission: Admission | None = None,
) -> Handlers:
    """All of them. `runless` brings those about no run (workers, runtime events); `admission` says which
    projects may add no lines."""

    async def log(scope: Scope, run: Run, message: Message) -> None:
        entry = entries.entry_of(message.data, "data")
        now = times.to_milliseconds(times.now())
        source = message.source or "worker"
        encoded = entries.encode(entry, now, line_bytes, "data", source=source)
        scope.emit(run, entries.lines_of(run.id, [encoded], run.take_line_numbers(1) + 1))

    of_run: dict[str, Handler] = {
        "agent:log": log,
        "agent:started": start,
        "agent:completed": complete,
        "agent:failed": fail,
        "run:updated": update,
        "run:progress": report_progress,
        "artifact:created": keep_artifact,
        "question:asked": ask,
        "run:usage": add_usage,
        "run:metrics": add_metrics,
    }
    return Handlers(of_run, emit_custom, runless or {}, admission or Open())


async def start(scope: Scope, run: Run, message: Message) -> None:
    """The run begins. What else the message says made the run, fills in a bare one, or changes nothing."""
    await scope.save_runs()
    await fill_bare(scope.transaction, message, run.id, run.project_id)
    await _change(scope, run, {"status": "running"})


async def complete(scope: Scope, run: Run, message: Message) -> None:
    given = _pick(message, "result", "pr_url")
    await _change(scope, run, given | {"status": "completed"})


async def fail(scope: Scope, run: Run, message: Message) -> None:
    given = _pick(message, "error", "will_retry", "result")
    await _change(scope, run, given | {"status": "failed"})


async def update(scope: Scope, run: Run, message: Message) -> None:
    """Any of the members that PATCH takes. Null says something of those in `CLEARED` alone."""
    given = {k: v for k, v in message.data.items() if v is not None or k in CLEARED}
    if "aliases" in given:
        aliases = _model(schemas.RunPatch, {"aliases": given["aliases"]}).aliases or []
        connection = scope.transaction.connection
        given["aliases"] = await names.of_sessions(connection, run.project_id, aliases, run.id)
    await _change(scope, run, given)


async def report_progress(scope: Scope, run: Run, message: Message) -> None:
    await scope.save_runs()
    await progress.report(scope.transaction, run.id, _model(progress.ProgressNew, message.data))


async def keep_artifact(scope: Scope, run: Run, message: Message) -> None:
    """An output of a step, once per `artifact_id`: `content` (JSON), `content_base64`, or the `object_key`
    under which the sender has put it. Without any of these its content comes over HTTP."""
    given = _model(ArtifactMessage, message.data)
    stored = given.stored(run.project_id)
    if stored is None:
        return
    await scope.save_runs()
    media_type = given.media_type or JSON_MEDIA_TYPE
    upload = artifacts.Upload(
        given.step_name, media_type, stored, given.filename, given.artifact_id
    )
    await artifacts.create(scope.transaction, run.id, upload)


async def ask(scope: Scope, run: Run, message: Message) -> None:
    """A question to people, once per `id` or `dedupe_key`."""
    new = _model(QuestionNew, message.data)
    await scope.save_runs()
    await questions.ask(scope.transaction, run.id, new, INGEST)


async def add_usage(scope: Scope, run: Run, message: Message) -> None:
    """Single requests to a model, each once by its id."""
    given = _model(UsedRequests, message.data)
    await scope.save_runs()
    await requests.add(scope.transaction, run.id, given)


async def add_metrics(scope: Scope, run: Run, message: Message) -> None:
    """Numbers that were measured together."""
    given = _model(metrics.Measured, message.data)
    await scope.save_runs()
    await metrics.add(scope.transaction, run.id, [given])


async def emit_custom(scope: Scope, run: Run, message: Message) -> None:
    """A worker's own event, as it is."""
    data: dict[str, Any] = {"run_id": str(run.id)} | message.data | {"run_id": str(run.id)}
    scope.emit(run, Event(message.type, orjson.dumps(data), run.id))


async def _change(scope: Scope, run: Run, given: dict[str, Any]) -> None:
    await scope.save_runs()
    await runs.patch(scope.transaction, run.id, _model(schemas.RunPatch, given))


def _pick(message: Message, *names: str) -> dict[str, Any]:
    return {name: message.data[name] for name in names if message.data.get(name) is not None}


def _model(kind: type[Model], data: dict[str, Any]) -> Model:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise Refused(first_complaint(error)) from error
