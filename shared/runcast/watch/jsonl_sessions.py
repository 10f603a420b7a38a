"""Where Gemini CLI, Qwen Code and Copilot CLI keep their sessions: a file of JSON lines each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from runcast.agents import records
from runcast.agents.copilot import CopilotReader
from runcast.agents.cursor import CursorReader
from runcast.agents.gemini import GeminiReader
from runcast.agents.identity import session_key
from runcast.agents.qwen import QwenReader
from runcast.agents.said import Reader
from runcast.watch import line_file
from runcast.watch.line_file import LineFile, Stamp
from runcast.watch.listings import Listings, first_line
from runcast.watch.sessions import Registered, Session

Find = Callable[[Listings, Path], Iterator[Session]]


class JsonlSessions:
    """An agent whose sessions are files of JSON lines, and that tells nothing of its processes."""

    tells_exits = False

    def __init__(
        self,
        program: str,
        home: str,
        variable: str | None,
        pattern: str,
        find: Find,
        reader: Callable[[], Reader],
    ) -> None:
        self.program = program
        self.pattern = pattern
        self._home = home
        self._variable = variable
        self._find = find
        self._reader = reader
        self._listings = Listings()

    def roots(self, env: Mapping[str, str], home: Path) -> list[Path]:
        moved = env.get(self._variable) if self._variable else None
        return [Path(moved) if moved else home / self._home]

    def sessions(self, root: Path, hot: frozenset[str] | None) -> Iterator[Session]:
        yield from self._find(self._listings, root)

    def stamp(self, session: Session) -> Stamp | None:
        return line_file.stamp(session.path)

    def kept(self, session: Session) -> dict[str, Any]:
        return {}

    def reader(self, session: Session, kept: Mapping[str, Any]) -> Reader:
        return self._reader()

    def source(self, session: Session) -> LineFile:
        return LineFile(session.path)

    def skips(self, line: bytes) -> bool:
        return not line.startswith(b"{")

    def processes(
        self, root: Path, sessions: Collection[Session]
    ) -> Mapping[str, Registered] | None:
        return None


def gemini() -> JsonlSessions:
    """`~/.gemini/tmp/<project>/chats/session-*.jsonl`; sub-agents in a directory named like their parent."""
    ids: dict[Path, str] = {}

    def id_of(path: Path) -> str | None:
        if path not in ids:
            try:
                ids[path] = str(records.loads(first_line(path) or b"")["sessionId"])
            except (ValueError, LookupError, TypeError):
                return None
        return ids[path]

    def find(listings: Listings, root: Path) -> Iterator[Session]:
        for project in listings.directories(root / "tmp"):
            chats = project / "chats"
            for path in listings.files(chats, ".jsonl"):
                if path.name.startswith("session-") and (id := id_of(path)):
                    yield Session("gemini", path, session_key("gemini", id), id, root)
            for parent in listings.directories(chats):
                for path in listings.files(parent, ".jsonl"):
                    key = session_key("gemini", parent.name, path.stem)
                    above = session_key("gemini", parent.name)
                    yield Session("gemini", path, key, parent.name, root, above, path.stem)

    return JsonlSessions(
        "gemini", ".gemini", None, "tmp/*/chats/session-*.jsonl", find, GeminiReader
    )


def qwen() -> JsonlSessions:
    """`~/.qwen/projects/<project>/chats/<session id>.jsonl`."""

    def find(listings: Listings, root: Path) -> Iterator[Session]:
        for project in listings.directories(root / "projects"):
            for path in listings.files(project / "chats", ".jsonl"):
                yield Session("qwen", path, session_key("qwen", path.stem), path.stem, root)

    return JsonlSessions("qwen", ".qwen", None, "projects/*/chats/*.jsonl", find, QwenReader)


def copilot() -> JsonlSessions:
    """`~/.copilot/session-state/<session id>/events.jsonl`."""

    def find(listings: Listings, root: Path) -> Iterator[Session]:
        for directory in listings.directories(root / "session-state"):
            for path in listings.files(directory, "events.jsonl"):
                id = directory.name
                yield Session("copilot", path, session_key("copilot", id), id, root)

    return JsonlSessions(
        "copilot", ".copilot", "COPILOT_HOME", "session-state/*/events.jsonl", find, CopilotReader
    )


def cursor() -> JsonlSessions:
    """`~/.cursor/projects/<project>/agent-transcripts/<session id>/<session id>.jsonl`."""

    def find(listings: Listings, root: Path) -> Iterator[Session]:
        for project in listings.directories(root / "projects"):
            for directory in listings.directories(project / "agent-transcripts"):
                for path in listings.files(directory, f"{directory.name}.jsonl"):
                    id = directory.name
                    yield Session("cursor", path, session_key("cursor", id), id, root)

    pattern = "projects/*/agent-transcripts/*/*.jsonl"
    return JsonlSessions("cursor", ".cursor", None, pattern, find, CursorReader)
