"""Records of Gemini CLI (`~/.gemini/tmp/*/chats/session-*.jsonl`).

After a first line about the session come messages, which are appended again, with the same id, when they
change: a tool is told when it appears, its result when its status is final, a text when it is there or
has changed. A call whose status isn't final may wait for a permission or just run, so nothing is said of
it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runcast.agents import entries, texts
from runcast.agents.said import Entry, Said, Used
from runcast.agents.tally import LARGE_TOKENS, Counts, count, size_of
from runcast.agents.telling import Telling

Json = dict[str, Any]

_FINAL: Mapping[str, bool] = {"success": True, "error": False, "cancelled": False}
MESSAGES = 20_000
"""Messages whose changes are recognised."""


class GeminiReader(Telling):
    """Reads one session."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, str] = {}
        self._thoughts: dict[str, int] = {}
        self._ended: set[str] = set()

    def read(self, record: Json) -> list[Said]:
        """What a record becomes; see `said.Reader`."""
        said = self.begin()
        if "$rewindTo" in record:
            text = "Went back to an earlier message"
            self.tell(entries.notice(text, None, "warning"))
        elif "$set" in record:
            self._set(record["$set"])
        elif "sessionId" in record and "type" not in record:
            self.note({"session_id": record["sessionId"], "kind": record.get("kind")})
        else:
            self._message(record)
        return said

    def _set(self, changed: Any) -> None:
        if isinstance(changed, dict):
            self.call_it(texts.title(str(changed.get("summary") or "")))

    def _message(self, record: Json) -> None:
        kind, ts, text = (
            record.get("type"),
            record.get("timestamp"),
            texts.text_of(record.get("content")),
        )
        if kind == "user":
            if self._is_new(record, text):
                self.tell(entries.spoken("prompt", text, ts))
                if self.name is None:
                    self.call_it(texts.title(text))
                self.works()
        elif kind == "gemini":
            self._answer(record, text, ts)
        elif kind in ("info", "warning", "error"):
            self._notice(str(kind), record, text, ts)
        else:
            self.count_unknown(kind)

    def _notice(self, kind: str, record: Json, text: str, ts: str | None) -> None:
        if not self._is_new(record, text):
            return
        if kind == "error":
            self.tell(Entry("error", text, "error", {"error": text[:2000]}, ts, plain="An error"))
            self.waits("error", text, ts)
        else:
            self.tell(entries.notice(text, ts, kind, plain="A notice"))

    def _answer(self, record: Json, text: str, ts: str | None) -> None:
        model = record.get("model")
        self.note({"model": model})
        self._think(record, ts)
        calls = record.get("toolCalls")
        tools = (
            [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
        )
        for call in tools:
            self._tool(call, ts)
        if self._is_new(record, text):
            self.tell(entries.spoken("say", text, ts))
        tokens = record.get("tokens")
        if isinstance(tokens, dict):
            counts = counts_of(tokens)
            if self.tally.put(record.get("id"), str(model or "gemini"), counts):
                self.tally.context_tokens = size_of(counts)
                self.tell(Used(size_of(counts) > LARGE_TOKENS))
        if text.strip() and not tools:
            self.waits("idle", texts.last_words(text), ts)
        elif tools:
            self.works()

    def _think(self, record: Json, ts: str | None) -> None:
        thoughts = record.get("thoughts")
        if not isinstance(thoughts, list) or not thoughts:
            return
        known = self._thoughts.get(str(record.get("id")), 0)
        for thought in thoughts[known:]:
            if isinstance(thought, dict):
                parts = (thought.get("subject"), thought.get("description") or thought.get("text"))
                text = ": ".join(part for part in parts if isinstance(part, str) and part)
                if text:
                    self.tell(entries.spoken("think", text, ts, "debug"))
        self._thoughts[str(record.get("id"))] = len(thoughts)

    def _tool(self, call: Json, ts: str | None) -> None:
        call_id, tool = str(call.get("id") or ""), str(call.get("name") or "?")
        at = call.get("timestamp") or ts
        if call_id in self._ended:
            return
        if call_id not in self.calls:
            self.tell(self.calls.begin(call_id, tool, call.get("args"), at))
            if listed := _plan(tool, call.get("args"), at):
                self.tell(listed)
        ok = _FINAL.get(str(call.get("status")))
        if ok is not None:
            self._ended.add(call_id)
            shown = call.get("resultDisplay") if call.get("result") is None else call["result"]
            self.tell(self.calls.end(call_id, _result(shown), at, ok=ok))

    def _is_new(self, record: Json, text: str) -> bool:
        """Whether a message's text is there and hasn't been told."""
        id = str(record.get("id"))
        if not text.strip() or self._told.get(id) == str(hash(text)):
            return False
        self._told[id] = str(hash(text))
        if len(self._told) > MESSAGES:
            del self._told[next(iter(self._told))]
        return True


def counts_of(tokens: Json) -> Counts:
    """Gemini's usage: `input` contains what was cached; thoughts are beside the output."""
    cached, thoughts = count(tokens, "cached"), count(tokens, "thoughts")
    return (
        max(count(tokens, "input") - cached, 0) + count(tokens, "tool"),
        count(tokens, "output") + thoughts,
        cached,
        0,
        thoughts,
    )


def _plan(tool: str, given: Any, ts: str | None) -> Entry | None:
    if tool != "write_todos" or not isinstance(given, dict):
        return None
    return entries.plan(entries.plan_items(given.get("todos"), "description"), ts)


def _result(result: Any) -> str:
    """The text of a tool's result, which is a list of function responses."""
    if isinstance(result, str):
        return result
    return "\n".join(response_text(part) for part in result) if isinstance(result, list) else ""


def response_text(part: Any) -> str:
    """The text of one part of a function's response."""
    found = part.get("functionResponse") if isinstance(part, dict) else None
    if not isinstance(found, dict):
        return texts.block_text(part)
    response = found.get("response")
    if not isinstance(response, dict):
        return texts.text_of(response)
    said = response.get("output", response.get("error"))
    return texts.text_of(said if said is not None else [response])
