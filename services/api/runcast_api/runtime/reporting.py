"""What workers report through the ingest stream: `worker:status` and `runtime:event`.

A report is checked with its batch, and stored apart from it: see `sink`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from runcast_api.http.fields import Name
from runcast_api.ingest.auto_create import first_complaint
from runcast_api.ingest.batch_state import Scope
from runcast_api.ingest.messages import Message, Refused
from runcast_api.ingest.slow_path import RunlessHandler
from runcast_api.runtime.events import RuntimeEventNew
from runcast_api.runtime.sink import RuntimeSink
from runcast_api.runtime.workers import WorkerStatusNew

Model = TypeVar("Model", bound=BaseModel)

_WORKER_ID = TypeAdapter(Name)


def handlers(sink: RuntimeSink) -> Mapping[str, RunlessHandler]:
    """The handlers of both types of messages."""

    async def take_status(scope: Scope, message: Message) -> None:
        data = dict(message.data)
        try:
            worker_id = _WORKER_ID.validate_python(data.pop("worker_id", None))
        except ValidationError as error:
            raise Refused(f"worker_id: {first_complaint(error)}") from error
        status = _model(WorkerStatusNew, data)
        scope.after_commit(lambda: sink.put_status(worker_id, status))

    async def take_event(scope: Scope, message: Message) -> None:
        event = _model(RuntimeEventNew, message.data)
        scope.after_commit(lambda: sink.add(event))

    return {"worker:status": take_status, "runtime:event": take_event}


def _model(kind: type[Model], data: Mapping[str, Any]) -> Model:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise Refused(first_complaint(error)) from error
