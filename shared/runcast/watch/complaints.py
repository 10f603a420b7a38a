"""What goes wrong is said once, until it is something else."""

from __future__ import annotations

import logging
from pathlib import Path

from runcast._support.encoding import as_text
from runcast.watch.following import Following

logger = logging.getLogger("runcast")


class Complaints:
    """Warns of what goes wrong with directories."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def warn(self, path: Path, reason: str) -> None:
        """Warns once of what goes wrong with a directory, until it is something else."""
        if self._known.get(path) != reason:
            self._known[path] = reason
            logger.warning("%s %s", as_text(path), as_text(reason[:500]))

    def settle(self, path: Path) -> None:
        """All is well with the directory again."""
        self._known.pop(path, None)


def of_session(following: Following, error: Exception) -> None:
    """Warns once of what goes wrong with a session's file, until it is something else."""
    reason = str(error)
    if following.complaint != reason:
        following.complaint = reason
        logger.warning("%s: %s", as_text(following.session.path), as_text(reason))
