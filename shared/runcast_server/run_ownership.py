"""Whether a directory beneath RUNS_DIR is that of a certain run.

A run's key is unique in its project, but names a directory among those of all projects. So the name alone
proves nothing: run.json says whose the directory is.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from runcast.contract import RUN_FILE
from runcast_server import beneath

MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What a directory has to name in order to be the run's. `name`: its key, or else its id."""

    id: UUID
    name: str
    project_id: UUID
    project_slug: str


@dataclass(frozen=True, slots=True)
class RunDirectories:
    """Where run directories lie, and the project (TAIL_PROJECT) of those that name none."""

    runs_dir: Path
    roots: Sequence[Path]
    project: str

    def is_own(self, run: RunIdentity) -> bool:
        """Whether the directory that bears the run's name is there and is the run's.

        Its run.json names the run's id, or its project and key. A directory without run.json belongs to a
        run of TAIL_PROJECT, as the tailer takes it; one whose run.json can't be read, to none.
        """
        home = beneath.run_directory(self.runs_dir, run.name, self.roots)
        if home is None or not home.path.is_dir():
            return False
        try:
            said = _read(home)
        except (OSError, ValueError):
            return False
        if said is None:
            return self._is_project(self.project, run)
        if _is_id(said.get("id"), run.id):
            return True
        name = said.get("key") or run.name
        return name == run.name and self._is_project(said.get("project") or self.project, run)

    def is_beneath_own(self, path: Path, run: RunIdentity) -> bool:
        """Whether a path lies in the directory that bears the run's name."""
        return path.is_relative_to(self.runs_dir / run.name)

    def _is_project(self, named: Any, run: RunIdentity) -> bool:
        return named == run.project_slug or _is_id(named, run.project_id)


def _is_id(said: Any, id: UUID) -> bool:
    try:
        return isinstance(said, str) and UUID(said) == id
    except ValueError:
        return False


def _read(home: beneath.Place) -> dict[str, Any] | None:
    """What run.json says; None where there is none. Raises `OSError` or `ValueError` for a bad one."""
    path = home.path / RUN_FILE
    try:
        descriptor = beneath.open_file(home.root, path)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        content = orjson.loads(file.read(MAX_BYTES).removeprefix(codecs.BOM_UTF8))
    if not isinstance(content, dict):
        raise ValueError("run.json holds no object")
    return content
