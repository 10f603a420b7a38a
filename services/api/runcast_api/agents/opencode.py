"""Events of opencode, as its plugin sends them. Their members stand in `properties`, in some versions in
`data`."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

from runcast_api.agents import claude
from runcast_api.agents.hook import Hook

Json = dict[str, Any]

RESUMING = frozenset({"session.status", "permission.asked", "question.asked"})
_ASKED = (
    "SELECT id FROM questions WHERE run_id = $1 AND state = 'open' AND context->>'request' = $2"
)


def said(payload: Json) -> Json:
    """An event's members, wherever they stand."""
    for name in ("properties", "data"):
        if isinstance(found := payload.get(name), dict):
            return found
    return {}


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def session_id(payload: Json) -> str:
    """The session that an event is about; empty where it is about none."""
    event = said(payload)
    nested = (event.get(name) for name in ("info", "part"))
    places = [event, *(each for each in nested if isinstance(each, dict))]
    for place in places:
        if isinstance(place.get("sessionID"), str):
            return str(place["sessionID"])
    info = event.get("info")
    is_session = str(payload.get("type", "")).startswith("session.")
    return str(info["id"]) if is_session and isinstance(info, dict) and "id" in info else ""


async def handle(hook: Hook) -> Json:
    """Applies the event; the question that the plugin waits for, or nothing."""
    event = said(hook.payload)
    match hook.payload.get("type"):
        case "session.created" | "session.updated":
            title = _object(event.get("info")).get("title")
            if isinstance(title, str) and title:
                await hook.change(name=title[:200])
        case "session.status" if _object(event.get("status")).get("type") == "busy":
            await hook.works()
        case "session.idle":
            await hook.close_questions("resolved_elsewhere")
            await hook.waits("idle", "")
        case "session.error":
            error = _object(event.get("error"))
            message = _object(error.get("data")).get("message") or error.get("name")
            await hook.waits("error", str(message or "error"))
        case "permission.asked":
            return await _permission(hook, event)
        case "question.asked":
            return await _question(hook, event)
        case "permission.replied" | "question.replied" | "question.rejected":
            await _close(hook, str(event.get("requestID") or event.get("id")))
    return {}


async def _permission(hook: Hook, event: Json) -> Json:
    tool = str(event.get("permission") or "tool")[:200]
    context = _context(event, tool)
    metadata = event.get("metadata")
    allowed = event.get("always")
    always = ", ".join(map(str, allowed if isinstance(allowed, list) else ()))[:1000]
    options: list[Json] = [{"id": "allow", "label": "Allow once", "role": "allow"}]
    if always:
        label = f"Allow for this session: {always}"
        options.append({"id": "allow_session", "label": label, "role": "allow_always"})
    options.append({"id": "deny", "label": "Deny", "role": "deny"})
    question = {
        "kind": "permission",
        "title": tool,
        "body": claude.body_of(metadata if isinstance(metadata, dict) else {}),
        "tool": {"name": tool, "input": metadata},
        "options": options,
    }
    return await hook.ask(question, context)


async def _question(hook: Hook, event: Json) -> Json:
    asked = claude.parts_of(event)
    if asked is None:
        return {}
    parts, texts = asked
    title = parts[0]["title"] if len(parts) == 1 else f"{len(parts)} questions"
    context = _context(event, "question") | {"parts": texts}
    return await hook.ask({"kind": "choice", "title": title, "parts": parts}, context)


def _context(event: Json, tool: str) -> Json:
    request = str(event.get("id") or "")
    digest = hashlib.sha256(request.encode("utf-8", "replace")).hexdigest()
    return {"event": "opencode", "tool_name": tool, "tool_input": digest, "request": request}


async def _close(hook: Hook, request: str) -> None:
    rows = await hook.transaction.connection.fetch(_ASKED, UUID(hook.run["id"]), request)
    await hook.close_questions("resolved_elsewhere", [row["id"] for row in rows])
