"""Which run directories are there: a scan that costs almost nothing while nothing changes.

A directory's time stamp moves when names come or go in it, so it is listed only then, and every half
minute all the same (network file systems cache time stamps). A scan that fails says nothing about what
is there: what was known stays known.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from runcast_server import beneath

RESCAN_SECONDS = 30.0
SETTLED_NS = 2_000_000_000
"""A directory's time stamp this young may cover another change in the same clock tick."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Listing:
    """The names in one directory, listed again when they may have changed."""

    path: Path
    names: frozenset[str] = frozenset()
    is_missing: bool = False
    _stamp: int = -1
    _listed_at: float = -RESCAN_SECONDS

    def refresh(self, now: float) -> bool:
        """True if names came or went. Raises nothing: a failed look leaves what was known."""
        try:
            stamp = os.stat(self.path).st_mtime_ns
            if stamp == self._stamp and now - self._listed_at < RESCAN_SECONDS:
                return False
            before = self.names
            self.names = frozenset(os.listdir(self.path))
        except (FileNotFoundError, NotADirectoryError):
            self.is_missing = True
            return False
        except OSError as error:
            log.warning("tailer.scan_failed", path=str(self.path), error=str(error))
            return False
        is_settled = time.time_ns() - stamp > SETTLED_NS
        self.is_missing, self._listed_at = False, now
        self._stamp = stamp if is_settled else -1
        return self.names != before


@dataclass(slots=True)
class Discovery:
    """The run directories beneath one root."""

    root: Path
    roots: Sequence[Path]
    """Where a symlinked run directory may lead."""
    listing: Listing = field(init=False)
    _known: set[str] = field(default_factory=set)
    homes: dict[Path, Path] = field(default_factory=dict)
    """Where the links among the directories lead, as it was looked at when they were found."""
    _refused: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.listing = Listing(self.root)

    def new(self, now: float) -> list[Path]:
        """Directories that weren't there at the last look."""
        if not self.listing.refresh(now) and not self._refused:
            return []
        found: list[Path] = []
        for name in self.listing.names - self._known:
            path = self._directory(name)
            if path is not None:
                self._known.add(name)
                found.append(path)
        self._known &= self.listing.names
        return found

    def _directory(self, name: str) -> Path | None:
        """The directory of this name, through a link if it leads where we may read and to no run of ours."""
        path = self.root / name
        if name.startswith("."):
            return None
        try:
            status = os.lstat(path)
            if stat.S_ISDIR(status.st_mode):
                return path
            if not stat.S_ISLNK(status.st_mode):
                return None
            target = path.resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            return None
        home = beneath.run_directory(self.root, name, self.roots)
        if home is not None:
            self.homes[path] = home.path
            return path
        if name not in self._refused and target.is_dir():
            self._refused.add(name)
            log.warning("tailer.link_refused", path=str(path), target=str(target))
        return None
