"""One run's directory: whose run it is, which of its files are sources, and how the run stands."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard
from uuid import UUID

import structlog

from runcast import contract
from runcast._recording import formats
from runcast._support import acceptable
from runcast.contract import (
    LOG_FILE,
    NAME_CHARACTERS,
    PROGRESS_FILE,
    RUN_FIELDS,
    RUN_FILE,
    SPOOL_FILE,
    TERMINAL_STATUSES,
)
from runcast.errors import InvalidFile
from runcast_server import beneath
from runcast_tailer.discovery import Listing

MAX_JSON_BYTES = 64 * 1024 * 1024
"""A JSON file of a run at most; events, logs and artifacts have files of their own."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunName:
    """How a directory names its run: by id, by key in a project, or both."""

    project: str
    run_id: UUID | None
    key: str | None
    made_of: dict[str, Any] = field(default_factory=dict, hash=False, compare=False)

    def address(self) -> dict[str, Any]:
        """What messages carry so that the run is made where it isn't known yet."""
        given: dict[str, Any] = {"project": self.project}
        if self.run_id is not None:
            given["run_id"] = str(self.run_id)
        if self.key is not None:
            given["key"] = self.key
        return given | ({"run": self.made_of} if self.made_of else {})


@dataclass(slots=True)
class RunState:
    """What status.json says: a status, and what the log held at the end."""

    status: str
    error: str | None = None
    log_size: tuple[int, int] | None = None
    """Lines and bytes of logs.txt, as its writer left them."""

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL_STATUSES


class RunDirectory:
    """The files of one run, looked at as they change."""

    def __init__(self, path: Path, home: Path | None = None) -> None:
        self.path = path
        self.home = home or path
        """Where its files lie: elsewhere than at `path` where that is a link which may be followed."""
        self.root = home or path.parent
        """Beneath it, nothing is reached through a link."""
        self.listing = Listing(path)
        self.state: RunState | None = None
        self._status_stamp: tuple[int, int] | None = None
        self._warned: set[str] = set()

    @property
    def name(self) -> str:
        return self.path.name

    def refresh(self, now: float) -> bool:
        """Looks again; True if files came or went, or status.json changed."""
        has_changed = self.listing.refresh(now)
        return self._read_status() or has_changed

    def sources(self) -> list[str]:
        """The files that are followed: the spool alone where there is one."""
        if SPOOL_FILE in self.listing.names:
            return [SPOOL_FILE]
        return [name for name in (LOG_FILE, PROGRESS_FILE) if name in self.listing.names]

    def run_name(self, project: str) -> RunName | None:
        """Whose run it is, by run.json and the directory's name; None for a name that no run can have."""
        run_id, key = _as_uuid(self.name), None
        if run_id is None:
            if fault := contract.key_fault(self.name):
                self._warn(f"its name can't be a run's key: it {fault}")
                return None
            key = self.name
        run = self._read(RUN_FILE)
        if run is None:
            return RunName(project, run_id, key)
        made_of = {
            name: run[name] for name in RUN_FIELDS if name != "key" and run.get(name) is not None
        }
        own_id = _as_uuid(run["id"])
        key = run.get("key") or key
        if key is not None and (fault := contract.key_fault(key)):
            self._warn(f"run.json: key {fault}")
            return None
        named = acceptable.printable(run.get("project") or project)[:NAME_CHARACTERS]
        return RunName(named, own_id or run_id, key, made_of)

    def _read_status(self) -> bool:
        if "status.json" not in self.listing.names:
            return False
        try:
            found = os.stat(self.path / "status.json")
        except OSError:
            return False
        stamp = (found.st_mtime_ns, found.st_ino)
        if stamp == self._status_stamp:
            return False
        self._status_stamp = stamp
        content = self._read("status.json")
        if content is None:
            return False
        error = content.get("error")
        self.state = RunState(
            content["status"],
            acceptable.text(error) if isinstance(error, str) else None,
            _size(content.get("log")),
        )
        return True

    def open(self, name: str) -> int:
        """A descriptor of the file of this name, or this path in the directory. Raises `OSError`."""
        return beneath.open_file(self.root, self.home / name)

    def read(self, name: str, kind: str) -> dict[str, Any]:
        """A JSON file's checked content. Raises `InvalidFile` and `OSError`."""
        return formats.parse(self._content(name), self.path / name, kind)

    def read_artifacts(self) -> tuple[list[dict[str, Any]], list[str]]:
        """The entries of the manifest of artifacts that are good, and what is wrong with the others.
        Raises `InvalidFile` and `OSError`."""
        name = "artifacts/index.json"
        return formats.parse_artifacts(self._content(name), self.path / name)

    def _content(self, name: str) -> bytes:
        with os.fdopen(self.open(name), "rb") as file:
            content = file.read(MAX_JSON_BYTES + 1)
        if len(content) > MAX_JSON_BYTES:
            raise InvalidFile(self.path / name, f"larger than {MAX_JSON_BYTES:,} bytes")
        return content

    def _read(self, name: str) -> dict[str, Any] | None:
        """A file that can be believed. An invalid one is named once in a warning, and left alone."""
        try:
            return self.read(name, name)
        except FileNotFoundError:
            return None
        except (InvalidFile, OSError) as error:
            self._warn(str(error))
            return None

    def _warn(self, reason: str) -> None:
        if reason not in self._warned:
            self._warned.add(reason)
            log.warning("tailer.left_alone", path=str(self.path), reason=reason)


def _size(log: Any) -> tuple[int, int] | None:
    if not isinstance(log, dict):
        return None
    lines, size = log.get("lines"), log.get("bytes")
    return (lines, size) if _is_count(lines) and _is_count(size) else None


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
