"""Telling `runcast-hook` that sessions are followed here: then the log comes from their own records, and
hooks add only what those don't hold. So nothing comes twice.

The file counts while its lock is held, which ends with the process however that ends, and for a minute after
its last sign: a watcher that was killed and started again reads what was said meanwhile. It counts only for
hooks that report to the same project of the same server.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import orjson

from runcast._recording import locks
from runcast._support.encoding import as_text
from runcast.agents import hook

logger = logging.getLogger("runcast")

NAME = "watching.json"


@contextlib.contextmanager
def made(agents: Iterable[str], url: str, project: str) -> Iterator[Callable[[], None]]:
    """Says, for as long as the block lasts, which agents' sessions this process sends to which project; what
    it is given is to be called now and then, as a sign of life. Where it can't be said, the first words of a
    session may come twice."""
    known = {"pid": os.getpid(), "agents": sorted(set(agents)), "url": url, "project": project}
    path = Path(hook.place()).with_name(NAME)
    fd = -1
    if known["agents"] and locks.fcntl is not None:
        try:
            fd = _put(path, orjson.dumps(known))
        except OSError as error:
            logger.warning("hooks aren't told of the watcher: %s", as_text(error))

    def sign() -> None:
        if fd >= 0 and os.utime in os.supports_fd:
            with contextlib.suppress(OSError):
                os.utime(fd)

    try:
        yield sign
    finally:
        if fd >= 0:
            _take_away(path, fd)


def _put(path: Path, content: bytes) -> int:
    """Puts the file there, locked from its first moment on; the descriptor holds the lock."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{NAME}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0)
    fd = os.open(draft, flags, 0o600)
    try:
        locks.try_lock(fd)
        os.write(fd, content)
        os.replace(draft, path)
    except OSError:
        os.close(fd)
        draft.unlink(missing_ok=True)
        raise
    return fd


def _take_away(path: Path, fd: int) -> None:
    """Removes the file, unless another watcher has put its own there."""
    with contextlib.suppress(OSError):
        if os.stat(path).st_ino == os.fstat(fd).st_ino:
            path.unlink()
    os.close(fd)
