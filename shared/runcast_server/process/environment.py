"""What is wrong with the environment of a command, in one line that says what to do.

A command checks what it can beforehand (`settings`, `wait_for`, `datadir`). What it meets all the same,
anywhere between its start and its end, is the system's word, Postgres's or Redis's: a directory that can't
be written, a disk that is full, a table of someone else's. Whatever isn't one of these is a defect, and keeps
its trace.
"""

from __future__ import annotations

import errno
import getpass
import os
from collections.abc import Iterator

import asyncpg
import redis
from redis.exceptions import RedisClusterException

from runcast_server import outages

_HINTS = {
    errno.EACCES: "give the user {user} the right to it, or name another place",
    errno.EPERM: "give the user {user} the right to it, or name another place",
    errno.ENOSPC: "make room there, or name another place",
    errno.EDQUOT: "raise the quota of the user {user}, or name another place",
    errno.EROFS: "name a place that can be written",
    errno.ENOENT: "make it, or name another place",
    errno.ENOTDIR: "name a directory",
    errno.EISDIR: "there must be a file of this name, or nothing",
    errno.EEXIST: "there must be a directory of this name, or nothing",
    errno.ENAMETOOLONG: "name a shorter one",
    errno.ELOOP: "mend its symbolic links",
    errno.EMFILE: "raise the limit of open files (ulimit -n, LimitNOFILE)",
    errno.ENFILE: "raise the system's limit of open files (fs.file-max)",
    errno.ENOMEM: "give the process more memory",
    errno.EAGAIN: "raise the limit of processes and threads (ulimit -u, TasksMax, pids_limit)",
    errno.EIO: "look after the disk",
    errno.ENOEXEC: "install Runcast for this machine's processor",
}
_NO_PLACE = (errno.EIO, errno.ENOEXEC, errno.EMFILE, errno.ENFILE)
_PLACES = "RUNCAST_DATA (--data) is where servers keep their data, RUNCAST_ARTIFACTS_URL where artifacts lie."


def explained(error: BaseException) -> str | None:
    """One line for an error that the environment is to blame for; None for any other."""
    for each in _leaves(error):
        if (said := _said(each)) is not None:
            return said
    return None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors of a group, or the one."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _said(error: BaseException) -> str | None:
    match error:
        case asyncpg.PostgresError():
            return f"Postgres refuses: {outages.line_of(error)} ({error.sqlstate})"
        case asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return f"the connection to Postgres failed: {outages.line_of(error)}"
        case redis.RedisError() | RedisClusterException():
            return f"Redis can't be used: {outages.line_of(error)}"
        case MemoryError():
            return "there isn't enough memory: give the process more"
        case OSError() if error.errno in _HINTS:
            return _of_system(error, _HINTS[error.errno])
    return None


def _of_system(error: OSError, hint: str) -> str:
    where = f"{error.filename}: " if error.filename is not None else ""
    named = f" {_PLACES}" if where and error.errno not in _NO_PLACE else ""
    return f"{where}{error.strerror}: {hint.format(user=_user())}.{named}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as containers have
        return str(os.geteuid())
