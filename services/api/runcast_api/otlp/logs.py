"""What log records mean: events of agents that send telemetry, and whatever else programs log.

Sources: the documents of Claude Code (monitoring usage), Codex (`otel`), Gemini CLI and Qwen Code
(telemetry). An event that isn't known is passed over; other programs' records become entries as they are.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

import orjson

from runcast._support import times
from runcast.agents import texts
from runcast_api.otlp import names
from runcast_api.otlp.said import Decision, Named, Said, Service, Session, Target, entry
from runcast_api.otlp.wire import Bundle, Json, Record, moment
from runcast_api.usage.requests import UsedRequest

MODEL_CHARACTERS = 200
NO_MODEL = "unknown"

_PROGRAMS = (
    ("claude-code", "claude"),
    ("codex", "codex"),
    ("gemini-cli", "gemini"),
    ("qwen-code", "qwen"),
)
"""Beginnings of the services' names, and the names by which runs know the programs."""
_PREFIXES = ("claude_code.", "codex.", "gemini_cli.", "qwen-code.", "qwen_code.")
_SESSION = ("session.id", "conversation.id")
_LEVELS = ("trace", "debug", "info", "warning", "error", "critical")
"""A level for each four severity numbers, from 1."""

Read = Callable[["_Event"], "dict[str, Any] | None"]


def said(bundle: Bundle) -> Iterator[Said]:
    """What each record of a bundle comes to."""
    program = program_of(bundle.resource)
    about = orjson.dumps([bundle.resource, bundle.scope], default=str)
    named = names.text(bundle.resource, (names.RUN,))
    service_on = _services(bundle.resource)
    for record in bundle.items:
        session_id = names.text(record.attributes, _SESSION) if program else ""
        if program and session_id:
            found = _of_agent(program, session_id, bundle.resource, record, about)
        else:
            found = _of_service(named, service_on, record, about)
        if found is not None:
            yield found


def program_of(resource: Json) -> str | None:
    """The agent whose telemetry this is; None for any other program."""
    service = names.text(resource, (names.SERVICE,)).lower().replace("_", "-")
    return next((program for begin, program in _PROGRAMS if service.startswith(begin)), None)


def identity(*parts: Any) -> UUID:
    """The same for what is sent again, whichever form it comes in."""
    said = b"\n".join(
        part if isinstance(part, bytes) else orjson.dumps(part, default=str) for part in parts
    )
    return UUID(bytes=hashlib.sha256(said).digest()[:16])


def _identity(record: Record, about: bytes, session: str = "") -> UUID:
    sequence = record.attributes.get("event.sequence")
    if session and sequence is not None:
        # The time stands with it: a program that goes on with a session may count from the beginning.
        return identity([session, str(sequence), record.time])
    return identity(about, [*record])


def _of_service(
    named: str, service_on: Callable[[str], Service], record: Record, about: bytes
) -> Said:
    at = moment(record.time)
    named = names.text(record.attributes, (names.RUN,)) or named
    target: Target = Named(named) if named else service_on((at or _now())[:10])
    trace = None if named or not record.trace_id else UUID(record.trace_id)
    event = record.event_name or names.text(record.attributes, ("event.name",))
    body = record.body
    if isinstance(body, str):
        message = body
    else:
        message = "" if body is None else orjson.dumps(body, default=str).decode()
    one = entry(
        event or None,
        message or event or "(empty)",
        at,
        _level(record),
        names.text(record.attributes, names.AGENT) or None,
        {name: value for name, value in record.attributes.items() if name != names.RUN},
    )
    return Said(_identity(record, about), target, at or _now(), trace, one)


def _services(resource: Json) -> Callable[[str], Service]:
    """The service of a resource, by the day of a record."""
    name = names.text(resource, (names.SERVICE,)) or names.NO_SERVICE
    if instance := names.text(resource, (names.INSTANCE,)):
        always = Service(name, instance, "")
        return lambda _: always
    return functools.cache(lambda day: Service(name, "", day))


def _level(record: Record) -> str | None:
    if 1 <= record.severity <= 4 * len(_LEVELS):
        return _LEVELS[(record.severity - 1) // 4]
    return record.severity_text.replace("\x00", "") or None


def _now() -> str:
    return times.to_milliseconds(times.now())


class _Event:
    """An event of an agent's telemetry."""

    def __init__(self, program: str, record: Record, id: UUID) -> None:
        self.program = program
        self.attributes = record.attributes
        self.id = id
        self.at = moment(record.time)
        self.name = _name(record)

    def text(self, *wanted: str) -> str:
        """The first of these attributes that says something."""
        return names.text(self.attributes, wanted)

    def count(self, *wanted: str) -> int:
        return names.count(self.attributes, wanted)

    def entry(self, event_type: str, message: str, level: str = "info", **payload: Any) -> Json:
        """An entry of the session, as members of `Said`; it may come from another source too."""
        kept = {name: value for name, value in payload.items() if value is not None}
        said = entry(event_type, message, self.at, level, self.program, kept)
        return {"entry": said, "is_content": True}


def _name(record: Record) -> str:
    named = record.event_name or names.text(record.attributes, ("event.name",))
    if not named and isinstance(record.body, str):
        named = record.body
    for prefix in _PREFIXES:
        named = named.removeprefix(prefix)
    return named


def _of_agent(
    program: str, session_id: str, resource: Json, record: Record, about: bytes
) -> Said | None:
    event = _Event(program, record, _identity(record, about, f"{program}-{session_id}"))
    read = _EVENTS.get(event.name)
    found = read(event) if read is not None else None
    if found is None:
        return None
    version = names.text(resource, ("service.version",))[:100]
    return Said(event.id, Session(program, session_id, version), event.at or _now(), **found)


def _request(event: _Event) -> Json | None:
    """A request to a model: what it used."""
    read = event.count("cache_read_tokens", "cached_token_count", "cached_content_token_count")
    written = event.count("cache_creation_tokens")
    given = event.count("input_tokens", "input_token_count")
    output = event.count("output_tokens", "output_token_count")
    reasoning = event.count("reasoning_token_count", "thoughts_token_count")
    if event.program in ("gemini", "qwen"):
        output += reasoning  # There reasoning isn't part of the output.
    if event.program != "claude":
        given = names.uncached(given, read, written)
    cost = event.attributes.get("cost_usd")
    is_cost = isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost < 1e12
    used = UsedRequest(
        id=f"otlp:{event.id}",
        model=event.text("model")[:MODEL_CHARACTERS] or NO_MODEL,
        input_tokens=given,
        output_tokens=min(output, names.MOST),
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
        cost_usd=cost if is_cost else None,
    )
    return {"used": used}


def _stream_event(event: _Event) -> Json | None:
    """Of Codex: only the end of an answer says what was used."""
    return _request(event) if event.text("event.kind").endswith("completed") else None


def _tool_result(event: _Event) -> Json | None:
    tool = event.text("tool_name", "function_name", "name")[:200] or "tool"
    ok = _is_true(event.attributes.get("success"))
    why = event.text("error", "error_type")
    message = event.text("output") or (tool if ok is not False else f"{tool} failed: {why}")
    return event.entry(
        "tool_result",
        texts.shortened(message.removesuffix(": "), texts.RESULT_BYTES)[0],
        "error" if ok is False else "info",
        tool=tool,
        call_id=event.text("tool_use_id", "call_id")[:200] or None,
        ok=ok,
        ms=event.count("duration_ms"),
        error=why[:1000] or None,
    )


def _is_true(given: Any) -> bool | None:
    if isinstance(given, str):
        return {"true": True, "false": False}.get(given.lower())
    return given if isinstance(given, bool) else None


def _tool_decision(event: _Event) -> Json | None:
    """A person's, at the terminal. One that the configuration made says nothing about any question."""
    if "user" not in event.text("source", "decision_source").lower():
        return None
    tool = event.text("tool_name", "function_name")
    return {"decision": Decision(tool, event.at or _now())} if tool else None


def _prompt(event: _Event) -> Json | None:
    """The text is there only where the person opted in to it."""
    prompt = event.text("prompt")
    if not prompt or prompt.strip("<[]>").upper() == "REDACTED":
        return None
    return event.entry("prompt", prompt)


def _api_error(event: _Event) -> Json | None:
    why = event.text("error", "error.message", "error_message") or "a request to the model failed"
    status = event.text("status_code") or event.attributes.get("status_code")
    return event.entry("notice", why, "warning", status=status)


_EVENTS: Mapping[str, Read] = {
    "api_request": _request,
    "api_response": _request,
    "sse_event": _stream_event,
    "tool_result": _tool_result,
    "tool_call": _tool_result,
    "tool_decision": _tool_decision,
    "user_prompt": _prompt,
    "api_error": _api_error,
}
