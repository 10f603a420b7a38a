"""What comes from an agent's hook: whose session it is, and which program's rules apply."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from runcast_api.agents import claude, foreign, hook, opencode
from runcast_api.agents.sessions import Session
from runcast_server.auth.principal import Principal
from runcast_server.errors import Invalid
from runcast_server.eventlog.log import Transaction

Json = dict[str, Any]

AGENTS = ("claude", "codex", "gemini", "copilot", "opencode", "qwen", "cursor")
FACTS = ("cwd", "model", "transcript_path", "permission_mode", "source", "version")
_HOLDING = frozenset({"claude", "opencode"})
"""Programs whose prompt stands beside the hook, so that holding it keeps no one waiting."""


async def receive(
    transaction: Transaction,
    project_id: UUID,
    agent: str,
    payload: Json,
    caller: Principal,
    *,
    holds: bool,
    is_sync: bool,
    within: UUID | None = None,
    event: str | None = None,
    is_watched: bool = False,
) -> Json:
    """Applies a hook's input; what its program prints (`{}`: nothing), or the question that it waits for.

    Raises `Invalid` where the input names no session.
    """
    payload = _notified(foreign.translated(agent, hook.without_nul(payload), event))
    session = _session(agent, payload)
    resumes = _name_of(payload) in (opencode.RESUMING if agent == "opencode" else claude.RESUMING)
    if holds and (agent not in _HOLDING or session.agent_id is not None):
        # The agent waits for this hook before it asks its own user: only while that person is away.
        holds = bool(
            await transaction.connection.fetchval("SELECT key_owner_is_away($1)", caller.key_id)
        )
    opened = await hook.opened(
        transaction,
        project_id,
        caller,
        session,
        payload,
        resumes=resumes,
        stops=agent != "opencode" and _name_of(payload) in claude.STOPPABLE,
        holds=holds,
        is_sync=is_sync,
        within=within,
        is_watched=is_watched,
    )
    if agent == "opencode":
        return await opencode.handle(opened)
    return await claude.handle(opened)


def _name_of(payload: Json) -> str:
    return str(payload.get("hook_event_name") or payload.get("type") or "")


def _notified(payload: Json) -> Json:
    """Codex's older notification as the event that it stands for."""
    if payload.get("type") != claude.NOTIFIED:
        return payload
    last = payload.get("last-assistant-message")
    return {
        "type": claude.NOTIFIED,
        "hook_event_name": "Stop",
        "session_id": payload.get("thread-id"),
        "cwd": payload.get("cwd"),
        "last_assistant_message": last,
    }


def _session(agent: str, payload: Json) -> Session:
    named = payload.get("session_id") or payload.get("sessionId")
    if agent == "opencode":
        named = opencode.session_id(payload)
    if not isinstance(named, str) or not named:
        raise Invalid.of("body.session_id", "names no session")
    facts = tuple(
        (name, value[:1000].replace("\x00", ""))
        for name in FACTS
        if isinstance(value := payload.get(name), str)
    )
    agent_id = payload.get("agent_id")
    return Session(
        agent, named, agent_id if isinstance(agent_id, str) and agent_id else None, facts
    )
