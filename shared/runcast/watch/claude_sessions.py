"""Where Claude Code keeps its sessions, their sub-agents, and which of its processes lives.

`~/.claude/projects/<slug>/<session id>.jsonl` and `<slug>/<session id>/subagents/agent-<id>.jsonl`. The slug
says nothing for sure; the directory stands in the records. `CLAUDE_CONFIG_DIR` moves all of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from runcast.agents import records
from runcast.agents.claude import ClaudeReader
from runcast.agents.identity import session_key
from runcast.watch import copied_history, line_file
from runcast.watch.claude_registry import ClaudeRegistry
from runcast.watch.line_file import LineFile, Stamp, open_own
from runcast.watch.listings import Listings
from runcast.watch.sessions import Registered, Session

_UNREAD = re.compile(
    rb'\{(?:[^{}\[\]\\]{0,300},)?\s*"type"\s*:\s*"'
    rb'(?:progress|file-history-snapshot|attachment|queue-operation|last-prompt|mode)"'
)
_META_BYTES = 64 * 1024


class ClaudeSessions:
    """Finds the sessions of Claude Code."""

    program = "claude"
    pattern = "projects/*/*.jsonl"
    tells_exits = True

    def __init__(self) -> None:
        self._listings = Listings()
        self._known: dict[Path, Session] = {}
        self._registries: dict[Path, ClaudeRegistry] = {}

    def roots(self, env: Mapping[str, str], home: Path) -> list[Path]:
        return [Path(env.get("CLAUDE_CONFIG_DIR") or home / ".claude")]

    def sessions(self, root: Path, hot: frozenset[str] | None) -> Iterator[Session]:
        for project in self._listings.directories(root / "projects"):
            for path in self._listings.files(project, ".jsonl"):
                yield self._known.get(path) or self._session(root, path)
            for directory in self._listings.directories(project):
                key = session_key(self.program, directory.name)
                if hot is None or key in hot:
                    yield from self._subagents(root, directory, key)

    def _session(self, root: Path, path: Path) -> Session:
        key = session_key(self.program, path.stem)
        self._known[path] = session = Session(self.program, path, key, path.stem, root)
        return session

    def _subagents(self, root: Path, directory: Path, key: str) -> Iterator[Session]:
        for path in self._listings.files(directory / "subagents", ".jsonl"):
            if not path.stem.startswith("agent-"):
                continue
            agent_id = path.stem.removeprefix("agent-")
            about = _meta(path.with_suffix(".meta.json"))
            yield Session(
                self.program,
                path,
                session_key(self.program, directory.name, agent_id),
                directory.name,
                root,
                parent_key=key,
                agent_id=agent_id,
                agent_name=_text(about.get("agentType"), 200),
                name=_text(about.get("description"), 80),
            )

    def stamp(self, session: Session) -> Stamp | None:
        return line_file.stamp(session.path)

    def kept(self, session: Session) -> dict[str, Any]:
        name = None if session.is_subagent else copied_history.copied_from(session.path)
        return {"copied_from": name} if name else {}

    def reader(self, session: Session, kept: Mapping[str, Any]) -> ClaudeReader:
        if session.parent_key is not None:
            return ClaudeReader(session.parent_key, session.session_id, is_subagent=True)
        name = kept.get("copied_from")
        copied = copied_history.ids_of(session.path.parent / name) if name else frozenset()
        return ClaudeReader(session.key, session.session_id, copied=copied)

    def source(self, session: Session) -> LineFile:
        return LineFile(session.path)

    def skips(self, line: bytes) -> bool:
        return _UNREAD.match(line) is not None

    def processes(
        self, root: Path, sessions: Collection[Session]
    ) -> Mapping[str, Registered] | None:
        registry = self._registries.get(root)
        if registry is None:
            registry = self._registries[root] = ClaudeRegistry(root / "sessions")
        found = registry.look()
        if found is None:
            return None
        return {session_key(self.program, id): registered for id, registered in found.items()}


def _meta(path: Path) -> dict[str, Any]:
    try:
        with open(open_own(path), "rb") as file:
            found = records.loads(file.read(_META_BYTES))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: Any, limit: int) -> str | None:
    return value[:limit] if isinstance(value, str) and value.strip() else None
