"""What events hold that people may want to be told, and whether it still holds later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from runcast import events
from runcast.contract import TERMINAL_STATUSES
from runcast_api.notifications.schemas import When

Json = Mapping[str, Any]

TYPES = (
    events.RUN_CREATED,
    events.RUN_STATUS_CHANGED,
    events.RUN_LIVENESS_CHANGED,
    events.RUN_UPDATED,
    events.QUESTION_ASKED,
    events.QUESTION_CLOSED,
)
_OF_QUESTIONS: Mapping[str, When] = {"permission": "permission", "plan": "plan"}
_OF_ATTENTION: Mapping[str, When] = {
    "permission": "permission",
    "question": "question",
    "plan": "plan",
    "error": "error",
    "budget": "budget",
}


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing to tell. `subject` is the same however often it is found; what lasts (`lasts`) can be told
    later, what merely happened is told soon or not at all."""

    kind: When
    subject: str
    run_id: UUID
    question_id: UUID | None = None


def of(event: Json) -> Iterator[Matter]:
    """The matters that an event begins. One that can't be read, because it was erased, begins none."""
    try:
        found = list(_READERS.get(event["type"], _nothing)(event, event["data"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return
    yield from found


def closed_question(event: Json) -> UUID | None:
    """The question that an event closes."""
    try:
        is_closing = event["type"] == events.QUESTION_CLOSED
        return UUID(event["data"]["question_id"]) if is_closing else None
    except (KeyError, TypeError, ValueError):
        return None


def lasts(kind: str) -> bool:
    """Whether it is something that goes on until someone does something."""
    return kind not in ("failed", "completed")


def still_holds(kind: str, subject: str, run: Json, question: Json | None) -> bool:
    """Whether what was to be told is so now; `run` and `question` as they are."""
    if subject.startswith("q:"):
        return question is not None and question["state"] == "open"
    if subject.startswith("a:"):
        attention = run["attention"] or {}
        return subject == _attention_subject(run["id"], attention)
    if kind == "stalled":
        return run["liveness"] != "ok" and run["status"] not in TERMINAL_STATUSES
    return bool(run["status"] == kind)


def _nothing(_: Json, __: Json) -> Iterator[Matter]:
    return iter(())


def _asked(_: Json, data: Json) -> Iterator[Matter]:
    question = data["question"]
    kind: When = _OF_QUESTIONS.get(question["kind"], "question")
    if question["via"] == "budget":
        kind = "budget"
    yield Matter(kind, f"q:{question['id']}", UUID(question["run_id"]), UUID(question["id"]))


def _moved(event: Json, data: Json) -> Iterator[Matter]:
    if data["new_status"] in ("failed", "completed"):
        yield Matter(data["new_status"], f"s:{event['id']}:{data['run_id']}", UUID(data["run_id"]))


def _fell_silent(event: Json, data: Json) -> Iterator[Matter]:
    if data["old_liveness"] == "ok" and data["new_liveness"] != "ok":
        yield Matter("stalled", f"l:{event['id']}:{data['run_id']}", UUID(data["run_id"]))


def _changed(_: Json, data: Json) -> Iterator[Matter]:
    yield from _needs(data["run_id"], data["changed"].get("attention"))


def _began(_: Json, data: Json) -> Iterator[Matter]:
    yield from _needs(data["run_id"], data["run"].get("attention"))


def _needs(run_id: str, attention: Json | None) -> Iterator[Matter]:
    """What a run needs that isn't a question: that has an event of its own."""
    if not attention or attention["question_id"] is not None:
        return
    kind = _OF_ATTENTION.get(attention["kind"])
    if kind is not None:
        yield Matter(kind, _attention_subject(run_id, attention), UUID(run_id))


def _attention_subject(run_id: object, attention: Json) -> str:
    return f"a:{run_id}:{attention.get('kind')}:{attention.get('since')}"


_READERS = {
    events.RUN_CREATED: _began,
    events.RUN_STATUS_CHANGED: _moved,
    events.RUN_LIVENESS_CHANGED: _fell_silent,
    events.RUN_UPDATED: _changed,
    events.QUESTION_ASKED: _asked,
}
