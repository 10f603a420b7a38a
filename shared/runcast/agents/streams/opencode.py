"""`opencode run --format json`: parts of messages, each when it is whole.

Source: readers of its output; each step says what it used and cost. Which model answers isn't told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runcast.agents.streams import entries
from runcast.agents.streams.entries import Call, count, dollars, object_of, text_of
from runcast.agents.streams.said import About, Entry, Over, Said, Unknown, Used
from runcast.agents.streams.usage import Sum

Json = dict[str, Any]


class OpenCode:
    """Reads the records of one process."""

    program = "opencode"

    def __init__(self, model: str = "") -> None:
        self._model = model
        self._session: str | None = None
        self._sum = Sum()
        self._said = ""

    def read(self, record: Json) -> Iterator[Said]:
        part = object_of(record.get("part"))
        session = text_of(record, "sessionID") or text_of(part, "sessionID")
        if session and self._session is None:
            self._session = session
            facts = {"model": self._model} if self._model else {}
            yield About(self.program, session, facts)
        at = entries.moment(record.get("timestamp"))
        text = text_of(part, "text")
        match record.get("type"):
            case "step_start":
                return
            case "text":
                self._said = text or self._said
                if text:
                    yield Entry("say", entries.spoken(text), ts=at)
            case "reasoning":
                if text:
                    yield Entry("think", entries.spoken(text), "debug", ts=at)
            case "tool_use":
                yield from self._tool(part)
            case "step_finish":
                yield from self._used(part)
            case "error":
                said = _error(record.get("error"))
                yield Entry("error", said, "error", {"error": said[:2000]}, at)
                yield Over(said)
            case other:
                raise Unknown(other)

    def finish(self) -> Iterator[Said]:
        return iter(())

    def _tool(self, part: Json) -> Iterator[Said]:
        state = object_of(part.get("state"))
        time = object_of(state.get("time"))
        start, end = entries.moment(time.get("start")), entries.moment(time.get("end"))
        tool = text_of(part, "tool") or "tool"
        call = Call(tool, text_of(part, "callID"), state.get("input"), start)
        yield from call.begun()
        status = state.get("status")
        if status in ("completed", "error"):
            code = object_of(state.get("metadata")).get("exit")
            ok = status == "completed" and code in (0, None)
            yield call.ended(text_of(state, "output", "error"), ok=ok, at=end)

    def _used(self, part: Json) -> Iterator[Said]:
        tokens = object_of(part.get("tokens"))
        cache = object_of(tokens.get("cache"))
        reasoning = count(tokens.get("reasoning"))
        counts = {
            "input_tokens": count(tokens.get("input")),
            # What it thinks is counted apart; elsewhere it is part of the output.
            "output_tokens": count(tokens.get("output")) + reasoning,
            "reasoning_tokens": reasoning,
            "cache_read_tokens": count(cache.get("read")),
            "cache_write_tokens": count(cache.get("write")),
            "requests": 1,
        }
        self._sum.add(self._model, counts)
        cost = dollars(part.get("cost"))
        if cost is not None:
            self._sum.cost_usd = (self._sum.cost_usd or 0.0) + cost
        yield Used(self._sum.total())


def _error(error: Any) -> str:
    """What an error says: its message, else its name."""
    if isinstance(error, str) and error:
        return error
    found = object_of(error)
    message = text_of(object_of(found.get("data")), "message") or text_of(found, "message")
    name = text_of(found, "name")
    return ": ".join(each for each in (name, message) if each) or "error"
