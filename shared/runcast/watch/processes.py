"""Processes of this machine: whether one lives, is the one that was meant, and where it is shown.

Where the system says nothing (no `/proc`), what isn't known counts as unknown, never as dead.
"""

from __future__ import annotations

import calendar
import contextlib
import os
import time
from pathlib import Path

_SLACK_SECONDS = 3.0
_ENVIRONMENT = {"TMUX_PANE": "tmux", "TERM_PROGRAM": "term"}


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return _state(pid) != "Z"


def _state(pid: int) -> str:
    fields = _stat(pid)
    return fields[0] if fields else "?"


def started_at(pid: int) -> float | None:
    """When the process began, in seconds since 1970; None where that can't be told."""
    fields = _stat(pid)
    if len(fields) < 20:
        return None
    try:
        return _booted_at() + int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None


def start_ticks(pid: int) -> str | None:
    """When it began, as `/proc/<pid>/stat` says it."""
    fields = _stat(pid)
    return fields[19] if len(fields) >= 20 else None


def is_same(pid: int, start: str | None, began_at: float | None) -> bool:
    """Whether the living process of this number is the one that began so: `start` as the agent wrote it down
    (`ps` or the kernel's ticks), `began_at` when the agent says that its session began."""
    real = started_at(pid)
    if real is None:
        return True
    if start and start.isdigit() and (ticks := start_ticks(pid)) is not None and start == ticks:
        return True
    if start and (written := _parsed(start)):
        return any(abs(each - real) <= _SLACK_SECONDS for each in written)
    return began_at is None or real <= began_at + _SLACK_SECONDS


def _parsed(start: str) -> tuple[float, ...]:
    """The moment that `ps -o lstart` writes, in local time and in UTC."""
    try:
        parts = time.strptime(" ".join(start.split()), "%a %b %d %H:%M:%S %Y")
        return time.mktime(parts), float(calendar.timegm(parts))
    except (ValueError, OverflowError):
        return ()


def environment(pid: int) -> dict[str, str]:
    """Where the process is shown: its tmux pane and terminal, where that may be read."""
    try:
        content = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    found: dict[str, str] = {}
    for each in content.split(b"\0"):
        name, _, value = each.decode(errors="replace").partition("=")
        if name in _ENVIRONMENT and value:
            found[_ENVIRONMENT[name]] = value[:100]
    return found


def holding(name: str) -> dict[str, int]:
    """The files that processes of this name have open, each with its process."""
    found: dict[str, int] = {}
    try:
        pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    except OSError:
        return found
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_bytes().strip() != name.encode():
                continue
            for fd in os.listdir(f"/proc/{pid}/fd"):
                found[os.readlink(f"/proc/{pid}/fd/{fd}")] = pid
    return found


def is_known() -> bool:
    """Whether this system tells of processes and their files."""
    return Path("/proc/self/fd").is_dir()


def _stat(pid: int) -> list[str]:
    try:
        content = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return content.rpartition(")")[2].split()


def _booted_at() -> float:
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    raise ValueError("no btime")
