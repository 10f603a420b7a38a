"""The entries that all readers make in the same way: a tool, its result, a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runcast.agents import texts
from runcast.agents.said import Entry

Json = dict[str, Any]

CALLS = 4096
"""Calls that are remembered until their result comes."""
NAME_CHARACTERS = 200
"""No tool's name and no call's id is longer, whatever a record says."""


class Calls:
    """The tools that were called and have no result yet."""

    def __init__(self) -> None:
        self.is_full = False
        """Whether results and inputs are kept whole up to 64 KiB."""
        self._open: dict[str, tuple[str, str | None]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, call_id: str) -> bool:
        return call_id in self._open

    def begin(self, call_id: str, tool: str, given: Any, ts: str | None) -> Entry:
        """The entry of a call."""
        call_id, tool = call_id[:NAME_CHARACTERS], tool[:NAME_CHARACTERS]
        self._open[call_id] = (tool, ts)
        if len(self._open) > CALLS:
            del self._open[next(iter(self._open))]
        shown, is_cut = self._small({} if given is None else given)
        payload: Json = {"tool": tool, "call_id": call_id, "input": shown}
        if is_cut:
            payload["cut"] = True
        return Entry("tool", texts.headline(tool, given), payload=payload, ts=ts, plain=tool)

    def _small(self, given: Any) -> tuple[Any, bool]:
        if self.is_full:
            return texts.small(given, texts.TEXT_BYTES, texts.TEXT_BYTES)
        return texts.small(given)

    def end(
        self,
        call_id: str,
        text: str,
        ts: str | None,
        *,
        ok: bool | None = None,
        tool: str | None = None,
        ms: int | None = None,
        **more: Any,
    ) -> Entry:
        """The entry of a result. `ok`: None where the agent doesn't say whether the tool failed."""
        call_id = call_id[:NAME_CHARACTERS]
        called, at = self._open.pop(call_id, ((tool or "?")[:NAME_CHARACTERS], None))
        limit = texts.TEXT_BYTES if self.is_full else texts.RESULT_BYTES
        shown, is_cut = texts.shortened(text, limit)
        payload: Json = {"tool": called, "call_id": call_id}
        if ok is not None:
            payload["ok"] = ok
        took = ms if ms is not None else texts.milliseconds(at, ts)
        if took is not None:
            payload["ms"] = took
        payload["bytes"] = len(text.encode("utf-8", "replace"))
        if is_cut:
            payload["cut"] = True
        level = "error" if ok is False else "info"
        payload |= {name: value for name, value in more.items() if value is not None}
        return Entry("tool_result", shown, level, payload, ts, plain=called)


def spoken(event_type: str, text: str, ts: str | None, level: str = "info") -> Entry:
    """What a person or the agent said, whole up to 64 KiB."""
    return Entry(event_type, texts.shortened(text, texts.TEXT_BYTES)[0], level, ts=ts)


def notice(text: str, ts: str | None, level: str = "info", *, plain: str | None = None) -> Entry:
    """What happened to the session; `plain` where the text holds words that aren't ours."""
    shown = texts.shortened(text, texts.RESULT_BYTES)[0]
    return Entry("notice", shown, level, ts=ts, plain=shown if plain is None else plain)


_DONE = frozenset({"completed", "done"})
_ACTIVE = frozenset({"in_progress", "running", "active"})


def plan(items: Iterable[tuple[str, str]], ts: str | None) -> Entry | None:
    """The plan as it stands: texts and their states."""
    listed = [{"text": text[:1000], "status": status[:50]} for text, status in items][:200]
    if not listed:
        return None
    done = sum(each["status"] in _DONE for each in listed)
    now = next((each["text"] for each in listed if each["status"] in _ACTIVE), "")
    counted = f"{done} of {len(listed)} done"
    message = f"{counted}: {now}" if now else counted
    return Entry("plan", message, payload={"items": listed}, ts=ts, plain=counted)


def plan_items(given: Any, text: str = "content", state: str = "status") -> list[tuple[str, str]]:
    """Texts and states of a list of objects; what is none is passed over."""
    return [
        (str(each.get(text) or ""), str(each.get(state) or "pending"))
        for each in (given if isinstance(given, list) else ())
        if isinstance(each, Mapping)
    ]
