"""Removes the directories of runs that are over, and that the server has to their last byte.

A directory is removed whole: without its spool it would look like another program's, and be sent once more
from its logs.txt.
"""

import contextlib
import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from runcast import errors
from runcast._recording import files, locks
from runcast._recording.run_directory import RunDirectory, unindex_run
from runcast._support import times
from runcast._upload.uplink import Uplink
from runcast.client.clients import Client
from runcast.contract import SPOOL_FILE, TERMINAL_STATUSES


@dataclass(frozen=True)
class Pruned:
    """What became of one directory; `kept` says why it is still there."""

    name: str
    size: int
    kept: str | None = None


def prune(
    client: Client | None, directory: RunDirectory, before: datetime, *, is_dry: bool = False
) -> Pruned:
    """Removes a run's directory if the run ended before that moment. Without a client no one is asked whether
    a server has it. Raises `Unreachable` and errors of sign-in."""
    name, size = directory.path.name, _size(directory.path)
    try:
        run = directory.read_run()
    except (errors.InvalidFile, OSError) as error:
        return Pruned(name, size, f"its run.json can't be read: {error}")
    reason = _reason(run, before) or (_unsent(client, directory, run) if client else None)
    if reason is not None or is_dry:
        return Pruned(name, size, reason)
    try:
        fd = os.open(directory.path, os.O_RDONLY | files.FLAGS)
        try:
            if not locks.try_lock(fd):
                return Pruned(name, size, "it is being sent by its own program")
            shutil.rmtree(directory.path)
        finally:
            os.close(fd)
    except OSError as error:
        return Pruned(name, size, f"it can't be removed: {error}")
    with contextlib.suppress(OSError, errors.InvalidFile):
        unindex_run(directory.path.parent, str(run["id"]))
    return Pruned(name, size)


def _reason(run: dict[str, Any], before: datetime) -> str | None:
    ended = run.get("finished_at")
    if run["status"] not in TERMINAL_STATUSES or not isinstance(ended, str):
        return "it is not over"
    try:
        return None if times.parse(ended) < before else "it ended too lately"
    except ValueError:
        return "its run.json says no time of its end"


def _unsent(client: Client, directory: RunDirectory, run: dict[str, Any]) -> str | None:
    if not directory.spool.is_file():
        return "it has no spool: another program wrote it"
    try:
        size = directory.spool.stat().st_size
        _, offset = Uplink(client, directory, run).cursor(SPOOL_FILE)
    except errors.Unreachable:
        raise
    except errors.RuncastError as error:
        return f"the server doesn't have it: {error}"
    except OSError as error:
        return f"its spool can't be read: {error}"
    left = size - offset
    return f"the server lacks {left} bytes of it: runcast sync" if left > 0 else None


def _size(path: Path) -> int:
    """The bytes of all files beneath it; files may come and go meanwhile."""
    size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(folder, name)).st_size
    return size
