"""`--output-format stream-json` of Claude Code, and of the programs with the same records: Cursor, Amp, Qwen.

Source: the documents of Claude Code's headless mode and its Agent SDK, and of Cursor's command line. A
message comes as one record for each of its blocks, with the same `message.id` and usage. What sub-agents do
carries the call that launched them in `parent_tool_use_id`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from runcast.agents import texts
from runcast.agents.streams import entries
from runcast.agents.streams.entries import Call, count, list_of, object_of, text_of
from runcast.agents.streams.said import (
    About,
    Began,
    Entry,
    Over,
    Said,
    Unknown,
    Used,
    Waits,
)
from runcast.agents.streams.usage import Sum

Json = dict[str, Any]

MAX_HELD = 4_096
"""Messages and calls of which something is still remembered."""
_PASSED_OVER = frozenset({"stream_event", "keep_alive", "rate_limit_event", "auth_status"})
_USAGE = {
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read_tokens": "cache_read_input_tokens",
    "cache_write_tokens": "cache_creation_input_tokens",
}
_MODEL_USAGE = {
    "input_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "cache_read_tokens": "cacheReadInputTokens",
    "cache_write_tokens": "cacheCreationInputTokens",
}
_FACTS = {
    "cwd": "cwd",
    "model": "model",
    "version": "claude_code_version",
    "permission_mode": "permissionMode",
}
_ENDS = frozenset({"completed", "failed", "killed", "stopped"})


class Claude:
    """Reads the records of one process."""

    def __init__(self, program: str = "claude", now: Callable[[], float] = time.time) -> None:
        self.program = program
        self._now = now
        self._calls: dict[str, Call] = {}
        self._messages: dict[str, tuple[str, dict[str, int]]] = {}
        self._sum = Sum()
        self._tasks: dict[str, str] = {}
        self._over: set[str] = set()
        self._session: str | None = None
        self._said = ""
        self._waits = False
        self._readers: Mapping[str, Callable[[Json], Iterator[Said]]] = {
            "system": self._system,
            "assistant": self._assistant,
            "user": self._user,
            "result": self._result,
            "control_request": self._asked,
            "control_response": self._works,
            "tool_call": self._cursor_tool,
            "thinking": self._cursor_thinks,
        }

    def read(self, record: Json) -> Iterator[Said]:
        kind = record.get("type")
        if kind in _PASSED_OVER:
            return
        reader = self._readers.get(kind) if isinstance(kind, str) else None
        if reader is None:
            raise Unknown(kind)
        if self._waits and kind != "control_request":
            yield from self._works(record)
        yield from reader(record)

    def finish(self) -> Iterator[Said]:
        for call in self._tasks.values():
            if call not in self._over:
                self._over.add(call)
                yield Over(child=call)

    def _system(self, record: Json) -> Iterator[Said]:
        match record.get("subtype"):
            case "init":
                yield self._about(record)
            case "compact_boundary":
                meta = object_of(record.get("compact_metadata") or record.get("compactMetadata"))
                before = meta.get("pre_tokens", meta.get("preTokens"))
                said = f"Context compacted ({meta.get('trigger')}, {before} tokens before)"
                yield self._entry("notice", said, record)
            case "api_retry":
                said = f"Retry {record.get('attempt')} of {record.get('max_retries')}"
                why = " ".join(
                    str(record[name]) for name in ("error_status", "error") if record.get(name)
                )
                yield self._entry("notice", f"{said}: {why}", record, "warning")
            case "permission_denied":
                said = text_of(record, "message") or f"{record.get('tool_name')} was denied"
                yield self._entry("notice", said, record, "warning")
            case "task_started" | "task_progress" | "task_notification" | "task_updated":
                yield from self._task(record)
            case _:
                return  # state of hooks, files and the like, which comes and goes with versions

    def _about(self, record: Json) -> About:
        self._session = text_of(record, "session_id") or self._session
        facts = {name: said for name, member in _FACTS.items() if (said := text_of(record, member))}
        return About(self.program, self._session, facts)

    def _task(self, record: Json) -> Iterator[Said]:
        """A sub-agent; another task in the background is told in a line."""
        task, call = text_of(record, "task_id"), text_of(record, "tool_use_id")
        kind = text_of(record, "task_type")
        if record["subtype"] == "task_started":
            if call and kind.endswith("agent"):
                self._hold(self._tasks, task, call)
                launched = self._calls.get(call)
                given = object_of(launched.given) if launched else {}
                name = text_of(record, "description") or text_of(given, "description") or task
                yield Began(call, name, task or None, text_of(given, "subagent_type") or None)
        elif record["subtype"] == "task_notification":
            status = text_of(record, "status") or "over"
            said = text_of(record, "summary", "description")
            shown = f"Sub-agent {task} {status}" + (f": {said}" if said else "")
            yield self._entry(
                "notice", shown, record, "info" if status == "completed" else "warning"
            )
            launched_by = self._tasks.get(task)
            if launched_by and status in _ENDS and launched_by not in self._over:
                self._over.add(launched_by)
                error = None if status == "completed" else said or status
                yield Over(error, launched_by, said or None)

    def _assistant(self, record: Json) -> Iterator[Said]:
        message = object_of(record.get("message"))
        child = text_of(record, "parent_tool_use_id") or None
        yield from self._child(child)
        yield from self._used(message)
        for block in self._blocks(message):
            text = text_of(block, "text", "thinking")
            match block.get("type"):
                case "text" if text:
                    if child is None:
                        self._said = text
                    is_error = bool(record.get("error") or record.get("isApiErrorMessage"))
                    if is_error:
                        yield self._entry("error", text, record, "error")
                    else:
                        yield self._entry("say", entries.spoken(text), record)
                case "thinking" if text:
                    yield self._entry("think", entries.spoken(text), record, "debug")
                case "tool_use" | "server_tool_use":
                    yield from self._tool(block, record, child)

    def _tool(self, block: Json, record: Json, child: str | None) -> Iterator[Said]:
        tool = text_of(block, "name") or "tool"
        given = block.get("input")
        call = Call(tool, text_of(block, "id"), given, self._moment(record), child)
        self._hold(self._calls, call.id, call)
        yield from call.begun()
        todos = object_of(given).get("todos")
        if tool == "TodoWrite" and isinstance(todos, list):
            items = (
                (text_of(each, "content", "text"), text_of(each, "status"))
                for each in todos
                if isinstance(each, dict)
            )
            if shown := entries.plan(items, self._moment(record)):
                yield shown

    def _user(self, record: Json) -> Iterator[Said]:
        message = object_of(record.get("message"))
        child = text_of(record, "parent_tool_use_id") or None
        yield from self._child(child)
        for block in self._blocks(message):
            match block.get("type"):
                case "tool_result":
                    yield from self._tool_result(block, record, child)
                case "text" if text := text_of(block, "text"):
                    if text.startswith("[Request interrupted"):
                        yield self._entry("notice", "Interrupted by the user", record, "warning")
                    elif not record.get("isSynthetic") and not record.get("isMeta"):
                        yield self._entry("prompt", entries.spoken(text), record)

    def _tool_result(self, block: Json, record: Json, child: str | None) -> Iterator[Said]:
        id = text_of(block, "tool_use_id")
        call = self._calls.pop(id, None) or Call("tool", id, child=child)
        text = texts.text_of(block.get("content"))
        ok = not block.get("is_error")
        launched = id in self._tasks.values()
        result = object_of(record.get("tool_use_result") or record.get("toolUseResult"))
        more: Json = {"launched": id} if launched else {}
        yield call.ended(text, ok=ok, at=self._moment(record), **more)
        if launched and result.get("status") != "async_launched" and id not in self._over:
            self._over.add(id)
            yield Over(None if ok else text[:2000], id, text if ok else None)

    def _result(self, record: Json) -> Iterator[Said]:
        yield from self._totals(record)
        said = text_of(record, "result")
        if self._session is None:
            yield self._about(record)
        if not record.get("is_error") and record.get("subtype") in (None, "success"):
            if said and said != self._said:
                yield self._entry("say", entries.spoken(said), record)
            yield Over(result=said or self._said or None)
            return
        errors = [each for each in list_of(record.get("errors")) if isinstance(each, str)]
        why = (errors[0] if errors else said) or text_of(record, "error")
        subtype = text_of(record, "subtype")
        named = subtype if subtype and subtype != "success" else "error"
        error = f"{named}: {why}" if why else named
        yield self._entry("error", error, record, "error")
        yield Over(error)

    def _totals(self, record: Json) -> Iterator[Said]:
        """What the process has used in all, its sub-agents included."""
        usage = object_of(record.get("modelUsage"))
        for model, given in usage.items():
            counts = object_of(given)
            named = {name: count(counts.get(member)) for name, member in _MODEL_USAGE.items()}
            self._sum.replace(model, named)
            if window := count(counts.get("contextWindow")):
                self._sum.context_window = window
        if not usage and not self._messages and (plain := object_of(record.get("usage"))):
            turns = max(count(record.get("num_turns")), 1)
            counts = {name: count(plain.get(member)) for name, member in _USAGE.items()}
            self._sum.add("", counts | {"requests": turns})
        cost = entries.dollars(record.get("total_cost_usd"))
        self._sum.cost_usd = self._sum.cost_usd if cost is None else cost
        if self._sum.by_model or cost is not None:
            yield Used(self._sum.total())

    def _used(self, message: Json) -> Iterator[Said]:
        """A message's usage, once however many records it has; of several the last counts."""
        id, model = text_of(message, "id"), text_of(message, "model")
        usage = message.get("usage")
        if not id or not model or model == "<synthetic>" or not isinstance(usage, dict):
            return
        counts = {name: count(usage.get(member)) for name, member in _USAGE.items()}
        known = self._messages.get(id)
        if known == (model, counts):
            return
        before = known[1] if known else {}
        came = {name: counts[name] - before.get(name, 0) for name in counts}
        self._sum.add(model, came | {"requests": 0 if known else 1})
        self._hold(self._messages, id, (model, counts))
        self._sum.context_tokens = sum(counts.values()) - counts["output_tokens"]
        yield Used(self._sum.total())

    def _asked(self, record: Json) -> Iterator[Said]:
        """The program that started the agent is asked for a permission."""
        request = object_of(record.get("request"))
        if request.get("subtype") == "can_use_tool":
            tool = text_of(request, "tool_name") or "tool"
            self._waits = True
            kinds: Mapping[str, Any] = {"AskUserQuestion": "question", "ExitPlanMode": "plan"}
            said = texts.headline(tool, object_of(request.get("input")))
            yield Waits(kinds.get(tool, "permission"), said)

    def _works(self, _: Json) -> Iterator[Said]:
        self._waits = False
        yield Waits(None)

    def _child(self, call: str | None) -> Iterator[Said]:
        """A sub-agent of which nothing was told before it did something."""
        if call is not None and call not in self._tasks.values():
            launched = self._calls.get(call)
            given = object_of(launched.given) if launched else {}
            self._hold(self._tasks, call, call)
            name = text_of(given, "description") or "Sub-agent"
            yield Began(call, name, None, text_of(given, "subagent_type") or None)

    # Cursor's own records

    def _cursor_tool(self, record: Json) -> Iterator[Said]:
        if self.program == "claude":
            self.program = "cursor"
            yield About(self.program, self._session)
        name, inner = next(iter(object_of(record.get("tool_call")).items()), ("tool", {}))
        tool = name.removesuffix("ToolCall") or "tool"
        inner = object_of(inner)
        call = Call(tool, text_of(record, "call_id"), inner.get("args"), self._moment(record))
        if record.get("subtype") == "started":
            self._hold(self._calls, call.id, call)
            yield from call.begun()
            return
        begun = self._calls.pop(call.id, None)
        if begun is None:
            yield from call.begun()
        ok, text = _cursor_result(object_of(inner.get("result")))
        yield (begun or call).ended(text, ok=ok, at=self._moment(record))

    def _cursor_thinks(self, record: Json) -> Iterator[Said]:
        text = text_of(record, "text")
        if text and record.get("subtype") != "delta":
            yield self._entry("think", entries.spoken(text), record, "debug")

    # Parts

    def _blocks(self, message: Json) -> list[Json]:
        content = message.get("content")
        if isinstance(content, str):
            return [{"type": "text", "text": content}]
        return [block for block in list_of(content) if isinstance(block, dict)]

    def _entry(self, kind: str, message: str, record: Json, level: str = "info") -> Entry:
        child = text_of(record, "parent_tool_use_id") or None
        payload = {"error": record["error"]} if kind == "error" and record.get("error") else None
        return Entry(kind, message, level, payload, self._moment(record), child)

    def _moment(self, record: Json) -> datetime:
        return entries.moment(record.get("timestamp")) or datetime.fromtimestamp(self._now(), UTC)

    def _hold(self, held: dict[str, Any], name: str, value: Any) -> None:
        held[name] = value
        if len(held) > MAX_HELD:
            del held[next(iter(held))]


def _cursor_result(result: Json) -> tuple[bool, str]:
    """Whether a tool of Cursor's succeeded, and what it said."""
    success = result.get("success")
    found = object_of(success if success is not None else next(iter(result.values()), {}))
    said = [
        text
        for name in ("stdout", "stderr", "content", "error", "message", "reason")
        if (text := text_of(found, name))
    ]
    ok = success is not None and found.get("exitCode") in (0, None)
    return ok, "\n".join(said)
