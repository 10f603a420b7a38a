"""What a worker reports, as messages (`docs/ingest.md`): pure functions to dicts.

The same messages go to Redis, into a run's `spool.jsonl` and, as requests, to the API. What they are made
from is made acceptable here (`acceptable`) for every caller.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from runcast import contract
from runcast._support import acceptable, encoding, times
from runcast._support.ids import uuid7

Message = dict[str, Any]

LINES = "lines"
LOG = "agent:log"
METRICS = "run:metrics"
LARGEST_STEP = 2**53 - 1
WORKER_STATUS = "worker:status"
RUNTIME_EVENT = "runtime:event"

_SYNONYMS = {
    "success": "completed",
    "succeeded": "completed",
    "done": "completed",
    "ok": "completed",
    "finished": "completed",
    "error": "failed",
    "failure": "failed",
    "crashed": "failed",
    "canceled": "cancelled",
    "aborted": "cancelled",
    "killed": "cancelled",
}
"""What people call the statuses elsewhere."""

_CHANGES: Mapping[str, Callable[[Any], Any]] = {
    "status": lambda value: status(value, contract.STATUSES),
    "current_step": acceptable.name,
    "error": acceptable.text,
    "will_retry": acceptable.truth,
    "result": acceptable.json,
    "pr_url": acceptable.url,
    "name": acceptable.title,
    "metadata": acceptable.mapping,
    "labels": acceptable.labels,
    "usage": acceptable.mapping,
    "attention": acceptable.json,
    "aliases": acceptable.keys,
}
"""The fields of a run that may change, and what makes each acceptable."""

_MADE_OF: Mapping[str, Callable[[Any], Any]] = {
    "key": acceptable.key,
    "name": acceptable.title,
    "phase": acceptable.name,
    "current_step": acceptable.name,
    "steps": acceptable.steps,
    "agent_type": acceptable.name,
    "agent_name": acceptable.name,
    "task_id": lambda value: str(acceptable.as_uuid(value) or "") or None,
    "metadata": acceptable.mapping,
    "labels": acceptable.labels,
}


def event(type: str, run_id: str, data: dict[str, Any], *, id: str | None = None) -> Message:
    """Any event of a run. A message that comes twice with one `id` counts once, for 24 h."""
    return {"type": type, "id": id or str(uuid7()), "run_id": run_id, "data": _given(data)}


def started(run_id: str, *, project: str | None = None, **fields: Any) -> Message:
    """The run begins; with a `project` it is created where it doesn't exist yet."""
    known = {
        name: _MADE_OF.get(name, acceptable.json)(value)
        for name, value in fields.items()
        if value is not None
    }
    message = event("agent:started", run_id, known)
    return message if project is None else {**message, "project": acceptable.project(project)}


def completed(run_id: str, *, result: Any = None, pr_url: str | None = None) -> Message:
    data = {"result": acceptable.json(result), "pr_url": acceptable.url(pr_url)}
    return event("agent:completed", run_id, data)


def failed(
    run_id: str, error: str, *, will_retry: bool | None = None, result: Any = None
) -> Message:
    data = {
        "error": acceptable.text(error),
        "will_retry": None if will_retry is None else bool(will_retry),
        "result": acceptable.json(result),
    }
    return event("agent:failed", run_id, data)


def log(run_id: str, message: str, **fields: Any) -> Message:
    """One log entry, of what `log_data` takes. For many, `lines` costs less and can't be doubled at all."""
    return event(LOG, run_id, log_data(message, **fields))


def log_data(
    message: Any,
    level: Any = None,
    agent_name: Any = None,
    event_type: Any = None,
    payload: Any = None,
    ts: str | None = None,
) -> dict[str, Any]:
    """What a log entry says. (A member after the other: programs make a hundred thousand a second.)"""
    data: dict[str, Any] = {"message": acceptable.text(message)}
    if level is not None:
        data["level"] = acceptable.level(level)
    if agent_name is not None and (named := acceptable.name(agent_name)) is not None:
        data["agent_name"] = named
    if event_type is not None and (kind := acceptable.name(event_type)) is not None:
        data["event_type"] = kind
    if payload is not None:
        data["payload"] = acceptable.json(payload, acceptable.PAYLOAD_BYTES)
    data["ts"] = ts or times.to_milliseconds(times.now())
    return data


def progress(
    run_id: str,
    stage: str,
    message: str,
    *,
    percent: float | None = None,
    step: float | None = None,
    total_steps: float | None = None,
    ts: str | None = None,
) -> Message:
    """How far a run is; a `stage` that is one of its steps also makes it the current one."""
    data = {
        "ts": ts or times.to_milliseconds(times.now()),
        "stage": acceptable.name(stage) or "-",
        "message": acceptable.text(message),
        "percent": acceptable.percent(percent),
        "step": acceptable.whole(step),
        "total_steps": acceptable.whole(total_steps),
    }
    return event("run:progress", run_id, data)


def measured(run_id: str, name: str, value: float, step: Any = None) -> Message:
    """A point of a metric; `value` is finite (`acceptable.number`)."""
    data = {
        "metrics": {acceptable.metric(name): value},
        "step": acceptable.whole(step, high=LARGEST_STEP),
        "ts": times.to_milliseconds(times.now()),
    }
    return event(METRICS, run_id, data)


def updated(run_id: str, **changed: Any) -> Message:
    """Other fields of the run: `status`, `current_step`, `result`, `pr_url`, `metadata`, `labels` …

    A field that a run doesn't have is kept in its metadata. `attention=None` takes it away; None says
    nothing of the others."""
    known = {
        name: _CHANGES[name](changed[name]) for name in _CHANGES if changed.get(name) is not None
    }
    if known.get("status", "") is None:
        del known["status"]  # it is no status: kept like a field that a run doesn't have
        others = {"status": changed["status"]}
    else:
        others = {}
    others |= {name: changed[name] for name in changed if name not in _CHANGES}
    if others:
        known["metadata"] = {**acceptable.mapping(others), **known.get("metadata", {})}
    message = event("run:updated", run_id, known)
    if "attention" in changed and changed["attention"] is None:
        message["data"]["attention"] = None
    return message


def artifact(
    run_id: str, step_name: str, content: Any, *, artifact_id: str | None = None
) -> Message:
    data = {
        "artifact_id": artifact_id or str(uuid7()),
        "step_name": acceptable.name(step_name) or "-",
        "content": encoding.decode(encoding.encode(content)),
    }
    return event("artifact:created", run_id, data)


def custom(run_id: str, name: str, data: Any) -> Message:
    """A worker's own event, `x:<name>`; up to 64 KiB of JSON."""
    # The server puts the run's id into what it measures.
    limit = contract.EVENT_BYTES - 1_024
    return event(acceptable.event_name(name), run_id, acceptable.mapping(data, limit))


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


def status(value: Any, allowed: frozenset[str]) -> str | None:
    """The status that a value means, by its name here or elsewhere; None if it means none."""
    named = acceptable.printable(value).strip().lower()
    named = _SYNONYMS.get(named, named)
    return named if named in allowed else None


def _given(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value is not None}
