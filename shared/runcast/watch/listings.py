"""Looking into directories that other programs write: no links are followed, and nothing is read twice."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

from runcast.watch.line_file import LineFile

SETTLED_NS = 2_000_000_000
"""A directory that changed within this time may change again without another time stamp."""


class Listings:
    """The names in directories, read again only when a directory has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, list[Path], list[Path]]] = {}

    def directories(self, path: Path) -> list[Path]:
        """The directories in this one, in order of name; none where it isn't there."""
        return self._listed(path)[0]

    def files(self, path: Path, ending: str) -> list[Path]:
        """The regular files in this directory whose names end so, in order of name."""
        return [found for found in self._listed(path)[1] if found.name.endswith(ending)]

    def _listed(self, path: Path) -> tuple[list[Path], list[Path]]:
        try:
            found = os.lstat(path)
            if not stat.S_ISDIR(found.st_mode):
                return [], []
            known = self._known.get(path)
            if known is None or known[0] != found.st_mtime_ns:
                known = (self._stamp(found.st_mtime_ns), *_names(path))
                self._known[path] = known
            return known[1], known[2]
        except OSError:
            self._known.pop(path, None)
            return [], []

    @staticmethod
    def _stamp(changed_ns: int) -> int:
        return changed_ns if time.time_ns() - changed_ns > SETTLED_NS else -1


def _names(path: Path) -> tuple[list[Path], list[Path]]:
    directories: list[str] = []
    files: list[str] = []
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.name.startswith(".") or not _is_text(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                files.append(entry.name)
    return [path / name for name in sorted(directories)], [path / name for name in sorted(files)]


def _is_text(name: str) -> bool:
    """Whether a name is UTF-8: no agent makes other ones, and they can't be told to anyone."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def first_line(path: Path) -> bytes | None:
    """The file's first line, once it is whole; None before, and where the file may not be read."""
    try:
        for line in LineFile(path).lines(1):
            return line.text
    except OSError:
        return None
    return None
