"""`gemini --output-format stream-json`: what it says in parts, its tools, and totals at the end.

Source: the documents of Gemini CLI's headless mode. Its input tokens contain the cached ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runcast.agents.streams import entries
from runcast.agents.streams.entries import Call, count, object_of, text_of
from runcast.agents.streams.said import About, Entry, Over, Said, Unknown, Used
from runcast.agents.streams.usage import Sum

Json = dict[str, Any]

MAX_OPEN = 1_000
MAX_JOINED = 1024 * 1024


class Gemini:
    """Reads the records of one process."""

    program = "gemini"

    def __init__(self) -> None:
        self._open: dict[str, Call] = {}
        self._parts: list[str] = []
        self._size = 0
        self._at: Any = None
        self._model = ""
        self._requests = 0
        self._answers = False
        self._said = ""

    def read(self, record: Json) -> Iterator[Said]:
        kind = record.get("type")
        if kind == "message":
            yield from self._message(record)
            return
        yield from self._flush()
        match kind:
            case "init":
                self._model = text_of(record, "model")
                facts = {"model": self._model} if self._model else {}
                yield About(self.program, text_of(record, "session_id") or None, facts)
            case "tool_use":
                yield from self._tool(record)
            case "tool_result":
                yield from self._tool_result(record)
            case "error":
                level = "error" if record.get("severity") == "error" else "warning"
                said = text_of(record, "message") or "error"
                yield Entry("notice", said, level, ts=entries.moment(record.get("timestamp")))
            case "result":
                yield from self._result(record)
            case _:
                raise Unknown(kind)

    def finish(self) -> Iterator[Said]:
        yield from self._flush()

    def _message(self, record: Json) -> Iterator[Said]:
        text = text_of(record, "content")
        if record.get("role") == "user":
            yield from self._flush()
            self._answers = False
            if text:
                at = entries.moment(record.get("timestamp"))
                yield Entry("prompt", entries.spoken(text), ts=at)
            return
        self._answer()
        if not record.get("delta") or self._size > MAX_JOINED:
            yield from self._flush()
        self._at = self._at or record.get("timestamp")
        self._parts.append(text)
        self._size += len(text)
        if not record.get("delta"):
            yield from self._flush()

    def _flush(self) -> Iterator[Said]:
        text = "".join(self._parts)
        at, self._at = self._at, None
        self._parts, self._size = [], 0
        if text.strip():
            self._said = text
            yield Entry("say", entries.spoken(text), ts=entries.moment(at))

    def _answer(self) -> None:
        """The model answers: the first record of an answer is one more request."""
        if not self._answers:
            self._answers = True
            self._requests += 1

    def _tool(self, record: Json) -> Iterator[Said]:
        self._answer()
        at = entries.moment(record.get("timestamp"))
        tool = text_of(record, "tool_name") or "tool"
        call = Call(tool, text_of(record, "tool_id"), record.get("parameters"), at)
        if len(self._open) < MAX_OPEN:
            self._open[call.id] = call
        yield from call.begun()

    def _tool_result(self, record: Json) -> Iterator[Said]:
        self._answers = False
        id = text_of(record, "tool_id")
        call = self._open.pop(id, None) or Call("tool", id)
        error = object_of(record.get("error"))
        text = text_of(record, "output") or text_of(error, "message")
        ok = record.get("status") == "success"
        yield call.ended(text, ok=ok, at=entries.moment(record.get("timestamp")))

    def _result(self, record: Json) -> Iterator[Said]:
        yield from self._used(object_of(record.get("stats")))
        if record.get("status") == "success":
            yield Over(result=self._said or None)
            return
        error = record.get("error")
        said = error if isinstance(error, str) else text_of(object_of(error), "message")
        said = said or f"status {record.get('status')}"
        at = entries.moment(record.get("timestamp"))
        yield Entry("error", said, "error", {"error": said[:2000]}, at)
        yield Over(said)

    def _used(self, stats: Json) -> Iterator[Said]:
        if not stats:
            return
        total = Sum()
        models = object_of(stats.get("models"))
        for model, given in models.items():
            total.add(model, _counts(object_of(given)))
        if not models:
            total.add(self._model, _counts(stats))
        first = next(iter(total.by_model.values()))
        first["requests"] = max(self._requests - len(total.by_model) + 1, 1)
        for other in list(total.by_model.values())[1:]:
            other["requests"] = 1
        yield Used(total.total())


def _counts(stats: Json) -> dict[str, int]:
    cached = count(stats.get("cached"))
    return {
        "input_tokens": max(count(stats.get("input_tokens")) - cached, 0),
        "cache_read_tokens": cached,
        "output_tokens": count(stats.get("output_tokens")),
    }
