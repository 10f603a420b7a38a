"""Which dialect a command's output is in: by its first record, the command's name, or as it was asked for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from runcast.agents.streams.claude import Claude
from runcast.agents.streams.codex import Codex
from runcast.agents.streams.gemini import Gemini
from runcast.agents.streams.opencode import OpenCode
from runcast.agents.streams.programs import program_of
from runcast.agents.streams.said import Dialect

Json = dict[str, Any]

_OF_CLAUDE = frozenset({"claude", "cursor", "qwen", "amp"})
_OF_OPENCODE = frozenset({"step_start", "text", "tool_use", "error", "reasoning", "step_finish"})


def model_of(command: Sequence[str]) -> str:
    """The model that a command asks for; empty where it names none."""
    for before, each in itertools.pairwise(command):
        if before in ("--model", "-m"):
            return each[:200]
    named = next((each for each in command if each.startswith("--model=")), "")
    return named.partition("=")[2][:200]


def named(program: str, command: Sequence[str]) -> Dialect:
    """The dialect of an agent."""
    match program:
        case "codex":
            return Codex(model_of(command))
        case "gemini":
            return Gemini()
        case "opencode":
            return OpenCode(model_of(command))
        case _:
            return Claude(program)


def detected(record: Json, command: Sequence[str]) -> Dialect | None:
    """The dialect that begins with this record; None for another program's JSON."""
    kind = record.get("type")
    has_session = isinstance(record.get("session_id"), str)
    if has_session and (kind == "result" or (kind, record.get("subtype")) == ("system", "init")):
        program = program_of(command)
        return Claude(program if program in _OF_CLAUDE else "claude")
    if kind == "thread.started" and isinstance(record.get("thread_id"), str):
        return named("codex", command)
    if kind == "init" and has_session and "model" in record:
        return named("gemini", command)
    is_of_opencode = kind in _OF_OPENCODE and isinstance(record.get("sessionID"), str)
    if is_of_opencode and (kind == "error" or isinstance(record.get("part"), dict)):
        return named("opencode", command)
    return None
