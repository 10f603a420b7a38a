"""`codex exec --json`: turns of items, each told when it begins, changes and ends.

Source: `codex-rs/exec/src/exec_events.rs`. Its input tokens contain the cached ones, and which model answers
isn't told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from runcast.agents import texts
from runcast.agents.streams import entries
from runcast.agents.streams.entries import Call, count, list_of, object_of, text_of
from runcast.agents.streams.said import About, Entry, Over, Said, Unknown, Used
from runcast.agents.streams.usage import Sum

Json = dict[str, Any]

MAX_OPEN = 1_000


class Codex:
    """Reads the events of one process."""

    program = "codex"

    def __init__(self, model: str = "", now: Callable[[], float] = time.time) -> None:
        self._model = model
        self._now = now
        self._open: dict[str, Call] = {}
        self._sum = Sum()
        self._plan: Entry | None = None
        self._said = ""

    def read(self, record: Json) -> Iterator[Said]:
        match record.get("type"):
            case "thread.started":
                facts = {"model": self._model} if self._model else {}
                yield About(self.program, text_of(record, "thread_id") or None, facts)
            case "turn.started":
                return
            case "turn.completed":
                yield from self._used(object_of(record.get("usage")))
                yield Over(result=self._said or None)
            case "turn.failed":
                yield from self._failed(object_of(record.get("error")))
            case "error":
                said = text_of(record, "message") or "error"
                yield Entry("notice", said, "warning", ts=self._moment())
            case "item.started" | "item.updated" | "item.completed" as kind:
                yield from self._item(object_of(record.get("item")), kind == "item.completed")
            case other:
                raise Unknown(other)

    def finish(self) -> Iterator[Said]:
        return iter(())

    def _failed(self, error: Json) -> Iterator[Said]:
        said = text_of(error, "message") or "the turn failed"
        yield Entry("error", said, "error", {"error": said[:2000]}, self._moment())
        yield Over(said)

    def _used(self, usage: Json) -> Iterator[Said]:
        cached = count(usage.get("cached_input_tokens"))
        counts = {
            "input_tokens": max(count(usage.get("input_tokens")) - cached, 0),
            "cache_read_tokens": cached,
            "output_tokens": count(usage.get("output_tokens")),
            "reasoning_tokens": count(usage.get("reasoning_output_tokens")),
            "requests": 1,
        }
        self._sum.add(self._model, counts)
        yield Used(self._sum.total())

    def _item(self, item: Json, is_over: bool) -> Iterator[Said]:
        kind = text_of(item, "type", "item_type")
        text = text_of(item, "text", "message")
        match kind:
            case "agent_message" | "assistant_message" if is_over and text:
                self._said = text
                yield Entry("say", entries.spoken(text), ts=self._moment())
            case "reasoning" if is_over and text:
                yield Entry("think", entries.spoken(text), "debug", ts=self._moment())
            case "error" if is_over and text:
                yield Entry("notice", text, "warning", ts=self._moment())
            case "todo_list":
                yield from self._todo(list_of(item.get("items")))
            case "agent_message" | "assistant_message" | "reasoning" | "error":
                return
            case _ if kind in _TOOLS:
                yield from self._tool(item, kind, is_over)
            case _:
                raise Unknown(kind)

    def _todo(self, items: list[Any]) -> Iterator[Said]:
        shown = entries.plan(
            (text_of(each, "text"), "completed" if each.get("completed") is True else "pending")
            for each in items
            if isinstance(each, dict)
        )
        if shown is not None and shown != self._plan:
            self._plan = shown
            yield shown

    def _tool(self, item: Json, kind: str, is_over: bool) -> Iterator[Said]:
        id = text_of(item, "id")
        call = self._open.get(id)
        if call is None:
            name, given = _TOOLS[kind](item)
            call = Call(name, id, given, self._moment())
            if len(self._open) < MAX_OPEN:
                self._open[id] = call
            yield from call.begun()
        if is_over:
            self._open.pop(id, None)
            exit_code = item.get("exit_code")
            ok = item.get("status") not in ("failed", "declined") and exit_code in (0, None)
            yield call.ended(_outcome(item), ok=ok, at=self._moment())

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)


def _outcome(item: Json) -> str:
    """What a tool's item says of its end."""
    if isinstance(item.get("aggregated_output"), str):
        return str(item["aggregated_output"])
    if isinstance(error := item.get("error"), dict):
        return text_of(error, "message")
    result = item.get("result")
    if isinstance(result, dict) and isinstance(result.get("content"), list):
        return texts.text_of(result["content"])
    if result is not None:
        return result if isinstance(result, str) else orjson.dumps(result).decode()
    return text_of(item, "status")


def _command(item: Json) -> tuple[str, Json]:
    return "shell", {"command": item.get("command")}


def _file_change(item: Json) -> tuple[str, Json]:
    changes = [each for each in list_of(item.get("changes")) if isinstance(each, dict)]
    paths = ", ".join(text_of(each, "path") for each in changes[:20])
    return "apply_patch", {"path": paths, "changes": changes}


def _mcp(item: Json) -> tuple[str, Json]:
    name = ".".join(each for each in (text_of(item, "server"), text_of(item, "tool")) if each)
    return name or "mcp", object_of(item.get("arguments"))


def _collab(item: Json) -> tuple[str, Json]:
    given = {"description": text_of(item, "prompt")}
    return text_of(item, "tool") or "collab", given


def _web_search(item: Json) -> tuple[str, Json]:
    return "web_search", {"query": text_of(item, "query")}


_TOOLS: Mapping[str, Callable[[Json], tuple[str, Json]]] = {
    "command_execution": _command,
    "file_change": _file_change,
    "mcp_tool_call": _mcp,
    "collab_tool_call": _collab,
    "web_search": _web_search,
}
