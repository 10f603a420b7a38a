"""Objects that have to be renewed in a forked child: what threads of the parent held, no one gives back.

One hook for all of them, which keeps none of them alive. (A hook for each object can't be taken back: it
cost memory for every run, and made every fork slower.)
"""

import logging
import os
import weakref
from typing import Protocol

logger = logging.getLogger("runcast")


class Renewable(Protocol):
    def renew_after_fork(self) -> None:
        """Called in a forked child, before anything else there uses the object."""


class ForkRenewal:
    """Renews what was added, for as long as it lives."""

    def __init__(self) -> None:
        self._objects: weakref.WeakSet[Renewable] = weakref.WeakSet()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def add(self, renewable: Renewable) -> None:
        self._objects.add(renewable)

    def _renew(self) -> None:
        for each in list(self._objects):
            try:
                each.renew_after_fork()
            except Exception:  # the others have to be renewed all the same
                logger.warning("could not renew something after a fork", exc_info=True)


fork_renewal = ForkRenewal()
"""Those of this process."""
