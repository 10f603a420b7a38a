"""Calls of one run, one after the other, whatever interrupts them.

A call may be interrupted by another one of the same thread: a signal handler that logs, a `__del__` that
the garbage collector runs, a logging handler that writes into the run that warns. A plain lock would wait
for itself there, and a reentrant one would let the second call write into the middle of the first. So
calls stand in line. The call that has the turn works off the line; a call that finds its own thread at it
returns at once, and its work is done by the call that it interrupted.
"""

import threading
from collections import deque
from collections.abc import Callable

Work = Callable[[], object]


class Turns:
    """Does what is handed in, in order. When `take` returns the work is done, by whichever thread, or the
    call that this one interrupted will do it before it returns."""

    def __init__(self) -> None:
        self._waiting: deque[Work] = deque()
        self._afterwards: deque[Work] = deque()
        self.renew()

    def renew(self) -> None:
        """For a forked child: no thread of its parent's holds the turn, and the parent does what waits."""
        self._lock = threading.RLock()
        self._owner: int | None = None
        self._waiting.clear()
        self._afterwards.clear()

    def take(self, work: Work) -> None:
        """Has the work done. An exception that a signal handler raises goes on to the caller, after
        everything that was handed in is done."""
        self._waiting.append(work)
        try:
            is_outermost = self._work_off()
        except BaseException:
            if self._work_off():
                self._do_afterwards()
            raise
        if is_outermost:
            self._do_afterwards()

    def afterwards(self, work: Work) -> None:
        """Has something done when the turn is over, by the call that had it: what may wait for locks of the
        host program."""
        self._afterwards.append(work)

    def _work_off(self) -> bool:
        """False if this thread is at it already, further down its stack."""
        me = threading.get_ident()
        if self._owner == me:
            return False
        try:
            while True:
                # Taken even where nothing waits: another thread may be in the middle of our work.
                with self._lock:
                    self._owner = me
                    while self._waiting:
                        self._waiting.popleft()()
                    self._owner = None
                # Looked at again after the turn is given back: a handler may have come in between.
                if not self._waiting:
                    return True
        except BaseException:
            if self._owner == me:
                self._owner = None
            raise

    def _do_afterwards(self) -> None:
        while self._afterwards:
            try:
                work = self._afterwards.popleft()
            except IndexError:  # another thread was faster
                return
            work()
