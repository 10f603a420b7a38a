"""What the spans of a trace mean: a run with its agents as children, tools, requests to models.

Spans come when they end, so children come before their parents, perhaps in another request. What comes in one
request is read as a tree; what came before is known by its trace alone (`traces`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

import orjson

from runcast.agents import texts
from runcast_api.http import nesting
from runcast_api.logs.entries import LogEntry
from runcast_api.otlp import names
from runcast_api.otlp.logs import MODEL_CHARACTERS, NO_MODEL, identity, program_of
from runcast_api.otlp.said import entry
from runcast_api.otlp.wire import Bundle, Json, Span, milliseconds, moment
from runcast_api.usage.requests import UsedRequest

NAME_CHARACTERS = 200
ERROR_CHARACTERS = 4000
MAX_AGENTS = 500
"""Agents of one trace in one request that become runs; what others did is shown where they lie."""
Which = Literal["agents", "all"]
"""Of spans that are neither agent, model nor tool: none, or all as entries."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a span says in its run. `agent`: the span of the agent in which it lies, empty for the trace's
    own run."""

    id: UUID
    agent: str
    entries: tuple[LogEntry, ...] = ()
    used: UsedRequest | None = None


@dataclass(frozen=True, slots=True)
class Agent:
    """A span that is a run: an agent, or the root of a trace."""

    id: UUID
    span_id: str
    parent: str
    """The agent's span in which it lies, as far as it came with it."""
    is_root: bool
    name: str
    agent_name: str | None
    error: str | None
    """Why it failed; None where it did not."""


@dataclass(slots=True)
class Trace:
    """Spans of one trace that came together. `agents`: parents before their children."""

    trace_id: UUID
    service: str
    conversation: str
    named: str
    """The run that the program names, if it does."""
    agents: list[Agent] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    @property
    def ids(self) -> list[UUID]:
        """Of all its spans."""
        return [one.id for one in self.told] + [one.id for one in self.agents]


def traces(bundles: Iterable[Bundle], which: Which) -> list[Trace]:
    """The traces of a request. Those of services that take part in one trace are read together. Spans of
    agents whose log records say the same are left out."""
    found: dict[str, list[tuple[Json, Span]]] = {}
    for bundle in bundles:
        if program_of(bundle.resource) is None:
            for span in bundle.items:
                found.setdefault(span.trace_id, []).append((bundle.resource, span))
    return [_trace(trace_id, its, which) for trace_id, its in found.items()]


def _trace(trace_id: str, its: list[tuple[Json, Span]], which: Which) -> Trace:
    first = next((resource for resource, span in its if not span.parent_id), its[0][0])
    trace = Trace(
        UUID(trace_id),
        names.text(first, (names.SERVICE,)) or names.NO_SERVICE,
        next(filter(None, (names.text(s.attributes, names.CONVERSATION) for _, s in its)), ""),
        next(filter(None, (names.text(resource, (names.RUN,)) for resource, _ in its)), ""),
    )
    said: list[tuple[int, Told]] = []
    for span, around in _downwards({span.span_id: span for _, span in its}, trace.agents):
        told = _told(span, names.kind_of(span.attributes), around, which)
        if told is not None:
            said.append((span.start, told))
    trace.told = [told for _, told in sorted(said, key=lambda one: one[0])]
    return trace


def _downwards(by_id: dict[str, Span], agents: list[Agent]) -> Iterator[tuple[Span, str]]:
    """Each span with the agent in which it lies, parents before their children; `agents` gets those that are
    runs. Spans around which none came are the outermost ones; so is one of those that go in a circle."""
    children: dict[str, list[Span]] = {}
    for span in by_id.values():
        children.setdefault(span.parent_id if span.parent_id in by_id else "", []).append(span)
    left = dict(by_id)
    while left:
        outermost = children.pop("", None) or [next(iter(left.values()))]
        todo = deque((span, "") for span in sorted(outermost, key=lambda one: one.start))
        while todo:
            span, around = todo.popleft()
            if left.pop(span.span_id, None) is None:
                continue
            is_run = names.kind_of(span.attributes) == "agent" or not span.parent_id
            if is_run and len(agents) < MAX_AGENTS:
                agents.append(_agent(span, around))
                around = span.span_id
            yield span, around
            todo.extend((child, around) for child in children.get(span.span_id, ()))


def _agent(span: Span, parent: str) -> Agent:
    agent = names.text(span.attributes, names.AGENT)
    error = None
    if span.has_failed:
        error = span.message.replace("\x00", "␀") or names.text(span.attributes, names.ERROR)
        error = (error or "it failed")[:ERROR_CHARACTERS]
    return Agent(
        identity("agent", span.trace_id, span.span_id),
        span.span_id,
        parent,
        not span.parent_id,
        (span.name.replace("\x00", "␀") or agent or "trace")[:NAME_CHARACTERS],
        agent[:NAME_CHARACTERS] or None,
        error,
    )


def _told(span: Span, kind: names.Kind, agent: str, which: Which) -> Told | None:
    entries = [_exception(event.attributes, event.time) for event in _exceptions(span)]
    used = None
    if kind == "tool":
        begun, ended = _tool(span)
        entries = [begun, *entries, ended]
    elif kind == "model":
        used = _used(span)
        entries = [*_answer(span), *entries]
    elif which == "all" and kind == "other":
        payload = {"ms": milliseconds(span)} | span.attributes
        said = entry("span", span.name or "span", moment(span.end), "debug", payload=payload)
        entries = [said, *entries]
    if not entries and used is None:
        return None
    return Told(identity("span", span.trace_id, span.span_id), agent, tuple(entries), used)


def _exceptions(span: Span) -> Iterator[Any]:
    return (event for event in span.events if event.name == "exception")


def _exception(attributes: Json, at: int) -> LogEntry:
    kind = names.text(attributes, ("exception.type",))
    said = names.text(attributes, ("exception.message",))
    message = ": ".join(filter(None, (kind, said))) or "an exception"
    trace = names.text(attributes, ("exception.stacktrace",))
    return entry(
        "error", message, moment(at), "error", payload={"stacktrace": trace} if trace else None
    )


def _tool(span: Span) -> tuple[LogEntry, LogEntry]:
    attributes = span.attributes
    tool = names.text(attributes, names.TOOL)[:NAME_CHARACTERS] or span.name or "tool"
    call_id = names.text(attributes, names.CALL_ID)[:NAME_CHARACTERS] or span.span_id
    given = _parsed(names.value(attributes, names.ARGUMENTS))
    result = names.value(attributes, names.RESULT)
    error = names.text(attributes, names.ERROR) or None
    ok = not span.has_failed and error is None
    message = texts.text_of(result) if result is not None else ""
    if not message:
        message = tool if ok else f"{tool} failed: {span.message or error or 'no reason given'}"
    ended: Json = {"tool": tool, "call_id": call_id, "ok": ok, "ms": milliseconds(span)}
    if error:
        ended["error"] = error[:ERROR_CHARACTERS]
    begun: Json = {"tool": tool, "call_id": call_id}
    if given is not None:
        begun["input"] = texts.small(given)[0]
    result_shown = texts.shortened(message, texts.RESULT_BYTES)[0]
    level = "info" if ok else "error"
    return (
        entry("tool", texts.headline(tool, given), moment(span.start), payload=begun),
        entry("tool_result", result_shown, moment(span.end), level, payload=ended),
    )


def _parsed(given: Any) -> Any:
    """Arguments as they are, or the JSON in their text."""
    if not isinstance(given, str):
        return given
    try:
        return nesting.loads(given)
    except orjson.JSONDecodeError:
        return {"input": given}


def _used(span: Span) -> UsedRequest | None:
    attributes = span.attributes
    read = names.count(attributes, names.CACHE_READ)
    written = names.count(attributes, names.CACHE_WRITE)
    given = names.uncached(names.count(attributes, names.INPUT_TOKENS), read, written)
    output = names.count(attributes, names.OUTPUT_TOKENS)
    if not (given or output or read or written):
        return None
    return UsedRequest(
        id=f"otlp:{span.trace_id}:{span.span_id}",
        model=names.text(attributes, names.MODEL)[:MODEL_CHARACTERS] or NO_MODEL,
        input_tokens=given,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=names.count(attributes, names.REASONING),
    )


def _answer(span: Span) -> Iterator[LogEntry]:
    """What the model said, where its program sends that."""
    said = _words(_parsed_messages(names.value(span.attributes, names.OUTPUT)))
    if said:
        yield entry("say", said, moment(span.end))


def _parsed_messages(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return nesting.loads(given) if given[:1] in "[{" else given
    except orjson.JSONDecodeError:
        return given


def _words(messages: Any) -> str:
    """The texts in messages of the conventions: `[{"role", "parts": [{"type": "text", "content"}]}]`."""
    if isinstance(messages, str):
        return messages
    listed = messages if isinstance(messages, list) else [messages]
    said: list[str] = []
    for message in listed[:100]:
        if not isinstance(message, dict):
            continue
        for part in [message, *_list(message.get("parts")), *_list(message.get("content"))]:
            for name in ("text", "content"):
                if isinstance(part, dict) and isinstance(found := part.get(name), str):
                    said.append(found)
    return "\n".join(said)


def _list(given: Any) -> list[Any]:
    return given[:100] if isinstance(given, list) else []
