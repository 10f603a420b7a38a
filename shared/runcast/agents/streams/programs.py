"""The agents whose output is understood, by name: what can be said of a command before it says something."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

AUTO, NONE = "auto", "none"
PROGRAMS = ("claude", "codex", "gemini", "opencode", "cursor", "qwen", "amp")
CHOICES = (AUTO, *PROGRAMS, NONE)

_COMMANDS = {"cursor-agent": "cursor"} | {name: name for name in PROGRAMS}


def program_of(command: Sequence[str]) -> str | None:
    """The agent that a command starts, by its name; None for another one."""
    name = PurePath(command[0]).name if command else ""
    return _COMMANDS.get(name.removesuffix(".exe"))
