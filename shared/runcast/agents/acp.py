"""What an editor and its agent say to each other, read as what a session's run records.

The Agent Client Protocol: JSON-RPC, one message a line, in both directions over the agent's stdin and stdout.
One process may hold many sessions, so what is read names its session.
Source: https://agentclientprotocol.com/protocol (schema of version 1).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from runcast.agents.streams import entries
from runcast.agents.streams.entries import Call, list_of, object_of, text_of
from runcast.agents.streams.said import About, Entry, Said, Used, Waits
from runcast.agents.streams.usage import Sum

Json = dict[str, Any]
RequestId = int | str

PROGRAM = "acp"
MOST_SESSIONS = 100
"""Sessions of one process that are recorded."""
MOST_REQUESTS = 1_000
"""Requests of which the response is still to come, in each direction."""
MOST_CALLS = 1_000
JOINED_CHARACTERS = 64 * 1024
"""Parts of a message are joined up to this length."""
ROLES = {
    "allow_once": "allow",
    "allow_always": "allow_always",
    "reject_once": "deny",
    "reject_always": "deny",
}
"""The role of an option of a question, by the kind that the protocol gives it."""
_SILENT = frozenset(
    {
        "available_commands_update",
        "config_option_update",
        "current_mode_update",
        "user_message_chunk",
    }
)
"""Updates that are the editor's business alone."""


class Permission(NamedTuple):
    """What a permission is asked for: tells requests apart that have the same number."""

    session: str
    call_id: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """The agent asks the editor for a permission, and waits. `options` are as a question has them."""

    request: RequestId
    tool: str
    body: str
    given: Any
    permission: Permission
    options: list[Json]

    @property
    def call_id(self) -> str | None:
        return self.permission.call_id


@dataclass(frozen=True, slots=True)
class Resolved:
    """The editor has answered such a request."""

    request: RequestId


@dataclass(frozen=True, slots=True)
class Named:
    """The session's title."""

    title: str


class Heard(NamedTuple):
    """What a message says of a session."""

    session: str
    said: Said | Asked | Resolved | Named


@dataclass(eq=False, slots=True)
class _Session:
    calls: dict[str, Call] = field(default_factory=dict)
    sum: Sum = field(default_factory=Sum)
    parts: list[str] = field(default_factory=list)
    size: int = 0
    kind: str = ""
    is_replayed: bool = False
    """Its history is being shown to the editor again."""
    passed_over: int = 0


class _Request(NamedTuple):
    method: str
    session: str | None


@dataclass(eq=False)
class Conversation:
    """Reads both directions, in the order in which they were passed on.

    A message of another shape than documented says nothing; `unknown` counts those.
    """

    unknown: int = 0
    _facts: dict[str, str] = field(default_factory=dict)
    _sessions: dict[str, _Session] = field(default_factory=dict)
    _of_client: dict[RequestId, _Request] = field(default_factory=dict)
    _of_agent: dict[RequestId, _Request] = field(default_factory=dict)

    def from_client(self, message: Any) -> Iterator[Heard]:
        """What the editor says."""
        yield from self._safely(message, self._client)

    def from_agent(self, message: Any) -> Iterator[Heard]:
        """What the agent says."""
        yield from self._safely(message, self._agent)

    def finish(self) -> Iterator[Heard]:
        """What is left to say when nothing comes any more."""
        for name in self._sessions:
            yield from self._flush(name)

    def _safely(self, message: Any, read: Any) -> Iterator[Heard]:
        said: list[Heard] = []
        try:
            for heard in read(object_of(message)):
                said.append(heard)
        except (LookupError, TypeError, ValueError, AttributeError):
            self.unknown += 1
        yield from said

    # ---------------------------------------------------------------- the editor

    def _client(self, message: Json) -> Iterator[Heard]:
        method, request = message.get("method"), _request_id(message)
        if not isinstance(method, str):
            asked = self._of_agent.pop(request, None) if request is not None else None
            if asked is not None and asked.session is not None and request is not None:
                yield Heard(asked.session, Resolved(request))
            return
        given = object_of(message.get("params"))
        session = text_of(given, "sessionId") or None
        if request is not None:
            _keep(self._of_client, request, _Request(method, session))
        if session is None or (held := self._session(session)) is None:
            return
        match method:
            case "session/load":
                held.is_replayed = True
                yield from self._begin(session, given)
            case "session/prompt":
                yield from self._flush(session)
                yield Heard(session, Waits(None))
                if text := _text(given.get("prompt")):
                    yield Heard(session, Entry("prompt", entries.spoken(text), ts=_now()))
            case "session/cancel":
                yield Heard(session, Entry("notice", "Interrupted", "warning", ts=_now()))

    # ---------------------------------------------------------------- the agent

    def _agent(self, message: Json) -> Iterator[Heard]:
        method, request = message.get("method"), _request_id(message)
        if not isinstance(method, str):
            if request is not None and (asked := self._of_client.pop(request, None)) is not None:
                yield from self._answered(asked, message)
            return
        given = object_of(message.get("params"))
        session = text_of(given, "sessionId")
        if not session or self._session(session) is None:
            return
        if method == "session/update":
            yield from self._update(session, object_of(given.get("update")))
        elif method == "session/request_permission" and request is not None:
            yield from self._flush(session)
            _keep(self._of_agent, request, _Request(method, session))
            yield Heard(session, self._asks(session, request, given))

    def _answered(self, asked: _Request, message: Json) -> Iterator[Heard]:
        result = object_of(message.get("result"))
        session = asked.session or text_of(result, "sessionId")
        match asked.method:
            case "initialize":
                about = object_of(result.get("agentInfo"))
                self._facts |= {
                    name: value
                    for name, member in (("agent", "name"), ("version", "version"))
                    if (value := text_of(about, member))
                }
            case "session/new" if session and self._session(session) is not None:
                yield from self._begin(session, {})
            case "session/load" if session and (held := self._session(session)) is not None:
                held.is_replayed = False
                held.parts, held.size = [], 0
                if held.passed_over:
                    said = f"Continues a session of {held.passed_over:,} records"
                    held.passed_over = 0
                    yield Heard(session, Entry("notice", said, ts=_now()))
            case "session/prompt" if session and self._session(session) is not None:
                yield from self._flush(session)
                yield from self._turn_over(session, message, result)

    def _turn_over(self, session: str, message: Json, result: Json) -> Iterator[Heard]:
        if error := object_of(message.get("error")):
            said = text_of(error, "message") or "The agent refuses the prompt"
            yield Heard(session, Entry("error", said, "error", {"error": said}, _now()))
        reason = text_of(result, "stopReason")
        if reason not in ("", "end_turn"):
            said = f"The turn ended: {reason.replace('_', ' ')}"
            yield Heard(session, Entry("notice", said, "warning", ts=_now()))
        yield Heard(session, Waits("idle", "waits for a prompt"))

    def _begin(self, session: str, given: Json) -> Iterator[Heard]:
        facts = {"session_id": session} | self._facts
        if cwd := text_of(given, "cwd"):
            facts["cwd"] = cwd
        yield Heard(session, About(facts.pop("agent", PROGRAM), None, facts))

    def _asks(self, session: str, request: RequestId, given: Json) -> Asked:
        told = object_of(given.get("toolCall"))
        call_id = text_of(told, "toolCallId") or None
        known = self._sessions[session].calls.get(call_id or "")
        call = _call(told) if "title" in told or "rawInput" in told else known or _call(told)
        options = [
            {
                "id": text_of(each, "optionId"),
                "label": text_of(each, "name") or text_of(each, "optionId"),
                "role": ROLES.get(text_of(each, "kind"), "deny"),
            }
            for each in map(object_of, list_of(given.get("options")))
            if text_of(each, "optionId")
        ]
        body = call.headline.partition(": ")[2] or call.headline
        permission = Permission(session, call_id)
        return Asked(request, call.tool, body, call.given, permission, options)

    def _update(self, session: str, update: Json) -> Iterator[Heard]:
        held, kind = self._sessions[session], text_of(update, "sessionUpdate")
        if held.is_replayed:
            held.passed_over += 1
            if kind == "tool_call":
                self._hold(held, _call(update))
        elif kind in ("agent_message_chunk", "agent_thought_chunk"):
            yield from self._part(session, kind, _text([update.get("content")]))
        elif kind not in _SILENT:
            yield from self._flush(session)
            yield from self._step(session, kind, update)

    def _step(self, session: str, kind: str, update: Json) -> Iterator[Heard]:
        """An update that isn't a part of a message."""
        match kind:
            case "tool_call":
                call = _call(update)
                self._hold(self._sessions[session], call)
                for said in call.begun():
                    yield Heard(session, said)
                yield from self._result(session, update)
            case "tool_call_update":
                yield from self._result(session, update)
            case "plan":
                items = map(object_of, list_of(update.get("entries")))
                stands = [(text_of(each, "content"), text_of(each, "status")) for each in items]
                if (entry := entries.plan(stands, _now())) is not None:
                    yield Heard(session, entry)
            case "usage_update":
                yield Heard(session, Used(_usage(self._sessions[session].sum, update)))
            case "session_info_update":
                if title := text_of(update, "title"):
                    yield Heard(session, Named(title))
            case _:
                self.unknown += 1

    def _part(self, session: str, kind: str, text: str) -> Iterator[Heard]:
        held = self._sessions[session]
        if held.kind != kind or held.size > JOINED_CHARACTERS:
            yield from self._flush(session)
            held.kind = kind
        held.parts.append(text)
        held.size += len(text)

    def _flush(self, session: str) -> Iterator[Heard]:
        """What was said in parts, as one entry."""
        held = self._sessions[session]
        text, kind = "".join(held.parts), held.kind
        held.parts, held.size, held.kind = [], 0, ""
        if not text.strip():
            return
        is_thought = kind == "agent_thought_chunk"
        name, level = ("think", "debug") if is_thought else ("say", "info")
        yield Heard(session, Entry(name, entries.spoken(text), level, ts=_now()))

    def _result(self, session: str, update: Json) -> Iterator[Heard]:
        status = text_of(update, "status")
        if status not in ("completed", "failed"):
            return
        calls = self._sessions[session].calls
        call = calls.pop(text_of(update, "toolCallId"), None) or _call(update)
        text = _text(update.get("content")) or _raw_text(update.get("rawOutput"))
        yield Heard(session, call.ended(text, ok=status == "completed", at=_now()))

    def _hold(self, held: _Session, call: Call) -> None:
        held.calls[call.id] = call
        if len(held.calls) > MOST_CALLS:
            del held.calls[next(iter(held.calls))]

    def _session(self, session: str) -> _Session | None:
        """What is known of a session; None where too many are open."""
        held = self._sessions.get(session)
        if held is None and len(self._sessions) < MOST_SESSIONS:
            held = self._sessions[session] = _Session()
        return held


def permission_response(request: RequestId, option: str | None) -> Json:
    """What an editor says to a request for a permission; without an option, that it was cancelled."""
    outcome = {"outcome": "selected", "optionId": option} if option else {"outcome": "cancelled"}
    return {"jsonrpc": "2.0", "id": request, "result": {"outcome": outcome}}


def _keep(requests: dict[RequestId, _Request], request: RequestId, what: _Request) -> None:
    requests[request] = what
    if len(requests) > MOST_REQUESTS:
        del requests[next(iter(requests))]


def request_of(message: Any) -> tuple[RequestId, Permission] | None:
    """The number of a request of the agent, and the call that it concerns; None for any other message."""
    said = object_of(message)
    request, given = _request_id(said), object_of(said.get("params"))
    if request is None or not isinstance(said.get("method"), str):
        return None
    call_id = text_of(object_of(given.get("toolCall")), "toolCallId") or None
    return request, Permission(text_of(given, "sessionId"), call_id)


def _request_id(message: Json) -> RequestId | None:
    value = message.get("id")
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def _call(update: Json) -> Call:
    """The call that an update describes. Where its input isn't told, its title says what it does."""
    given = object_of(update.get("rawInput"))
    title = text_of(update, "title")
    call = Call(text_of(update, "kind") or "tool", text_of(update, "toolCallId"), given, _now())
    if title and call.headline == call.tool:
        return replace(call, given={"description": title} | given)
    return call


def _usage(total: Sum, update: Json) -> Json:
    total.context_tokens = entries.count(update.get("used"))
    total.context_window = entries.count(update.get("size")) or None
    cost = object_of(update.get("cost"))
    if text_of(cost, "currency") == "USD":
        total.cost_usd = entries.dollars(cost.get("amount"))
    return total.total()


def _text(content: Any) -> str:
    """What blocks of content show; what is no text is named with its size."""
    return "\n".join(filter(None, (_shown(object_of(each)) for each in list_of(content))))


def _shown(block: Json) -> str:
    match block.get("type"):
        case "text":
            return text_of(block, "text")
        case "content":
            return _shown(object_of(block.get("content")))
        case "diff":
            return f"diff of {text_of(block, 'path')}"
        case "resource_link":
            return text_of(block, "uri", "name")
        case "resource":
            resource = object_of(block.get("resource"))
            return text_of(resource, "text") or text_of(resource, "uri")
        case "image" | "audio":
            size = len(text_of(block, "data")) * 3 // 4
            return f"[{block['type']} {text_of(block, 'mimeType')}, {size:,} bytes]"
    return ""


def _raw_text(value: Any) -> str:
    if isinstance(value, dict):
        return text_of(value, "output", "stdout", "text", "error")
    return value if isinstance(value, str) else ""


def _now() -> datetime:
    """The protocol's messages carry no times: they are recorded as they pass."""
    return datetime.now(UTC)
