"""What the watcher remembers of sessions between two of its lives, and what it shows to others meanwhile.

The truth about what was said is in the spools; this file spares looking at each of them, and knows the
sessions whose runs were removed. It may be deleted.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import orjson

from runcast._recording import files, locks
from runcast._recording.run_directory import make_root

Json = dict[str, Any]

MEMORY_FILE = ".watch.json"
LOCK_FILE = ".watch.lock"
VERSION = 1


def read(runs_dir: Path) -> dict[str, Json]:
    """What is known of each session, by key; nothing where the file isn't there, or isn't ours."""
    try:
        found = orjson.loads((runs_dir / MEMORY_FILE).read_bytes())
        sessions = found["sessions"] if found["v"] == VERSION else {}
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    if not isinstance(sessions, dict):
        return {}
    return {key: each for key, each in sessions.items() if isinstance(each, dict)}


def write(runs_dir: Path, sessions: dict[str, Json]) -> None:
    """Replaces the file. Raises `OSError`."""
    make_root(runs_dir)
    path = runs_dir / MEMORY_FILE
    files.replace(path, orjson.dumps({"v": VERSION, "sessions": sessions}))
    with contextlib.suppress(OSError):
        os.chmod(path, 0o600)


class OnlyOne:
    """One watcher works in a directory of runs; a second one waits."""

    def __init__(self, runs_dir: Path) -> None:
        self._path = runs_dir / LOCK_FILE
        self._fd = -1

    def take(self) -> bool:
        """Whether this process may work. Raises `OSError`."""
        if self._fd < 0:
            make_root(self._path.parent)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return locks.try_lock(self._fd)

    def is_taken(self) -> bool:
        """Whether another process works."""
        if not self._path.exists():
            return False
        is_free = self.take()
        self.release()
        return not is_free

    def release(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
