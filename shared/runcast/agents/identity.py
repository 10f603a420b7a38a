"""Which run a session of an agent is: everything that reports one session uses the same key."""

from __future__ import annotations

import hashlib
import re

from runcast.contract import KEY_LENGTH, is_key

_OTHER = re.compile(r"[^A-Za-z0-9._-]")
_KEPT = 96
_HASHED = 16


def session_key(program: str, session_id: str, agent_id: str | None = None) -> str:
    """The key of a session's run, `claude-<session id>`; of a sub-agent's, `<that>.<agent id>`.

    Any text makes a safe key: characters that keys don't have become `-`, and of one that is too long the
    beginning and a hash of the whole are kept.
    """
    key = _safe(f"{program}-{session_id}")
    return key if agent_id is None else child_key(key, agent_id)


def child_key(key: str, agent_id: str) -> str:
    """The key of a sub-agent's run: `<key of the session>.<agent id>`."""
    return _safe(f"{key}.{agent_id}")


def resumed_key(key: str, number: int) -> str:
    """The key of a session that goes on after its run has ended: `<key>.r2`, `<key>.r3` …"""
    return _safe(f"{key}.r{number}")


def _safe(text: str) -> str:
    key = _OTHER.sub("-", text)
    if len(key) > KEY_LENGTH:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        key = f"{key[:_KEPT]}-{digest[:_HASHED]}"
    return key if is_key(key) else f"session-{key.strip('.')}"
