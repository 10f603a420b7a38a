"""Whether the processes of the sessions live, as each agent's registry or the system says it."""

from __future__ import annotations

import logging
from pathlib import Path

from runcast.watch.fleet import Fleet
from runcast.watch.following import Following
from runcast.watch.sessions import Adapter, Registered

logger = logging.getLogger("runcast")

PROCESS_SECONDS = 1.0


class Liveness:
    """Looks at the processes now and then, and notes in each session what was found."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._looked_at = float("-inf")

    def look(self, at: float) -> None:
        """Looks, if it is time."""
        if at - self._looked_at < PROCESS_SECONDS:
            return
        self._looked_at = at
        for adapter, root in self._fleet.roots:
            try:
                self._look_at(adapter, root, at)
            except Exception as error:  # what is known of processes must not stop the reading
                logger.warning("processes of %s: %r", adapter.program, error)

    def _look_at(self, adapter: Adapter, root: Path, at: float) -> None:
        mine = [
            each
            for each in self._fleet.followings.values()
            if each.adapter is adapter and not each.session.is_subagent and not each.is_over
        ]
        found = adapter.processes(root, [each.session for each in mine])
        if found is None:
            return
        for following in mine:
            _note(following, found.get(following.session.key), at)


def _note(following: Following, registered: Registered | None, at: float) -> None:
    if registered != following.registered:
        following.next_look = 0.0
    following.registered = registered
    if following.is_attached:
        following.was_attached, following.gone_at = True, None
    elif following.was_attached and following.gone_at is None:
        following.gone_at = at
