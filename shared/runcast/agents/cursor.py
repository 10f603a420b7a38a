"""Records of Cursor's command-line agent (`~/.cursor/projects/*/agent-transcripts/*/*.jsonl`).

Known from third-party readers only: `{role, message: {content: […]}}`, without times, and `turn_ended`.
"""

from __future__ import annotations

from typing import Any

from runcast.agents import entries, texts
from runcast.agents.said import Said
from runcast.agents.telling import Telling

Json = dict[str, Any]


class CursorReader(Telling):
    """Reads one session."""

    def __init__(self) -> None:
        super().__init__()
        self._last = ""
        self._calls = 0

    def read(self, record: Json) -> list[Said]:
        """What a record becomes; see `said.Reader`."""
        said = self.begin()
        role, ts = record.get("role"), record.get("timestamp")
        if record.get("type") == "turn_ended":
            self.waits("idle", texts.last_words(self._last), ts)
        elif role in ("user", "assistant"):
            content = record["message"].get("content")
            blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
            for block in blocks:
                if isinstance(block, dict):
                    self._block(role, block, ts)
        else:
            self.count_unknown(record.get("type") or role)
        return said

    def _block(self, role: str, block: Json, ts: str | None) -> None:
        kind, text = block.get("type"), str(block.get("text") or "")
        if kind == "text" and text.strip():
            self.tell(entries.spoken("prompt" if role == "user" else "say", text, ts))
            if role == "user":
                self.call_it(self.name or texts.title(text))
                self.works()
            else:
                self._last = text
        elif kind == "tool_use":
            self._calls += 1
            call_id = str(block.get("id") or f"call-{self._calls}")
            self.tell(
                self.calls.begin(call_id, str(block.get("name") or "?"), block.get("input"), ts)
            )
            self.works()
        elif kind == "tool_result":
            text = texts.text_of(block.get("content"))
            self.tell(self.calls.end(str(block.get("tool_use_id") or ""), text, ts))
        elif kind != "text":
            self.count_unknown(f"{role}/{str(kind)[:80]}")
