"""Which hooks of an agent `runcast connect` sets, and where its configuration is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Json = dict[str, Any]

HOLD_SECONDS = 86_400
PROGRAM = "runcast-hook"
_TOLD = ("SessionStart", "UserPromptSubmit", "PostToolUse", "PostToolUseFailure", "SubagentStart",
         "SubagentStop", "Notification", "StopFailure")  # fmt: skip
"""Events that Claude Code needn't wait for."""
_CODEX = (
    "SessionStart",
    "UserPromptSubmit",
    "PostToolUse",
    "SubagentStart",
    "SubagentStop",
    "Stop",
    "SessionEnd",
)
_QWEN = (*_TOLD, "PermissionDenied")
"""Events that Qwen Code needn't wait for."""
_GEMINI = ("SessionStart", "BeforeAgent", "Notification", "AfterAgent", "SessionEnd")
_COPILOT = (
    "sessionStart",
    "userPromptSubmitted",
    "postToolUse",
    "postToolUseFailure",
    "notification",
    "agentStop",
    "errorOccurred",
    "sessionEnd",
)
_CURSOR = (
    "sessionStart",
    "beforeSubmitPrompt",
    "postToolUse",
    "postToolUseFailure",
    "afterAgentResponse",
    "stop",
    "sessionEnd",
)
VERSIONED = frozenset({"copilot", "cursor"})
"""Programs whose file of hooks begins with its version, 1."""


def settings_path(agent: str, env: Mapping[str, str], home: Path, project: Path | None) -> Path:
    """The file that holds the agent's hooks: the user's, or with `project` this project's own."""
    if agent == "claude":
        if project is not None:
            return project / ".claude" / "settings.local.json"
        return Path(env.get("CLAUDE_CONFIG_DIR") or home / ".claude") / "settings.json"
    if agent == "codex":
        root = project / ".codex" if project else Path(env.get("CODEX_HOME") or home / ".codex")
        return root / "hooks.json"
    if agent == "copilot":
        # A file of our own: Copilot reads all that are in the folder.
        root = (
            project / ".github" if project else Path(env.get("COPILOT_HOME") or home / ".copilot")
        )
        return root / "hooks" / "runcast.json"
    if agent == "cursor":
        return (project or home) / ".cursor" / "hooks.json"
    return (project or home) / f".{agent}" / "settings.json"


def entries(agent: str, program: Path, *, answers: bool, control: bool) -> dict[str, Json]:
    """The entry of each event. `answers`: permissions are held for an answer; `control`: a cancelled session
    stops before its next tool, which costs a process for each."""
    if agent == "claude":
        return _claude(program, answers=answers, control=control)
    if agent == "codex":
        told = {event: _shell(program, agent, timeout=5) for event in _CODEX}
        hold = "--hold" if answers else None
        return told | {
            "PermissionRequest": _shell(
                program, agent, hold, timeout=HOLD_SECONDS if answers else 5
            )
        }
    if agent == "qwen":
        return _qwen(program, answers=answers)
    if agent == "copilot":
        return {event: _copilot(program, event) for event in _COPILOT}
    if agent == "cursor":
        return _cursor(program, control=control)
    return {event: _shell(program, agent, timeout=5_000) for event in _GEMINI}


def _qwen(program: Path, *, answers: bool) -> dict[str, Json]:
    """The events of Claude Code, as commands of a shell, with time limits in milliseconds."""
    made = {event: _shell(program, "qwen", timeout=5_000, is_async=True) for event in _QWEN}
    for event in ("Stop", "SessionEnd"):
        made[event] = _shell(program, "qwen", timeout=5_000)
    made["PermissionRequest"] = (
        _shell(program, "qwen", "--hold", timeout=HOLD_SECONDS * 1000)
        if answers
        else _shell(program, "qwen", timeout=5_000, is_async=True)
    )
    return made


def _cursor(program: Path, *, control: bool) -> dict[str, Json]:
    command: Json = {"command": f"{shlex.quote(str(program))} cursor", "timeout": 5}
    made = dict.fromkeys(_CURSOR, command)
    # Else Cursor takes five messages of a conversation, and drops the next ones without a word.
    made["stop"] = command | {"loop_limit": None}
    return made | {"preToolUse": command} if control else made


def _copilot(program: Path, event: str) -> Json:
    command = f"{shlex.quote(str(program))} copilot --event={event}"
    return {"type": "command", "bash": command, "timeoutSec": 5}


def _claude(program: Path, *, answers: bool, control: bool) -> dict[str, Json]:
    made = {event: _claude_entry(program, timeout=5, is_async=True) for event in _TOLD}
    made["SessionEnd"] = _claude_entry(program, timeout=5)
    made["Stop"] = _claude_entry(program, timeout=3)
    if control:
        made["PreToolUse"] = _claude_entry(program, timeout=3)
    for event in ("PermissionRequest", "Elicitation"):
        made[event] = (
            _claude_entry(program, "--hold", timeout=HOLD_SECONDS)
            if answers
            else _claude_entry(program, timeout=5, is_async=True)
        )
    if answers:
        [held] = made["PermissionRequest"]["hooks"]
        held["statusMessage"] = "Runcast: can be answered elsewhere"
    return made


def _claude_entry(program: Path, *flags: str, timeout: int, is_async: bool = False) -> Json:
    hook: Json = {
        "type": "command",
        "command": str(program),
        "args": ["claude", *flags],
        "timeout": timeout,
    }
    return {"hooks": [hook | {"async": True} if is_async else hook]}


def _shell(
    program: Path, agent: str, flag: str | None = None, *, timeout: int, is_async: bool = False
) -> Json:
    command = " ".join(each for each in (shlex.quote(str(program)), agent, flag) if each)
    hook: Json = {"type": "command", "command": command, "timeout": timeout}
    return {"hooks": [hook | {"async": True} if is_async else hook]}


def is_ours(entry: Any) -> bool:
    """Whether an entry of the configuration was made by `runcast connect`."""
    if not isinstance(entry, dict):
        return False
    inner = entry.get("hooks")
    hooks = [entry, *(inner if isinstance(inner, list) else ())]
    return any(isinstance(hook, dict) and _program_of(hook) == PROGRAM for hook in hooks)


def _program_of(hook: Json) -> str | None:
    """The name of the program that a hook starts. With `args` its command is that program's path, else a line
    of a shell."""
    command = hook.get("command", hook.get("bash"))
    if not isinstance(command, str):
        return None
    if "args" in hook:
        return Path(command).name
    try:
        return Path(next(iter(shlex.split(command)), "")).name
    except ValueError:
        return None


def with_entries(settings: Json, wanted: Mapping[str, Json]) -> Json:
    """The settings with exactly these entries of ours; all others stay, in their order. Raises `ValueError`
    where ours would take the place of something that isn't understood."""
    hooks = settings.get("hooks")
    if hooks is None:
        hooks = {}
    if not isinstance(hooks, dict):
        if wanted:
            raise ValueError("hooks: it isn't an object")
        return dict(settings)
    for event in wanted:
        if not isinstance(hooks.get(event), list | None):
            raise ValueError(f"hooks.{event}: it isn't an array")
    hooks = dict(hooks)
    for event in [*hooks, *(event for event in wanted if event not in hooks)]:
        found = hooks.get(event)
        others = [each for each in found if not is_ours(each)] if isinstance(found, list) else []
        mine = [wanted[event]] if event in wanted else []
        if others or mine:
            hooks[event] = others + mine
        elif isinstance(found, list) and found:
            del hooks[event]
    changed = {name: value for name, value in settings.items() if name != "hooks" or hooks}
    return changed | {"hooks": hooks} if hooks else changed
