"""Answers in the words of the agent's own program: what its hook prints.

What each program reads is in the documents of its hooks; `context` is what was kept of the hook's input when
the question was asked. No answer, or one that came where the agent runs, is said with nothing (`{}`): then
the agent asks in its own way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from runcast_api.agents.messages import name_of

Json = dict[str, Any]
Dialect = Literal["claude-hook", "codex-hook", "opencode"]


def reply(question: Json, context: Json | None, dialect: Dialect) -> Json | None:
    """What to print for a question; None while it is open."""
    if question["state"] == "open":
        return None
    answer = question["answer"]
    if answer is None or context is None:
        return {}
    if dialect == "opencode":
        return _opencode(question, answer, context)
    if context["event"] == "Elicitation":
        return _event("Elicitation", action="accept", content=answer["data"] or {})
    decision = _decision(question, answer, context)
    if dialect == "codex-hook":
        # Members that Codex doesn't know make it refuse the whole answer.
        decision = {name: decision[name] for name in ("behavior", "message") if name in decision}
    return _event("PermissionRequest", decision=decision)


def stopped(program: str, event: str, by: str | None) -> Json:
    """What stops a session that was cancelled, as the answer to one of its hooks."""
    reason = f"Cancelled in Runcast by {by or 'a person'}"
    if program == "claude":
        return {"continue": False, "stopReason": reason}
    if program == "cursor":
        return {"permission": "deny", "user_message": reason, "agent_message": reason}
    if event == "PermissionRequest":
        return _event(event, decision={"behavior": "deny", "message": reason})
    return {"decision": "block", "reason": reason}


def told(program: str, words: list[str], event: str) -> Json:
    """What brings people's messages to the agent: at a stop it goes on with them, else they are context."""
    text = "\n".join(words)
    if program == "cursor":
        return {"followup_message" if event == "Stop" else "additional_context": text}
    if event == "Stop":
        return {"decision": "block", "reason": text}
    return _event(event, additionalContext=text)


def _event(name: str, **members: Any) -> Json:
    return {"hookSpecificOutput": {"hookEventName": name, **members}}


def _decision(question: Json, answer: Json, context: Json) -> Json:
    role = _role_of(question, answer["option"])
    if question["kind"] == "choice":
        answers = _by_question(context, answer["data"] or {})
        return {
            "behavior": "allow",
            "updatedInput": context["tool_input"] | {"answers": answers},
        }
    if role == "deny":
        said = answer["text"] or "denied"
        return {"behavior": "deny", "message": f"{name_of(answer['by'])} in Runcast: {said}"}
    allowed: Json = {"behavior": "allow"}
    suggestion = (context.get("suggestions") or {}).get(answer["option"])
    if role == "allow_always" and suggestion is not None:
        # Only for this session, whatever was suggested: a person saw "for this session".
        allowed["updatedPermissions"] = [suggestion | {"destination": "session"}]
    return allowed


def _role_of(question: Json, option: str | None) -> str | None:
    options = question["options"] or ()
    return next((each["role"] for each in options if each["id"] == option), None)


def _by_question(context: Json, data: Mapping[str, Any]) -> Json:
    """The labels by the text of each question; several labels joined."""
    texts: Json = context.get("parts") or {}
    return {
        texts[part]: ", ".join(given) if isinstance(given, list) else given
        for part, given in data.items()
        if part in texts
    }


def _opencode(question: Json, answer: Json, context: Json) -> Json:
    if question["kind"] == "choice":
        data = answer["data"] or {}
        given = [data.get(part) for part in context.get("parts") or {}]
        answers = [each if isinstance(each, list) else [each] for each in given]
        return {"path": f"/question/{context['request']}/reply", "body": {"answers": answers}}
    words = {"allow": "once", "allow_always": "always", "deny": "reject"}
    said = words.get(_role_of(question, answer["option"]) or "", "reject")
    return {"path": f"/permission/{context['request']}/reply", "body": {"reply": said}}
