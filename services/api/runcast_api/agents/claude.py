"""Hooks of Claude Code, and of Codex and Qwen Code, which have the same events; those of Copilot and Cursor
are translated into them.

Source: the hooks' documents of these programs. An event that isn't known changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import orjson

from runcast_api.agents import messages, replies
from runcast_api.agents.hook import Hook, headline
from runcast_api.agents.sessions import title_of
from runcast_api.runs.annotations import AttentionKind

Json = dict[str, Any]

RESUMING = frozenset({"SessionStart", "UserPromptSubmit", "PermissionRequest", "Elicitation"})
"""Events that only a session that goes on has: after its run's end they begin the next one."""
STOPPABLE = frozenset({"PreToolUse", "PermissionRequest"})
"""Hooks that are waited for before the agent does something."""
NOTIFIED = "agent-turn-complete"
_OPEN = "SELECT id, context FROM questions WHERE run_id = $1 AND state = 'open'"


async def handle(hook: Hook) -> Json:
    """Applies the event; what the hook prints, or the question that it waits for."""
    event = hook.text("hook_event_name")
    if event in STOPPABLE and hook.run["status"] == "cancelled":
        by = await hook.transaction.connection.fetchval(
            "SELECT cancelled_by FROM runs WHERE id = $1", UUID(hook.run["id"])
        )
        return replies.stopped(hook.session.program, event, by)
    handler = _EVENTS.get(event)
    if handler is None:
        return {}
    return await handler(hook) or {}


async def _session_start(hook: Hook) -> None:
    await hook.waits("idle", "")


async def _prompt(hook: Hook) -> Json | None:
    await hook.close_questions("resolved_elsewhere")
    prompt = _asked(hook)
    await hook.works()
    await hook.call_it(title_of(prompt))
    await hook.log("prompt", prompt)
    return await _deliver(hook, "UserPromptSubmit")


def _asked(hook: Hook) -> str:
    """What a person asked for; empty for what the agent tells its model by itself. Qwen Code calls this hook
    for results of tools, too, and names a person's own words only where they were typed: in the middle of a
    turn, the rest is none."""
    if hook.session.program != "qwen":
        return hook.text("prompt")
    if typed := hook.text("submitted_prompt"):
        return typed
    is_new_turn = hook.run["name"] is None or hook.run["status"] == "awaiting_feedback"
    return hook.text("prompt") if is_new_turn else ""


async def _permission(hook: Hook) -> Json:
    tool, tool_input = hook.text("tool_name") or "tool", hook.object("tool_input")
    context: Json = {"event": "PermissionRequest", "tool_name": tool, "tool_input": tool_input}
    if tool == "AskUserQuestion" and (asked := parts_of(tool_input)):
        parts, texts = asked
        if hook.session.program == "qwen":
            hook.holds = False  # its hooks can't hand over which answer was chosen
        title = parts[0]["title"] if len(parts) == 1 else f"{len(parts)} questions"
        return await hook.ask(
            {"kind": "choice", "title": title, "parts": parts}, context | {"parts": texts}
        )
    if tool == "ExitPlanMode":
        plan = tool_input.get("plan")
        return await hook.ask(
            {"kind": "plan", "title": "A plan", "body": plan if isinstance(plan, str) else None},
            context,
        )
    options, suggestions = _options(hook.payload.get("permission_suggestions"))
    question = {
        "kind": "permission",
        "title": tool[:200],
        "body": body_of(tool_input),
        "tool": {"name": tool[:200], "input": tool_input},
        "options": options,
    }
    return await hook.ask(question, context | {"suggestions": suggestions})


async def _elicitation(hook: Hook) -> Json:
    title = (hook.text("message") or "An answer is needed")[:500]
    context: Json = {
        "event": "Elicitation",
        "tool_name": hook.text("mcp_server_name"),
        "tool_input": title,
    }
    schema = hook.payload.get("requested_schema")
    if hook.text("mode") == "url" or not isinstance(schema, dict):
        return await hook.ask(
            {"kind": "notice", "title": title, "body": hook.text("url") or None}, context
        )
    return await hook.ask({"kind": "form", "title": title, "schema": schema}, context)


async def _tool_used(hook: Hook) -> Json | None:
    """The permission was given, or refused, where the agent runs."""
    tool, tool_input = hook.text("tool_name"), hook.object("tool_input")
    await _close_asked(hook, tool, tool_input)
    event = hook.text("hook_event_name")
    if hook.is_only_noticed():
        await hook.works()
    if event != "PermissionDenied":
        await hook.report("tool", headline(tool, tool_input))
        ok = event == "PostToolUse"
        await hook.log(
            "tool_result",
            f"{headline(tool, tool_input)}{'' if ok else ' failed'}",
            "info" if ok else "error",
            tool=tool,
            call_id=hook.text("tool_use_id") or None,
            ok=ok,
        )
    return await _deliver(hook, event)


async def _close_asked(hook: Hook, tool: str, tool_input: Json) -> None:
    """Closes the questions about this use of a tool. A later event may leave out members of the input that
    say nothing of what is done (`description`), so equal common members suffice."""
    rows = await hook.transaction.connection.fetch(_OPEN, UUID(hook.run["id"]))
    found = [
        row["id"]
        for row in rows
        if row["context"]
        and row["context"].get("tool_name") == tool
        and _is_same(row["context"].get("tool_input"), tool_input)
    ]
    if found:
        await hook.close_questions("resolved_elsewhere", found)


def _is_same(asked: Any, used: Json) -> bool:
    if not isinstance(asked, dict):
        return False
    common = asked.keys() & used.keys()
    is_subset = common == asked.keys() or common == used.keys()
    return is_subset and bool(common or asked == used) and all(asked[n] == used[n] for n in common)


async def _notification(hook: Hook) -> None:
    """Says no more than what is known: a question that is open says better what is needed."""
    kinds: Mapping[str, AttentionKind] = {
        "permission_prompt": "permission",
        "idle_prompt": "idle",
        "agent_needs_input": "question",
        "elicitation_dialog": "question",
        "ToolPermission": "permission",
    }
    kind = kinds.get(hook.text("notification_type"))
    if kind is not None:
        await hook.waits(kind, hook.text("message"))


async def _stop(hook: Hook) -> Json | None:
    await hook.close_questions("resolved_elsewhere")
    last = hook.text("last_assistant_message") or hook.text("prompt_response")
    await hook.log("say", last)
    # No one reads what Codex's `notify` prints, and Cursor goes on with nothing that a person has stopped.
    is_read = hook.payload.get("type") != NOTIFIED and hook.text("status") != "aborted"
    words = await messages.deliver(hook.transaction, hook.run, "stop") if is_read else []
    if words:
        await hook.works()
        return replies.told(hook.session.program, words, "Stop")
    background = hook.payload.get("background_tasks")
    if isinstance(background, list) and background:
        await hook.works()
        await hook.report("tool", f"waits for {len(background)} background tasks")
    else:
        await hook.waits("idle", last[-200:])
    return None


async def _stop_failure(hook: Hook) -> None:
    said = hook.text("error_details") or hook.text("error") or hook.text("last_assistant_message")
    await hook.log("error", said, "error")
    await hook.waits("error", said)


async def _said(hook: Hook) -> None:
    await hook.log("say", hook.text("text"))


async def _failed(hook: Hook) -> None:
    """An error after which the agent goes on by itself."""
    await hook.log("error", hook.text("error"), "error")


async def _session_end(hook: Hook) -> None:
    await hook.completes()


async def _session_failed(hook: Hook) -> None:
    await hook.fails(hook.text("error"))


async def _subagent_start(hook: Hook) -> None:
    await hook.call_it(hook.text("agent_type")[:200] or None)


async def _subagent_stop(hook: Hook) -> None:
    await hook.completes(hook.text("last_assistant_message") or None)


async def _deliver(hook: Hook, event: str) -> Json | None:
    """Messages as context, where the agent reads what this hook prints."""
    if not hook.is_sync:
        return None
    words = await messages.deliver(hook.transaction, hook.run, "context")
    return replies.told(hook.session.program, words, event) if words else None


def parts_of(tool_input: Json) -> tuple[list[Json], Json] | None:
    """The questions of AskUserQuestion as parts, and their texts by part; None for another shape."""
    asked = tool_input.get("questions")
    if not isinstance(asked, list) or not asked:
        return None
    parts: list[Json] = []
    texts: Json = {}
    for number, each in enumerate(asked[:16], 1):
        if not isinstance(each, dict) or not isinstance(each.get("question"), str):
            return None
        texts[str(number)] = each["question"]
        parts.append(
            {
                "id": str(number),
                "title": each["question"][:500] or "?",
                "options": _labels(each.get("options")),
                "multiple": each.get("multiSelect") is True or each.get("multiple") is True,
                "text": True,
            }
        )
    return parts, texts


def _labels(options: Any) -> list[Json]:
    shown: dict[str, Json] = {}
    for option in options if isinstance(options, list) else ():
        label = option.get("label") if isinstance(option, dict) else option
        if isinstance(label, str) and label:
            said = option.get("description") if isinstance(option, dict) else None
            shown[label[:200]] = {
                "id": label[:200],
                "label": label[:2000],
                "description": said or None,
            }
    return list(shown.values())[:100]


def _options(suggestions: Any) -> tuple[list[Json], Json]:
    """What a permission can be answered with: once, always as each suggestion says, or not."""
    options: list[Json] = [{"id": "allow", "label": "Allow once", "role": "allow"}]
    kept: Json = {}
    for suggestion in suggestions[:8] if isinstance(suggestions, list) else ():
        if not isinstance(suggestion, dict) or not (label := _label_of(suggestion)):
            continue
        id = "allow_session" if not kept else f"allow_session_{len(kept) + 1}"
        kept[id] = suggestion
        label = f"Allow for this session: {label}"[:2000]
        options.append({"id": id, "label": label, "role": "allow_always"})
    options.append({"id": "deny", "label": "Deny", "role": "deny", "text": True})
    return options, kept


def _label_of(suggestion: Json) -> str:
    """What a suggestion allows, in the words of the agent's own rules."""
    rules = suggestion.get("rules")
    if isinstance(rules, list):
        named = [rule for rule in rules if isinstance(rule, dict)]
        return ", ".join(map(_rule, named))
    directories = suggestion.get("directories")
    if isinstance(directories, list):
        return f"directories {', '.join(map(str, directories))}"
    mode = suggestion.get("mode")
    return f"mode {mode}" if isinstance(mode, str) else ""


def _rule(rule: Json) -> str:
    tool, content = rule.get("toolName"), rule.get("ruleContent")
    return f"{tool}({content})" if content else str(tool)


def body_of(tool_input: Json) -> str | None:
    """What the tool would do, whole: its command, or its input as JSON."""
    for name in ("command", "cmd"):
        if isinstance(said := tool_input.get(name), str):
            return said.replace("\x00", "␀")
    if not tool_input:
        return None
    return orjson.dumps(tool_input, option=orjson.OPT_INDENT_2).decode().replace("\\u0000", "␀")


_EVENTS: Mapping[str, Callable[[Hook], Awaitable[Json | None]]] = {
    "SessionStart": _session_start,
    "UserPromptSubmit": _prompt,
    "BeforeAgent": _prompt,
    "PermissionRequest": _permission,
    "Elicitation": _elicitation,
    "PostToolUse": _tool_used,
    "PostToolUseFailure": _tool_used,
    "PermissionDenied": _tool_used,
    "Notification": _notification,
    "Stop": _stop,
    "AfterAgent": _stop,
    "StopFailure": _stop_failure,
    "AgentSaid": _said,
    "AgentFailed": _failed,
    "SessionEnd": _session_end,
    "SessionFailed": _session_failed,
    "SubagentStart": _subagent_start,
    "SubagentStop": _subagent_stop,
}
