"""Sessions that another program of ours reports already: `runcast exec -- claude …` is its own run.

Such a run names the session among its aliases, in its run.json or at the beginning of its spool. It stands
for what was written until it was over: a session that you continue by hand afterwards is followed.

An agent begins to write its session a moment before `exec` hears from it which one that is. A run of `exec`
that has begun lately and heard nothing yet may still name any session of its agent that wakes up now.
"""

from __future__ import annotations

import enum
import re
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from runcast._recording import writers
from runcast._recording.run_directory import RunDirectory
from runcast._support import times
from runcast.contract import RUN_FILE, SPOOL_FILE, STATUS_FILE, TERMINAL_STATUSES
from runcast.watch.listings import Listings

CLAIM_SECONDS = 15.0
"""How long after its beginning a run of `exec` is waited for to say which session it is."""
_BEGINNING_BYTES = 256 * 1024
_STATUS_BYTES = 4096
_ALIASES = re.compile(rb'"aliases"\s*:\s*(\[[^\]]{0,4096}\])')
_STATUS = re.compile(rb'"status"\s*:\s*"(\w+)"')
_LINES = re.compile(rb'"type"\s*:\s*"lines"')


class Standing(enum.Enum):
    """What other runs are to a session."""

    UNREPORTED = enum.auto()
    REPORTED = enum.auto()
    """A run stands for what was written."""
    LEFT = enum.auto()
    """Runs have reported the session; they were over before it was written last."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run that no watcher wrote says of itself."""

    aliases: frozenset[str]
    over_ns: int | None
    """When it was over (ns since 1970); None for one that goes on."""
    program: str | None = None
    """The agent that it surely runs."""
    is_silent_exec: bool = False
    """A run of `exec` whose command has said nothing yet."""
    begun_at: float = 0.0

    def may_claim(self, program: str) -> bool:
        """Whether it may still say that it is a session of this agent."""
        is_young = abs(time.time() - self.begun_at) < CLAIM_SECONDS  # whatever the clock does
        is_open = self.is_silent_exec and self.over_ns is None and not self.aliases
        return is_young and is_open and self.program in (None, program)


class Foreign:
    """Knows the aliases of the runs in a directory, as they were at the last `look`."""

    def __init__(self, runs_dir: Path) -> None:
        self._runs_dir = runs_dir
        self._listings = Listings()
        self._ours: set[Path] = set()
        self._known: dict[Path, Run] = {}
        self._ended: set[Path] = set()
        """Runs that have said their end: nothing about them changes any more."""

    def look(self) -> None:
        """Looks at the runs that may say something new."""
        listed = set(self._listings.directories(self._runs_dir))
        for gone in self._known.keys() - listed:
            del self._known[gone]
        self._ended &= listed
        self._ours &= listed
        for path in listed - self._ours - self._ended:
            self._learn(path)

    def standing(self, key: str, written_ns: int) -> Standing:
        """What other runs are to a session that was written last at this time."""
        ends = [run.over_ns for run in self._known.values() if key in run.aliases]
        if any(at is None or written_ns <= at for at in ends):
            return Standing.REPORTED
        return Standing.LEFT if ends else Standing.UNREPORTED

    def over_ns(self, keys: Collection[str]) -> int:
        """When the last run was over that has reported one of these sessions (ns since 1970)."""
        ends = [run.over_ns for run in self._known.values() if run.aliases.intersection(keys)]
        return max((at for at in ends if at is not None), default=0)

    def is_claimed(self, key: str) -> bool:
        """Whether a run that goes on reports the session."""
        return any(key in run.aliases and run.over_ns is None for run in self._known.values())

    def may_claim(self, program: str) -> bool:
        """Whether a run may still say that it is a session of this agent."""
        return any(run.may_claim(program) for run in self._known.values())

    def _learn(self, path: Path) -> None:
        about = _beginning(path / RUN_FILE)
        if b'"watch":{' in about:
            self._ours.add(path)
            return
        spool = _beginning(path / SPOOL_FILE)
        has_ended, over_ns = _end(path)
        if has_ended:
            self._ended.add(path)
        aliases = frozenset(_aliases(about) | _aliases(spool))
        self._known[path] = _run(about, aliases, over_ns, is_silent=not _LINES.search(spool))


def _run(about: bytes, aliases: frozenset[str], over_ns: int | None, *, is_silent: bool) -> Run:
    """A run with what its run.json says."""
    try:
        made: dict[str, Any] = orjson.loads(about)
        if made["steps"] != ["command"] or made["agent_type"] != "WORKER":
            return Run(aliases, over_ns)
        agent = (made.get("metadata") or {}).get("agent") or {}
        begun_at = times.parse(made["created_at"]).timestamp()
        return Run(aliases, over_ns, agent.get("program"), is_silent, begun_at)
    except (ValueError, LookupError, TypeError, AttributeError):
        return Run(aliases, over_ns)


def _beginning(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_BEGINNING_BYTES)
    except OSError:
        return b""


def _aliases(content: bytes) -> set[str]:
    found: set[str] = set()
    for match in _ALIASES.finditer(content):
        try:
            found |= {each for each in orjson.loads(match[1]) if isinstance(each, str)}
        except orjson.JSONDecodeError:
            continue
    return found


def _end(path: Path) -> tuple[bool, int | None]:
    """Whether a run has said its end, and when it was over (ns since 1970; None for one that goes on). One
    whose process is gone is over, whatever it said last."""
    try:
        with (path / STATUS_FILE).open("rb") as file:
            told = _STATUS.search(file.read(_STATUS_BYTES))
        at = (path / STATUS_FILE).stat().st_mtime_ns
    except OSError:
        return False, None
    if told is not None and told[1].decode() in TERMINAL_STATUSES:
        return True, at
    return False, at if writers.is_gone(writers.read(RunDirectory(path).writer)) else None
