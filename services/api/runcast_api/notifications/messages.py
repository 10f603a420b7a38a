"""What a message says. Without `details` it names the tool and the run alone: it passes servers of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from runcast._support.terminal import escaped
from runcast_api.notifications.deciding import SUMMARY, Due

Json = Mapping[str, Any]

TITLE_CHARACTERS = 150
TEXT_BYTES = 1800
"""Of what is asked, at most: receivers take 4 KiB of everything together."""
BUTTONS: Mapping[str, str] = {"allow": "Allow", "deny": "Deny"}
"""The roles of options that have a button, and what it says. What holds for longer than this one time is no
choice for a phone: it needs a person who is signed in."""

_SAYS: Mapping[str, str] = {
    "permission": "Permission",
    "question": "Question",
    "plan": "Plan to approve",
    "error": "Error",
    "failed": "Failed",
    "completed": "Completed",
    "stalled": "Not heard of",
    "budget": "Budget",
    "more": "more",
}
_CLOSED: Mapping[str, str] = {
    "answered": "Answered",
    "expired": "Expired",
    "cancelled": "Taken back",
    "resolved_elsewhere": "Answered at the terminal",
}


@dataclass(frozen=True, slots=True)
class Button:
    """A button that answers: `token` is its link's secret."""

    label: str
    role: str
    token: str


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent, in no receiver's form yet. `tag`: a message with the same one is replaced. `is_quiet`: it
    makes no sound."""

    tag: str
    title: str
    text: str
    url: str
    is_urgent: bool = False
    is_quiet: bool = False
    buttons: tuple[Button, ...] = field(default=())


def buttons_of(due: Due) -> list[tuple[str, str]]:
    """Options of a permission that get a button, each with its role: the first that allows, and the first
    that denies."""
    question = due.question
    if due.is_closing or question is None or due.kind != "permission" or not question["answerable"]:
        return []
    found: dict[str, str] = {}
    for option in question["options"] or ():
        if option["role"] in BUTTONS:
            found.setdefault(option["role"], option["id"])
    return [(found[role], role) for role in BUTTONS if role in found]


def compose(due: Due, base_url: str, buttons: tuple[Button, ...] = ()) -> Message:
    """The message."""
    tag = due.id.hex
    if due.kind == SUMMARY:
        return Message(tag, *_summary(due), f"{base_url}/ui/inbox")
    url = f"{base_url}/ui/runs/{due.run['id']}"
    if due.is_closing:
        return Message(tag, _closed(due), _of_run(due), url, is_quiet=True)
    text = _of_run(due)
    if due.person.details and (told := _asked(due)):
        text = f"{text}\n{cut(told)}"
    is_urgent = due.kind == "permission"
    return Message(tag, _title(due), text, url, is_urgent, buttons=buttons)


def test(tag: str, base_url: str) -> Message:
    """What tries a target."""
    return Message(
        tag, "Runcast", "This is a test: messages arrive here.", f"{base_url}/ui/account"
    )


def _title(due: Due) -> str:
    said = _SAYS[due.kind]
    tool = due.question and due.question["tool"]
    if tool:
        return _short(f"{said}: {tool['name']}")
    if due.person.details and due.question:
        return _short(f"{said}: {due.question['title']}")
    return said


def _of_run(due: Due) -> str:
    run = due.run
    name = run["name"] or run["key"] or f"#{run['number']}"
    return f"{_short(name)} in {_short(run['project'])}"


def asked(question: Json) -> str:
    """What a question asks, whole: its text, else what the tool would be called with, else its title."""
    if question["body"]:
        return str(question["body"])
    tool = question["tool"]
    if tool and tool["input"]:
        return orjson.dumps(tool["input"]).decode()
    return str(question["title"])


def _asked(due: Due) -> str | None:
    """What the person is asked or told, whole."""
    if due.question is not None:
        return asked(due.question)
    if due.kind == "failed":
        return due.run["error"] or None
    attention = due.run["attention"] or {}
    return attention.get("summary") or None


def _closed(due: Due) -> str:
    """How it ended; with `details` also which choice was made, and by whom."""
    question = due.question or {}
    said = _CLOSED.get(question.get("state", ""), "Over")
    if not due.person.details:
        return said
    answer = question.get("answer") or {}
    by = (answer.get("by") or {}).get("name")
    labels = {option["id"]: option["label"] for option in question.get("options") or ()}
    chosen = labels.get(answer.get("option"))
    if chosen:
        said = f"{said}: {chosen}"
    return _short(f"{said} ({by})" if by else said)


def _summary(due: Due) -> tuple[str, str]:
    total = sum(number for _, number in due.counts)
    told = ", ".join(f"{_SAYS[kind].lower()}: {number}" for kind, number in due.counts)
    return f"{total} more in a short time", told or "They are in your inbox."


def cut(text: str, most: int = TEXT_BYTES) -> str:
    """A text that a person decides about: what can't be seen is shown by its number, and where it is long its
    middle is left out, with the number of characters."""
    shown = escaped(text)
    encoded = shown.encode()
    if len(encoded) <= most:
        return shown
    head = encoded[: most // 2].decode(errors="ignore")
    tail = encoded[-most // 2 :].decode(errors="ignore")
    return f"{head}\n… {len(shown) - len(head) - len(tail):,} characters …\n{tail}"


def _short(text: str) -> str:
    shown = escaped(" ".join(text.split()))
    return shown if len(shown) <= TITLE_CHARACTERS else shown[: TITLE_CHARACTERS - 1] + "…"
