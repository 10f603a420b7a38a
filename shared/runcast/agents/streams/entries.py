"""The entries of which an agent's log is made, whichever dialect they come from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from runcast.agents import texts
from runcast.agents.streams.said import Doing, Entry, Said

Json = dict[str, Any]

MAX_ITEMS = 100
"""Items of a plan that are shown."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool's call, as it was made."""

    tool: str
    id: str
    given: Any = None
    at: datetime | None = None
    child: str | None = None

    @property
    def headline(self) -> str:
        return texts.headline(self.tool, self.given)

    def begun(self) -> Iterator[Said]:
        """Its entry, and that it is what the agent does now."""
        shown, is_cut = texts.small({} if self.given is None else self.given)
        payload: Json = {"tool": self.tool, "call_id": self.id, "input": shown}
        if is_cut:
            payload["cut"] = True
        yield Entry("tool", self.headline, payload=payload, ts=self.at, child=self.child)
        yield Doing(self.headline, self.child)

    def ended(
        self,
        text: str,
        *,
        ok: bool | None,
        at: datetime | None = None,
        ms: int | None = None,
        **more: Any,
    ) -> Entry:
        """The entry of its result. `ok` None: not said."""
        size = len(text.encode("utf-8", "replace"))
        shown, is_cut = texts.shortened(text, texts.RESULT_BYTES)
        if ms is None and at is not None and self.at is not None:
            ms = max(round((at - self.at).total_seconds() * 1000), 0)
        payload: Json = {"tool": self.tool, "call_id": self.id, "bytes": size}
        payload |= {"ok": ok} if ok is not None else {}
        payload |= {"ms": ms} if ms is not None else {}
        payload |= {"cut": True} if is_cut else {}
        level = "error" if ok is False else "info"
        return Entry("tool_result", shown, level, payload | more, at, self.child)


def plan(items: Iterable[tuple[str, str]], at: datetime | None = None) -> Entry | None:
    """The entry of a plan of (text, status); None for one without items."""
    listed = [{"text": text[:500], "status": status} for text, status in items][:MAX_ITEMS]
    if not listed:
        return None
    done = sum(item["status"] == "completed" for item in listed)
    current = next((item["text"] for item in listed if item["status"] == "in_progress"), None)
    message = f"{done} of {len(listed)} done" + (f": {current}" if current else "")
    return Entry("plan", message, payload={"items": listed}, ts=at)


def text_of(record: Json, *names: str) -> str:
    """The first of these members that is a text and not empty."""
    for name in names:
        value = record.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def object_of(value: Any) -> Json:
    """The value, if it is an object; else an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """The value, if it is a list; else an empty one."""
    return value if isinstance(value, list) else []


def count(value: Any) -> int:
    """A count of tokens; 0 for anything that is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < 2**53 else 0


def dollars(value: Any) -> float | None:
    """A cost; None for anything that is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < 1e12 else None


def spoken(text: str) -> str:
    """What a person or an agent says: whole up to 64 KiB."""
    return texts.shortened(text, texts.TEXT_BYTES)[0]


def moment(value: Any) -> datetime | None:
    """A record's time: a text of ISO 8601, or milliseconds since 1970; None for anything else."""
    try:
        if isinstance(value, str):
            found = datetime.fromisoformat(value)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None
