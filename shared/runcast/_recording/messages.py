"""What a worker reports, as messages (`docs/ingest.md`): pure functions to dicts.

The same messages go to Redis, into a run's `spool.jsonl` and, as requests, to the API.
"""

from collections.abc import Sequence
from typing import Any

from runcast._support import times
from runcast._support.ids import uuid7

Message = dict[str, Any]

LINES = "lines"
WORKER_STATUS = "worker:status"
RUNTIME_EVENT = "runtime:event"


def event(type: str, run_id: str, data: dict[str, Any], *, id: str | None = None) -> Message:
    """Any event of a run. A message that comes twice with one `id` counts once, for 24 h."""
    return {"type": type, "id": id or str(uuid7()), "run_id": run_id, "data": _given(data)}


def started(run_id: str, *, project: str | None = None, **fields: Any) -> Message:
    """The run begins; with a `project` it is created where it doesn't exist yet."""
    message = event("agent:started", run_id, fields)
    return message if project is None else {**message, "project": project}


def completed(run_id: str, *, result: Any = None, pr_url: str | None = None) -> Message:
    return event("agent:completed", run_id, {"result": result, "pr_url": pr_url})


def failed(
    run_id: str, error: str, *, will_retry: bool | None = None, result: Any = None
) -> Message:
    data = {"error": error, "will_retry": will_retry, "result": result}
    return event("agent:failed", run_id, data)


def log(
    run_id: str,
    message: str,
    *,
    level: str | None = None,
    agent_name: str | None = None,
    event_type: str | None = None,
    payload: Any = None,
    ts: str | None = None,
) -> Message:
    """One log entry. For many, `lines` costs less and can't be doubled at all."""
    data = {
        "message": message,
        "level": level,
        "agent_name": agent_name,
        "event_type": event_type,
        "payload": payload,
        "ts": ts or times.to_milliseconds(times.now()),
    }
    return event("agent:log", run_id, data)


def progress(
    run_id: str,
    stage: str,
    message: str,
    *,
    percent: int | None = None,
    step: int | None = None,
    total_steps: int | None = None,
    ts: str | None = None,
) -> Message:
    """How far a run is; a `stage` that is one of its steps also makes it the current one."""
    data = {
        "ts": ts or times.to_milliseconds(times.now()),
        "stage": stage,
        "message": message,
        "percent": percent,
        "step": step,
        "total_steps": total_steps,
    }
    return event("run:progress", run_id, data)


def updated(run_id: str, **changed: Any) -> Message:
    """Other fields of the run: `status`, `current_step`, `result`, `pr_url`, `metadata`."""
    return event("run:updated", run_id, changed)


def artifact(
    run_id: str, step_name: str, content: Any, *, artifact_id: str | None = None
) -> Message:
    data = {"artifact_id": artifact_id or str(uuid7()), "step_name": step_name, "content": content}
    return event("artifact:created", run_id, data)


def custom(run_id: str, name: str, data: dict[str, Any]) -> Message:
    """A worker's own event, `x:<name>`; up to 64 KiB of JSON."""
    return event(name if name.startswith("x:") else f"x:{name}", run_id, data)


def lines(
    run_id: str,
    source: str,
    texts: Sequence[str],
    *,
    first_line: int,
    first_offset: int,
    generation: int = 1,
) -> Message:
    """Lines of a source, known by their place in it: sent twice, they are stored once.

    `first_line` counts from 1 within the generation, `first_offset` is the byte at which the
    first of them starts; the texts come without their end of line.
    """
    return {
        "type": LINES,
        "run_id": run_id,
        "source": source,
        "generation": generation,
        "first_line": first_line,
        "first_offset": first_offset,
        "lines": list(texts),
    }


def worker_status(worker_id: str, **fields: Any) -> Message:
    return {"type": WORKER_STATUS, "data": _given({"worker_id": worker_id, **fields})}


def runtime_event(**fields: Any) -> Message:
    return {"type": RUNTIME_EVENT, "id": str(uuid7()), "data": _given(fields)}


def _given(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value is not None}
