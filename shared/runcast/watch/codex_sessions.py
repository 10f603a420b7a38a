"""Where Codex keeps its threads: `~/.codex/sessions/Y/M/D/rollout-*.jsonl`, later `archived_sessions/`.

`CODEX_HOME` moves them. A sub-agent is a thread of its own that names its parent. Codex has no registry of
its processes; one that has a rollout open is its process.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from runcast.agents import records
from runcast.agents.codex import CodexReader, spawned_by
from runcast.agents.identity import session_key
from runcast.watch import line_file, processes
from runcast.watch.line_file import LineFile, Stamp
from runcast.watch.listings import Listings, first_line
from runcast.watch.sessions import Registered, Session, Source
from runcast.watch.zstd_file import ZstdLineFile

LOOK_SECONDS = 5.0
RECENT_DAYS = 2
_ENDINGS = (".jsonl", ".jsonl.zst")


class CodexSessions:
    """Finds the threads of Codex."""

    program = "codex"
    pattern = "sessions/*/*/*/rollout-*.jsonl"
    tells_exits = False

    def __init__(self) -> None:
        self._listings = Listings()
        self._metas: dict[Path, dict[str, Any]] = {}
        self._looked_at = -LOOK_SECONDS
        self._held: dict[str, int] = {}
        self._facts: dict[int, dict[str, Any]] = {}

    def roots(self, env: Mapping[str, str], home: Path) -> list[Path]:
        return [Path(env.get("CODEX_HOME") or home / ".codex")]

    def sessions(self, root: Path, hot: frozenset[str] | None) -> Iterator[Session]:
        days = [
            day
            for year in self._listings.directories(root / "sessions")
            for month in self._listings.directories(year)
            for day in self._listings.directories(month)
        ]
        found = [
            session
            for day in (days if hot is None else days[-RECENT_DAYS:])
            for session in self._in(root, day)
        ]
        if hot is None:
            found += self._in(root, root / "archived_sessions")
        yield from sorted(found, key=lambda session: session.is_subagent)

    def _in(self, root: Path, directory: Path) -> Iterator[Session]:
        for ending in _ENDINGS:
            for path in self._listings.files(directory, ending):
                if path.name.startswith("rollout-") and (meta := self._meta(path)):
                    yield _session(path, root, meta)

    def _meta(self, path: Path) -> dict[str, Any]:
        """The thread's own `session_meta`; empty while it isn't there."""
        known = self._metas.get(path)
        if known is None:
            known = _read_meta(path)
            if known:
                self._metas[path] = known
        return known

    def stamp(self, session: Session) -> Stamp | None:
        return line_file.stamp(session.path)

    def kept(self, session: Session) -> dict[str, Any]:
        return {}

    def reader(self, session: Session, kept: Mapping[str, Any]) -> CodexReader:
        return CodexReader()

    def source(self, session: Session) -> Source:
        if session.path.name.endswith(".zst"):
            return ZstdLineFile(session.path)
        return LineFile(session.path)

    def skips(self, line: bytes) -> bool:
        return not line.startswith(b"{")

    def processes(
        self, root: Path, sessions: Collection[Session]
    ) -> Mapping[str, Registered] | None:
        if not processes.is_known():
            return None
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._held = processes.holding(self.program)
        found: dict[str, Registered] = {}
        for session in sessions if self._held else ():
            pid = self._held.get(str(session.path))
            if pid is not None and processes.lives(pid):
                if pid not in self._facts:
                    self._facts[pid] = {"pid": pid, **processes.environment(pid)}
                found[session.key] = Registered(None, self._facts[pid])
        return found


def _read_meta(path: Path) -> dict[str, Any]:
    if path.name.endswith(".zst"):
        try:
            line = next((each.text for each in ZstdLineFile(path).lines(1)), None)
        except OSError:
            return {}
    else:
        line = first_line(path)
    try:
        record = records.loads(line or b"")
        meta = record["payload"] if record["type"] == "session_meta" else {}
    except (ValueError, LookupError, TypeError):
        return {}
    return meta if isinstance(meta, dict) and isinstance(meta.get("id"), str) else {}


def _session(path: Path, root: Path, meta: dict[str, Any]) -> Session:
    spawn = spawned_by(meta)
    parent = meta.get("parent_thread_id") or spawn.get("parent_thread_id")
    role = spawn.get("agent_role")
    return Session(
        "codex",
        path,
        session_key("codex", meta["id"]),
        meta["id"],
        root,
        parent_key=session_key("codex", parent) if isinstance(parent, str) and parent else None,
        agent_name=role[:200] if isinstance(role, str) and role else None,
    )
