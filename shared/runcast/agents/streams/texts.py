"""Texts of agents as the log shows them: headlines of tools, long results with their head and tail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

HEADLINE_CHARACTERS = 300
WHOLE_BYTES = 64 * 1024
RESULT_HEAD, RESULT_TAIL = 6 * 1024, 2 * 1024
MEMBER_BYTES, INPUT_BYTES = 4 * 1024, 16 * 1024
MAX_ITEMS = 100

_SAYING = ("command", "cmd", "file_path", "path", "pattern", "query", "url", "description")
"""Members of a tool's input that say best what it does, in this order."""
_LAUNCHING = ("Agent", "Task")


def headline(tool: str, given: Mapping[str, Any]) -> str:
    """What a tool is used for, in one line: `Bash: pytest -q`."""
    names = ("description",) if tool in _LAUNCHING else _SAYING
    said = next((value for name in names if (value := one_line(given.get(name)))), "")
    return f"{tool}: {said}"[:HEADLINE_CHARACTERS] if said else tool[:HEADLINE_CHARACTERS]


def one_line(value: Any) -> str:
    """A text, or a command in parts, on one line; empty for anything else."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        value = " ".join(value)
    return " ".join(value.split()) if isinstance(value, str) else ""


def head_and_tail(text: str, head: int, tail: int) -> str:
    """The text, or its first and last bytes with the size of what lies between."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= head + tail:
        return text
    left_out = f"\n⋯ {len(encoded) - head - tail:,} bytes left out ⋯\n"
    first, last = encoded[:head].decode(errors="ignore"), encoded[-tail:].decode(errors="ignore")
    return f"{first}{left_out}{last}"


def said(text: str) -> str:
    """What a person or an agent says: whole up to 64 KiB."""
    return head_and_tail(text, WHOLE_BYTES - RESULT_HEAD, RESULT_HEAD // 2)


def tool_input(given: Any) -> tuple[Json, bool]:
    """A tool's input for a payload, and whether something of it was cut."""
    whole = given if isinstance(given, dict) else {"input": given}
    if _size(whole) <= MEMBER_BYTES:
        return whole, False
    shown = {name: _cut(value) for name, value in list(whole.items())[:MAX_ITEMS]}
    if _size(shown) > INPUT_BYTES:
        shown = {"cut": head_and_tail(str(shown), INPUT_BYTES // 4, INPUT_BYTES // 4)}
    return shown, shown != whole


def _size(value: Any) -> int:
    return len(str(value).encode("utf-8", "replace"))


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return head_and_tail(value, MEMBER_BYTES - 512, 256)
    if isinstance(value, dict):
        return {name: _cut(each) for name, each in list(value.items())[:MAX_ITEMS]}
    return [_cut(each) for each in value[:MAX_ITEMS]] if isinstance(value, list) else value


def of_content(content: Any) -> str:
    """The text of a message's content: a text, or blocks of which those that aren't text are named."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return "" if content is None else str(content)
    return "\n".join(map(_block, content))


def _block(block: Any) -> str:
    if isinstance(block, str):
        return block
    if not isinstance(block, dict):
        return str(block)
    if isinstance(block.get("text"), str):
        return str(block["text"])
    source = block.get("source")
    if isinstance(source, dict) and isinstance(source.get("data"), str):
        size = len(source["data"]) * 3 // 4
        return f"[{block.get('type')} {source.get('media_type')}, {size:,} bytes]"
    return f"[{block.get('type')}]"


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
