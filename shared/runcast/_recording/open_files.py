"""A bound on open files: a process may have thousands of runs, and often no more than 256 descriptors."""

import errno
import threading
from collections import OrderedDict
from typing import Protocol

from runcast._support.fork_renewal import fork_renewal

NO_DESCRIPTOR = frozenset({errno.EMFILE, errno.ENFILE})
"""Errors of a process, or a machine, that has as many files open as it may."""
RUNS = 32
"""How many runs' files (up to four each) are open at once in a process."""


class Restable(Protocol):
    def rest(self) -> bool:
        """Closes files that the next use opens again; False if they are in use."""


class OpenFiles:
    """Those who used their files last keep them open."""

    def __init__(self, limit: int = RUNS) -> None:
        self._limit = limit
        self._lock = threading.RLock()
        self._users: OrderedDict[int, Restable] = OrderedDict()
        self.last: Restable | None = None
        """Who used its files last: it has nothing to say when it uses them again."""

    def used(self, user: Restable) -> None:
        """Takes note of a use, and has others close their files where there are too many."""
        with self._lock:
            self._users[id(user)] = self.last = user
            self._users.move_to_end(id(user))
            if len(self._users) <= self._limit:
                return
            for key, each in list(self._users.items())[: -self._limit]:
                if each.rest():
                    self._users.pop(key, None)

    def make_room(self) -> None:
        """Has everyone close files, where a process has no descriptor left."""
        with self._lock:
            for key, each in list(self._users.items()):
                if each.rest():
                    self._users.pop(key, None)
            self.last = None

    def closed(self, user: Restable) -> None:
        """Forgets one that has closed its files for good."""
        with self._lock:
            self._users.pop(id(user), None)
            if self.last is user:
                self.last = None

    def renew_after_fork(self) -> None:
        self._lock = threading.RLock()
        self._users.clear()
        self.last = None


open_files = OpenFiles()
"""Those of this process."""
fork_renewal.add(open_files)
