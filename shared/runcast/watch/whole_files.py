"""Agents that rewrite a whole JSON file, or write a file for each event: Cline, mini-swe-agent and OpenHands.

What was told is known by its number while the watcher lives; after a restart, the spool says it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from runcast.agents import records
from runcast.agents.cline import ClineReader, usage_of
from runcast.agents.identity import session_key
from runcast.agents.mini_swe import MiniSweReader
from runcast.agents.openhands import OpenHandsReader
from runcast.agents.said import Reader
from runcast.watch import line_file
from runcast.watch.line_file import RECORD_BYTES, Identity, Line, Stamp, open_own, own
from runcast.watch.listings import Listings
from runcast.watch.sessions import Registered, Session

Json = dict[str, Any]

EVENTS = "events"
EVENTS_KEPT = 4096
"""Events of conversations that are read once; of more, all are read again."""
_EXTENSION = "saoudrizwan.claude-dev"
"""Cline, as VS Code knows it."""
Load = Callable[[Path], tuple[list[Any], Json]]
"""The records of a session that stay, and the one that changes."""


class WholeSessions:
    """An agent whose sessions are read as wholes. Its file is the one that changes with each step."""

    tells_exits = False

    def __init__(
        self,
        program: str,
        places: Sequence[str],
        pattern: str,
        load: Load,
        reader: Callable[[], Reader],
        moved: tuple[str, str] | None = None,
    ) -> None:
        """`moved`: the variable that names another place for the first one, and what lies beneath that."""
        self.program = program
        self.pattern = pattern
        self._places = places
        self._moved = moved
        self._load = load
        self._reader = reader
        self._listings = Listings()

    def roots(self, env: Mapping[str, str], home: Path) -> list[Path]:
        first, *others = (home / each for each in self._places)
        if self._moved is not None and (named := env.get(self._moved[0])):
            first = Path(named, self._moved[1])
        return [first, *others]

    def sessions(self, root: Path, hot: frozenset[str] | None) -> Iterator[Session]:
        name = self.pattern.rpartition("/")[2].lstrip("*")
        for directory in (root, *self._listings.directories(root)):
            for path in self._listings.files(directory, name):
                id = path.name.removesuffix(name) or directory.name
                yield Session(self.program, path, session_key(self.program, id), id, root)

    def stamp(self, session: Session) -> Stamp | None:
        """The file, and the directory of events beside it, where there is one: its time counts in the size,
        too, since the later of the two times alone may stay as it was."""
        found = line_file.stamp(session.path)
        try:
            changed = os.lstat(session.path.parent / EVENTS).st_mtime_ns
        except OSError:
            return found
        return found and (found[0], found[1] + changed, max(found[2], changed))

    def kept(self, session: Session) -> Json:
        return {}

    def reader(self, session: Session, kept: Mapping[str, Any]) -> Reader:
        return self._reader()

    def source(self, session: Session) -> WholeSource:
        return WholeSource(session.path, self._load)

    def skips(self, line: bytes) -> bool:
        return False

    def processes(
        self, root: Path, sessions: Collection[Session]
    ) -> Mapping[str, Registered] | None:
        return None


class WholeSource:
    """The records of a session as lines. The offset counts them; the one that changes always comes last."""

    is_positional = False

    def __init__(self, path: Path, load: Load) -> None:
        self.offset = 0
        self._path = path
        self._load = load
        self._last = b""

    def identity(self) -> Identity:
        """Nothing tells a file that is replaced at each step from another one. Raises `OSError`."""
        own(self._path)
        return Identity(0, "0-")

    def continues(self, known: Identity, at_least: int) -> bool:
        """Whether the records that were told are still there."""
        try:
            return len(self._load(self._path)[0]) >= self.offset
        except ValueError:
            return True  # it is being written

    def lines(self, limit_bytes: int | None = None) -> Iterator[Line]:
        """The records that came since, and the changed one. Raises `OSError`."""
        try:
            records, changing = self._load(self._path)
        except ValueError:
            return
        for record in records[self.offset :]:
            self.offset += 1
            yield Line(orjson.dumps(record), self.offset - 1, self.offset)
        last = orjson.dumps(changing)
        if last != self._last:
            self._last = last
            yield Line(last, self.offset, self.offset)


def mini_swe() -> WholeSessions:
    """`*.traj.json` in `~/.config/mini-swe-agent`, or where `--path` says."""

    def load(path: Path) -> tuple[list[Any], Json]:
        whole = _read(path)
        messages = whole.get("messages")
        return messages if isinstance(messages, list) else [], {"info": whole.get("info") or {}}

    places = (".config/mini-swe-agent",)
    return WholeSessions("mini-swe", places, "*.traj.json", load, MiniSweReader)


def openhands() -> WholeSessions:
    """`<conversation>/base_state.json` and `events/event-*.json` in `~/.openhands/conversations`."""
    read: dict[Path, Json] = {}
    listings = Listings()

    def load(path: Path) -> tuple[list[Any], Json]:
        events = [
            each
            for each in listings.files(path.parent / EVENTS, ".json")
            if each.name.startswith("event-")
        ]
        if len(read) > EVENTS_KEPT:
            read.clear()
        for each in events:
            if each not in read:
                read[each] = _read(each)
        return [read[each] for each in events], {"state": _read(path)}

    places = (".openhands/conversations",)
    return WholeSessions("openhands", places, "*/base_state.json", load, OpenHandsReader)


def cline() -> WholeSessions:
    """`tasks/<id>/ui_messages.json` in `~/.cline/data`, and in VS Code's directory of the extension."""

    def load(path: Path) -> tuple[list[Any], Json]:
        messages = _loaded(path)
        if not isinstance(messages, list):
            raise ValueError(f"{path} is no JSON array")
        usage = {"usage": usage_of(messages)}
        last = messages[-1] if messages else None
        is_coming = isinstance(last, dict) and bool(last.get("partial"))
        return messages[:-1] if is_coming else messages, usage

    places = (".cline/data/tasks", f".config/Code/User/globalStorage/{_EXTENSION}/tasks")
    moved = ("CLINE_DIR", "data/tasks")
    return WholeSessions("cline", places, "*/ui_messages.json", load, ClineReader, moved)


def _read(path: Path) -> Json:
    """A JSON object. Raises `OSError`, and `ValueError` for what isn't one (yet)."""
    found = _loaded(path)
    if not isinstance(found, dict):
        raise ValueError(f"{path} is no JSON object")
    return found


def _loaded(path: Path) -> Any:
    with open(open_own(path), "rb") as file:
        if os.fstat(file.fileno()).st_size > RECORD_BYTES:
            raise OSError(f"{path} has more than {RECORD_BYTES:,} bytes; it is left alone")
        return records.loads(file.read(RECORD_BYTES))
