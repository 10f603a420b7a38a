"""Sessions that another program of ours reports already: `runcast exec -- claude …` is its own run.

Such a run names the session among its aliases, in its run.json or at the beginning of its spool. It stands
for what was written until it was over: a session that you continue by hand afterwards is followed.
"""

from __future__ import annotations

import enum
import re
from pathlib import Path

import orjson

from runcast._recording import writers
from runcast._recording.run_directory import RunDirectory
from runcast.contract import RUN_FILE, SPOOL_FILE, STATUS_FILE, TERMINAL_STATUSES
from runcast.watch.listings import Listings

_BEGINNING_BYTES = 256 * 1024
_STATUS_BYTES = 4096
_ALIASES = re.compile(rb'"aliases"\s*:\s*(\[[^\]]{0,4096}\])')
_STATUS = re.compile(rb'"status"\s*:\s*"(\w+)"')
_MOST_KNOWN = 10_000


class Standing(enum.Enum):
    """What other runs are to a session."""

    UNREPORTED = enum.auto()
    REPORTED = enum.auto()
    """A run stands for what was written."""
    LEFT = enum.auto()
    """Runs have reported the session; they were over before it was written last."""


class Foreign:
    """Knows the aliases of the runs in a directory."""

    def __init__(self, runs_dir: Path) -> None:
        self._runs_dir = runs_dir
        self._listings = Listings()
        self._ours: set[Path] = set()
        self._last: dict[str, Path] = {}
        """The run that reported a session when it was looked for last: it is asked first."""

    def standing(self, key: str, written_ns: int) -> Standing:
        """What other runs are to a session that was written last at this time."""
        last = self._last.get(key)
        if last is not None and _over_ns(last) is None:
            return Standing.REPORTED
        over: list[int] = []
        for path in self._listings.directories(self._runs_dir):
            if key not in self._aliases(path):
                continue
            self._keep(key, path)
            at = _over_ns(path)
            if at is None or written_ns <= at:
                return Standing.REPORTED
            over.append(at)
        return Standing.LEFT if over else Standing.UNREPORTED

    def _keep(self, key: str, path: Path) -> None:
        if len(self._last) >= _MOST_KNOWN:
            self._last.clear()
        self._last[key] = path

    def _aliases(self, path: Path) -> set[str]:
        """The aliases of a run; none of one that a watcher wrote."""
        if path in self._ours:
            return set()
        found: set[str] = set()
        for name in (RUN_FILE, SPOOL_FILE):
            try:
                with (path / name).open("rb") as file:
                    content = file.read(_BEGINNING_BYTES)
            except OSError:
                continue
            if name == RUN_FILE and b'"watch":{' in content:
                self._ours.add(path)
                return set()
            for match in _ALIASES.finditer(content):
                try:
                    found |= {each for each in orjson.loads(match[1]) if isinstance(each, str)}
                except orjson.JSONDecodeError:
                    continue
        return found


def _over_ns(path: Path) -> int | None:
    """When a run was over (ns since 1970); None for one that goes on. One whose process is gone is over,
    whatever it said last."""
    try:
        with (path / STATUS_FILE).open("rb") as file:
            told = _STATUS.search(file.read(_STATUS_BYTES))
        at = (path / STATUS_FILE).stat().st_mtime_ns
    except OSError:
        return None if path.is_dir() else 0
    if told is not None and told[1].decode() in TERMINAL_STATUSES:
        return at
    return at if writers.is_gone(writers.read(RunDirectory(path).writer)) else None
