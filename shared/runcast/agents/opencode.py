"""Parts of opencode's messages, as its database keeps them and `opencode run --format json` prints them."""

from __future__ import annotations

from typing import Any

from runcast.agents import entries, texts
from runcast.agents.said import Entry, Said, Used
from runcast.agents.tally import LARGE_TOKENS, Counts, count, size_of
from runcast.agents.telling import Telling

Json = dict[str, Any]

_PASSED = frozenset({"step-start", "snapshot", "patch", "file", "agent"})


class OpencodeReader(Telling):
    """Reads the parts of one session. A part comes again when it has changed."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[str] = set()
        self._last = ""

    def read(self, record: Json) -> list[Said]:
        """What a part becomes: `{id, role, model, ts, part}`; see `said.Reader`."""
        said = self.begin()
        part, ts = record["part"], record.get("ts")
        self.note({"model": record.get("model")})
        self.read_part(part, ts, record.get("role"), record.get("model"))
        if part.get("type") == "step-finish":
            if part.get("reason") == "tool-calls":
                self.works()
            else:
                self.waits("idle", texts.last_words(self._last), ts)
        return said

    def read_part(self, part: Json, ts: str | None, role: Any = None, model: Any = None) -> None:
        """Tells what one part says."""
        kind, id = part.get("type"), str(part.get("id"))
        if kind == "tool":
            self._tool(part, ts)
        elif id in self._told or kind in _PASSED:
            return
        elif kind in ("text", "reasoning"):
            self._text(part, id, ts, role)
        elif kind == "step-finish":
            self._told.add(id)
            self._step(part, ts, model)
        elif kind == "compaction":
            self._told.add(id)
            self.tell(entries.notice("Context compacted", ts))
        else:
            self.count_unknown(kind)

    def _text(self, part: Json, id: str, ts: str | None, role: Any) -> None:
        text, time = str(part.get("text") or ""), part.get("time")
        is_whole = role == "user" or not isinstance(time, dict) or time.get("end") is not None
        if not text.strip() or not is_whole or part.get("synthetic"):
            return
        self._told.add(id)
        if role == "user":
            self.tell(entries.spoken("prompt", text, ts))
            if self.name is None:
                self.call_it(texts.title(text))
            self.works()
        elif part.get("type") == "reasoning":
            self.tell(entries.spoken("think", text, ts, "debug"))
        else:
            self._last = text
            self.tell(entries.spoken("say", text, ts))

    def _tool(self, part: Json, ts: str | None) -> None:
        call_id, tool = str(part.get("callID") or part.get("id")), str(part.get("tool") or "?")
        state = part.get("state")
        state = state if isinstance(state, dict) else {}
        status = state.get("status")
        time = state.get("time")
        time = time if isinstance(time, dict) else {}
        start, end = texts.iso(time.get("start")) or ts, texts.iso(time.get("end")) or ts
        if status == "pending" or f"{call_id}/over" in self._told:
            return
        if call_id not in self._told:
            self._told.add(call_id)
            self.tell(self.calls.begin(call_id, tool, state.get("input"), start))
            self._plan(tool, state.get("input"), start)
            if tool == "question":
                given = state.get("input")
                asked = texts.first_question(given) if isinstance(given, dict) else ""
                self.waits("question", asked, start)
        if status in ("completed", "error"):
            self._told.add(f"{call_id}/over")
            text = state.get("output") if status == "completed" else state.get("error")
            self.tell(self.calls.end(call_id, texts.text_of(text), end, ok=status == "completed"))
            if tool == "question":
                self.works()

    def _plan(self, tool: str, given: Any, ts: str | None) -> None:
        if tool == "todowrite" and isinstance(given, dict):
            self.tell(entries.plan(entries.plan_items(given.get("todos")), ts))

    def _step(self, part: Json, ts: str | None, model: Any) -> None:
        tokens = part.get("tokens")
        if isinstance(tokens, dict):
            counts, cost = counts_of(tokens), part.get("cost")
            cost_usd = float(cost) if isinstance(cost, int | float) and cost > 0 else None
            named = model if isinstance(model, str) and model else "opencode"
            if self.tally.put(part.get("id"), named, counts, cost_usd):
                self.tally.context_tokens = size_of(counts)
                self.tell(Used(size_of(counts) > LARGE_TOKENS))

    def fail(self, error: Any, ts: str | None) -> None:
        """Tells an error of the session or of a message: `{name, data: {message}}`."""
        about = error if isinstance(error, dict) else {}
        name = str(about.get("name") or "An error")[:200]
        data = about.get("data")
        text = str(data.get("message") or name) if isinstance(data, dict) else name
        shown = texts.shortened(text, texts.TEXT_BYTES)[0]
        self.tell(Entry("error", shown, "error", {"error": name}, ts, plain=name))


def counts_of(tokens: Json) -> Counts:
    """opencode's usage: the input is without what a cache held, reasoning beside the output."""
    cache = tokens.get("cache")
    cache = cache if isinstance(cache, dict) else {}
    reasoning = count(tokens, "reasoning")
    return (
        count(tokens, "input"),
        count(tokens, "output") + reasoning,
        count(cache, "read"),
        count(cache, "write"),
        reasoning,
    )
