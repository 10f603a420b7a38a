"""Claude Code's registry of its processes: `~/.claude/sessions/<pid>.json`, one a process.

It says what the transcript can't: that a permission is waited for. A file stays behind when its process
crashed, so an entry counts only while that very process lives. Where a file can't be understood, the
documented `claude agents --json` is asked instead, at most every five seconds.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runcast.agents import records, texts
from runcast.agents.said import State
from runcast.watch import processes
from runcast.watch.line_file import open_own, own
from runcast.watch.listings import Listings
from runcast.watch.sessions import Registered

logger = logging.getLogger("runcast")

Json = dict[str, Any]

ENTRY_BYTES = 64 * 1024
ASK_SECONDS = 5.0
_PERMISSIONS = ("approve", "permission", "sandbox", "worker")
_FACTS = ("version", "entrypoint", "cwd")


class ClaudeRegistry:
    """Looks at the registry; a file is read again when it has changed."""

    def __init__(self, path: Path, *, command: str = "claude") -> None:
        self._path = path
        self._command = command
        self._listings = Listings()
        self._read: dict[Path, tuple[int, int, Json | None]] = {}
        self._shown: dict[int, dict[str, str]] = {}
        self._asked_at = -ASK_SECONDS
        self._answered: list[Json] = []
        self._complaint = ""

    def look(self) -> Mapping[str, Registered] | None:
        """The sessions that it names, by id; None where there is no registry."""
        if not self._path.is_dir():
            return None
        paths = self._listings.files(self._path, ".json")
        entries = [self._entry(path) for path in paths]
        if len(self._read) > len(paths):
            self._read = {path: self._read[path] for path in paths if path in self._read}
        known = [entry for entry in entries if entry is not None]
        if len(known) < len(entries):
            known += self._ask()
        found: dict[str, Registered] = {}
        for entry in known:
            try:
                self._add(entry, found)
            except Exception as error:  # what one entry holds costs the others nothing
                self._complain(f"{entry.get('pid')}: {error!r}")
        return found

    def _add(self, entry: Json, found: dict[str, Registered]) -> None:
        """Adds what an entry says of its session."""
        if entry.get("spare"):
            return
        if _is_alive(entry):
            found[entry["sessionId"]] = self._registered(entry)
        else:
            found.setdefault(entry["sessionId"], Registered(None, {}, is_alive=False))

    def _complain(self, reason: str) -> None:
        if reason != self._complaint:
            self._complaint = reason
            logger.warning("an entry of %s is passed over: %s", self._path, reason[:500])

    def _entry(self, path: Path) -> Json | None:
        """What a file says; None where it can't be understood."""
        try:
            stat = own(path)
            stamp = (stat.st_mtime_ns, stat.st_ino)
            known = self._read.get(path)
            if known is None or known[:2] != stamp:
                entry = _understood(records.loads(_beginning(path)))
                known = self._read[path] = (*stamp, entry)
            return known[2]
        except FileNotFoundError:
            return {"spare": True}
        except (OSError, ValueError):
            return None

    def _ask(self) -> list[Json]:
        """What `claude agents --json` says."""
        now = time.monotonic()
        if now - self._asked_at < ASK_SECONDS:
            return self._answered
        self._asked_at = now
        command = shutil.which(self._command)
        if command is None:
            return []
        try:
            done = subprocess.run(
                [command, "agents", "--json"], capture_output=True, timeout=4, check=True
            )
            listed = records.loads(done.stdout)
        except (OSError, ValueError, subprocess.SubprocessError):
            return self._answered
        listed = listed if isinstance(listed, list) else []
        self._answered = [known for each in listed if (known := _understood(each)) is not None]
        return self._answered

    def _registered(self, entry: Json) -> Registered:
        pid = entry["pid"]
        if pid not in self._shown:
            self._shown = {pid: self._shown.get(pid, {}) for pid in [*self._shown, pid][-1000:]}
            self._shown[pid] = processes.environment(pid)
        facts = {name: entry[name] for name in _FACTS if isinstance(entry.get(name), str)}
        return Registered(_state(entry), facts | {"pid": pid} | self._shown[pid])


def _beginning(path: Path) -> bytes:
    with open(open_own(path), "rb") as file:
        return file.read(ENTRY_BYTES)


def _understood(entry: Any) -> Json | None:
    """The entry, if it has what is needed."""
    if not isinstance(entry, dict):
        return None
    if entry.get("spare"):
        return entry
    is_whole = isinstance(entry.get("pid"), int) and isinstance(entry.get("sessionId"), str)
    return entry if is_whole and isinstance(entry.get("status"), str) else None


def _is_alive(entry: Json) -> bool:
    if not processes.lives(entry["pid"]):
        return False
    start, began = entry.get("procStart"), entry.get("startedAt")
    seconds = began / 1000 if isinstance(began, int | float) else None
    return processes.is_same(entry["pid"], start if isinstance(start, str) else None, seconds)


def _state(entry: Json) -> State | None:
    """What the process does; None for a status that isn't known."""
    status, waiting_for = entry["status"], str(entry.get("waitingFor") or "")
    since = texts.iso(entry.get("statusUpdatedAt"))
    if status in ("busy", "working"):
        return State()
    if status in ("idle", "done"):
        return State("idle", "", since)
    if status not in ("waiting", "blocked"):
        return None
    tool = waiting_for.removeprefix("approve ") if waiting_for.startswith("approve ") else ""
    if tool == "AskUserQuestion":
        return State("question", "", since)
    if tool == "ExitPlanMode":
        return State("plan", "", since)
    if any(word in waiting_for for word in _PERMISSIONS):
        return State("permission", tool or waiting_for, since)
    return State(
        "question", "" if waiting_for in ("input needed", "dialog open") else waiting_for, since
    )
