"""Hooks of Copilot, Cursor and Qwen Code, as the events of Claude Code that they stand for.

Source: the documents of these programs' hooks (docs/agents.md says which were found, and when); members of
older versions are taken as well. A hook of Copilot's doesn't say which event it is: its program is told by
`runcast connect`. Copilot and Cursor call their hooks for each tool, before they know whether a person has to
allow it, so they ask nothing here. Qwen Code has the events of Claude Code, with its own names of tools.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runcast_api.http import nesting

Json = dict[str, Any]

_COPILOT: Mapping[str, str] = {
    "sessionStart": "SessionStart",
    "userPromptSubmitted": "UserPromptSubmit",
    "postToolUse": "PostToolUse",
    "postToolUseFailure": "PostToolUseFailure",
    "notification": "Notification",
    "agentStop": "Stop",
    "errorOccurred": "StopFailure",
    "sessionEnd": "SessionEnd",
}
_CURSOR: Mapping[str, str] = {
    "sessionStart": "SessionStart",
    "beforeSubmitPrompt": "UserPromptSubmit",
    "preToolUse": "PreToolUse",
    "postToolUse": "PostToolUse",
    "postToolUseFailure": "PostToolUseFailure",
    "afterAgentResponse": "AgentSaid",
    "stop": "Stop",
    "sessionEnd": "SessionEnd",
}
_NAMES: Mapping[str, str] = {
    "sessionId": "session_id",
    "conversation_id": "session_id",
    "cursor_version": "version",
    "toolName": "tool_name",
    "toolArgs": "tool_input",
    "tool_use_id": "tool_use_id",
    "initialPrompt": "prompt",
}
"""Members that have another name here."""


_QWEN_TOOLS: Mapping[str, str] = {
    "ask_user_question": "AskUserQuestion",
    "exit_plan_mode": "ExitPlanMode",
}


def translated(agent: str, payload: Json, event: str | None) -> Json:
    """The hook's input with Claude Code's names; that of another program as it is."""
    if agent == "qwen":
        tool = payload.get("tool_name")
        known_as = _QWEN_TOOLS.get(tool) if isinstance(tool, str) else None
        return payload | {"tool_name": known_as} if known_as else payload
    if agent not in ("copilot", "cursor"):
        return payload
    named = payload.get("hook_event_name") or event
    table = _COPILOT if agent == "copilot" else _CURSOR
    known = {_NAMES.get(name, name): value for name, value in payload.items()}
    known["hook_event_name"] = (
        _outcome(table.get(named, named), payload) if isinstance(named, str) else None
    )
    if isinstance(known.get("tool_input"), str):
        known["tool_input"] = _object(known["tool_input"])
    if isinstance(error := known.get("error"), dict):
        known["error"] = error.get("message") or error.get("name")
    if isinstance(error := payload.get("error_message"), str):
        known["error"] = error
    if isinstance(conversation := payload.get("conversation_id"), str):
        known["session_id"] = conversation  # every hook has it; `session_id` but two
    roots = payload.get("workspace_roots")
    if isinstance(roots, list) and roots:
        known["cwd"] = roots[0]  # a tool's hook has its own directory there
    return known


def _outcome(event: str, payload: Json) -> str:
    """The event, as its members say how what it tells of went."""
    if event == "PostToolUse" and _has_failed(payload):
        return "PostToolUseFailure"
    if event == "Stop" and payload.get("status") == "error":
        return "StopFailure"
    if event == "StopFailure" and payload.get("recoverable") is True:
        return "AgentFailed"  # it tries again by itself
    if event == "SessionEnd" and payload.get("reason") == "error":
        return "SessionFailed"
    return event


def _has_failed(payload: Json) -> bool:
    result = payload.get("toolResult")
    return isinstance(result, dict) and result.get("resultType") in ("failure", "denied")


def _object(text: str) -> Json:
    """The object of a text of JSON; else one that holds the text."""
    try:
        found = nesting.loads(text)
    except ValueError:
        return {"input": text}
    return found if isinstance(found, dict) else {"input": text}
