"""Records of Qwen Code (`~/.qwen/projects/*/chats/*.jsonl`): Claude's frame around Gemini's parts."""

from __future__ import annotations

from typing import Any

from runcast.agents import entries, texts
from runcast.agents.gemini import response_text
from runcast.agents.said import Said, Used
from runcast.agents.tally import LARGE_TOKENS, Counts, count, size_of
from runcast.agents.telling import Telling

Json = dict[str, Any]


class QwenReader(Telling):
    """Reads one session."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: set[int] = set()

    def read(self, record: Json) -> list[Said]:
        """What a record becomes; see `said.Reader`."""
        said = self.begin()
        uuid = record.get("uuid")
        if isinstance(uuid, str):
            if hash(uuid) in self._seen:
                return said
            self._seen.add(hash(uuid))
        self.note(
            {
                "session_id": record.get("sessionId"),
                "version": record.get("version"),
                "cwd": record.get("cwd"),
                "git_branch": record.get("gitBranch"),
                "model": record.get("model"),
            }
        )
        kind, ts = record.get("type"), record.get("timestamp")
        if kind == "user":
            self._user(record, ts)
        elif kind == "assistant":
            self._assistant(record, ts)
        elif kind == "tool_result":
            self._tool_result(record, ts)
        else:
            self.count_unknown(kind)
        return said

    def _user(self, record: Json, ts: str | None) -> None:
        text = texts.texts(_parts(record))
        if text.strip():
            self.tell(entries.spoken("prompt", text, ts))
            if self.name is None:
                self.call_it(texts.title(text))
            self.works()

    def _assistant(self, record: Json, ts: str | None) -> None:
        said, calls = "", 0
        for part in _parts(record):
            call, text = part.get("functionCall"), part.get("text")
            if isinstance(call, dict):
                calls += 1
                tool, call_id = str(call.get("name") or "?"), str(call.get("id") or "")
                self.tell(self.calls.begin(call_id, tool, call.get("args"), ts))
                self._plan(tool, call.get("args"), ts)
            elif isinstance(text, str) and text.strip():
                is_thought = bool(part.get("thought"))
                kind, level = ("think", "debug") if is_thought else ("say", "info")
                self.tell(entries.spoken(kind, text, ts, level))
                said = said if is_thought else text
        self._use(record)
        if calls:
            self.works()
        elif said:
            self.waits("idle", texts.last_words(said), ts)

    def _plan(self, tool: str, given: Any, ts: str | None) -> None:
        if tool == "todo_write" and isinstance(given, dict):
            self.tell(entries.plan(entries.plan_items(given.get("todos")), ts))

    def _tool_result(self, record: Json, ts: str | None) -> None:
        about = record.get("toolCallResult")
        about = about if isinstance(about, dict) else {}
        status = about.get("status")
        ok = None if status is None else status == "success"
        for part in _parts(record):
            found = part.get("functionResponse")
            if isinstance(found, dict):
                call_id = str(found.get("id") or about.get("callId") or "")
                tool = str(found.get("name") or "?")
                self.tell(self.calls.end(call_id, response_text(part), ts, ok=ok, tool=tool))

    def _use(self, record: Json) -> None:
        used = record.get("usageMetadata")
        if isinstance(used, dict):
            counts = counts_of(used)
            model = str(record.get("model") or self.facts.get("model") or "qwen")
            if self.tally.put(record.get("uuid"), model, counts):
                self.tally.context_tokens = size_of(counts)
                self.tell(Used(size_of(counts) > LARGE_TOKENS))


def counts_of(used: Json) -> Counts:
    """Gemini's API: the prompt contains what was cached; thoughts are beside the candidates."""
    cached, thoughts = count(used, "cachedContentTokenCount"), count(used, "thoughtsTokenCount")
    return (
        max(count(used, "promptTokenCount") - cached, 0),
        count(used, "candidatesTokenCount") + thoughts,
        cached,
        0,
        thoughts,
    )


def _parts(record: Json) -> list[Json]:
    message = record.get("message")
    parts = message.get("parts") if isinstance(message, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
