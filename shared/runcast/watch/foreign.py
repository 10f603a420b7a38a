"""Sessions that another program of ours reports already: `runcast exec -- claude …` is its own run.

Such a run names the session among its aliases, in its run.json or at the beginning of its spool.
"""

from __future__ import annotations

import re
from pathlib import Path

import orjson

from runcast.contract import RUN_FILE, SPOOL_FILE
from runcast.watch.listings import Listings

_BEGINNING_BYTES = 256 * 1024
_ALIASES = re.compile(rb'"aliases"\s*:\s*(\[[^\]]{0,4096}\])')


class Foreign:
    """Knows the aliases of the runs in a directory."""

    def __init__(self, runs_dir: Path) -> None:
        self._runs_dir = runs_dir
        self._listings = Listings()
        self._ours: set[Path] = set()

    def reports(self, key: str) -> bool:
        """Whether another run stands for this session."""
        return any(
            key in self._aliases(path) for path in self._listings.directories(self._runs_dir)
        )

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
