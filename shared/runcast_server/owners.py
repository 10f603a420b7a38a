"""Which user's directories beneath RUNS_DIR may speak for which projects (`TAIL_OWNERS`).

A directory names its run and project itself, so without this any program that may make one there speaks for
any project. The system knows who made a directory, and doesn't let others say so.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Mapping
from pathlib import Path

Owners = Mapping[int, frozenset[str]]


def read(pairs: Iterable[str]) -> Owners:
    """The projects (slugs; `*`: all) by user id. Raises `ValueError` for what is no `user=project`."""
    projects: dict[int, set[str]] = {}
    for pair in pairs:
        user, is_pair, project = (part.strip() for part in pair.partition("="))
        if not (user and is_pair and project):
            raise ValueError(f"{pair[:60]!r} isn't user=project")
        projects.setdefault(_user_id(user), set()).add(project)
    return {user: frozenset(names) for user, names in projects.items()}


def _user_id(user: str) -> int:
    if user.isdecimal():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise ValueError(f"this system has no user {user!r}") from None


def may_speak(owners: Owners, directory: Path, project: str | None) -> bool:
    """Whether a directory's owner may speak for a project. Raises `OSError` where it isn't there."""
    if not owners:
        return True
    allowed = owners.get(os.stat(directory, follow_symlinks=False).st_uid, frozenset())
    return "*" in allowed or project in allowed
