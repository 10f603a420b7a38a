"""The agents whose sessions can be followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runcast.watch import jsonl_sessions, whole_files
from runcast.watch.claude_sessions import ClaudeSessions
from runcast.watch.codex_sessions import CodexSessions
from runcast.watch.goose_sessions import GooseSessions
from runcast.watch.opencode_sessions import OpencodeSessions
from runcast.watch.sessions import Adapter

ADAPTERS: Mapping[str, Callable[[], Adapter]] = {
    "claude": ClaudeSessions,
    "codex": CodexSessions,
    "gemini": jsonl_sessions.gemini,
    "qwen": jsonl_sessions.qwen,
    "copilot": jsonl_sessions.copilot,
    "opencode": OpencodeSessions,
    "cursor": jsonl_sessions.cursor,
    "cline": whole_files.cline,
    "goose": GooseSessions,
    "openhands": whole_files.openhands,
    "mini-swe": whole_files.mini_swe,
}
