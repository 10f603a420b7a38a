"""Forks wait while a thread of ours does what a child must not inherit half done.

glibc and OpenSSL take locks while they look up an address or begin a TLS session, and a forked child
inherits them as they are: held by a thread that it doesn't have. The next `getaddrinfo` in the child,
ours or its own, would then wait for ever (a host with two addresses, glibc 2.36, a thread that looks it
up all the time: in 5 of 20 forks; with this in none of 3,678). Python has this problem with every thread
that connects; but a program that never asked for a thread must not have it because of us. And a file that is
open and locked but not yet noted, or forgotten and not yet closed, stays open in a child that doesn't know
it: no one could take its lock for as long as the child lives, not even the child.

So both are noted, connections by httpcore's `trace` extension, and `fork` waits for their end; for a tenth of
a second at most, because a server or a file system that doesn't answer must not hold the host's forks.
"""

import os
import threading
import time
from typing import Any

LONGEST_WAIT_SECONDS = 0.1
_STARTED = (".connect_tcp.started", ".start_tls.started")
_ENDED = (
    ".connect_tcp.complete",
    ".connect_tcp.failed",
    ".start_tls.complete",
    ".start_tls.failed",
)


class NoFork:
    """What no fork comes into the middle of: by thread, each with the time at which it began."""

    def __init__(self) -> None:
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._hold, after_in_parent=self._let_go, after_in_child=self._renew
            )

    def trace(self, event: str, _: Any) -> None:
        """For the extension `trace` of an `httpx.Request`."""
        if event.endswith(_STARTED):
            self.__enter__()
        elif event.endswith(_ENDED):
            self.__exit__()

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._forks, LONGEST_WAIT_SECONDS)
            self._since[threading.get_ident()] = time.monotonic()

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._since.pop(threading.get_ident(), None)
            self._changed.notify_all()

    def _renew(self) -> None:
        self._changed = threading.Condition()
        self._since: dict[int, float] = {}
        self._forks = 0

    def _hold(self) -> None:
        """Lets nothing begin until `_let_go`, and waits for what began lately."""
        self._changed.acquire()
        self._forks += 1
        while self._since:
            left = max(self._since.values()) + LONGEST_WAIT_SECONDS - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)

    def _let_go(self) -> None:
        self._forks -= 1
        self._changed.notify_all()
        self._changed.release()


no_fork = NoFork()
"""That of this process."""
