"""Telling `runcast-hook` that sessions are followed here: then the log comes from their own records, and
hooks add only what those don't hold. So nothing comes twice."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path

import orjson

from runcast._recording import files
from runcast.agents import hook

logger = logging.getLogger("runcast")

NAME = "watching.json"


def put(agents: Iterable[str]) -> None:
    """Says which agents' sessions this process follows. Where it can't be said, the first words of a
    session may come twice."""
    path = _path()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.replace(path, orjson.dumps({"pid": os.getpid(), "agents": sorted(set(agents))}))
    except OSError as error:
        logger.warning("hooks aren't told of the watcher: %s", error)


def take_away() -> None:
    """Follows no more."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        if orjson.loads(_path().read_bytes())["pid"] == os.getpid():
            _path().unlink()


def _path() -> Path:
    return Path(hook.place()).with_name(NAME)
