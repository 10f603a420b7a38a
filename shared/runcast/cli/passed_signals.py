"""Signals that are sent to `runcast exec` or `runcast acp` and meant for its command.

They are taken before the command starts: one that comes while it is being started would end us alone, and
leave a command behind that no one can reach by our number. What comes early is kept until there is a
command, or is the reason not to start one.
"""

import contextlib
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

STOPS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
"""Requests to end. Others may mean anything to the command."""
_OURS = {
    *("SIGKILL", "SIGSTOP", "SIGCHLD"),
    *("SIGCONT", "SIGTSTP", "SIGTTIN", "SIGTTOU"),  # job control: a terminal's matter
    *("SIGPIPE", "SIGXCPU", "SIGXFSZ"),  # what we do ourselves
    *("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS"),
}
Take = Callable[[int], object]


class PassedSignals:
    """Every signal that can be passed on, from `with` to `release`. One that was ignored when we started
    stays ignored (`nohup`)."""

    def __init__(self) -> None:
        self._early: list[int] = []
        self._take: Take = self._early.append
        self._before: dict[int, Any] = {}

    @property
    def stop(self) -> int | None:
        """The request to end that came before there was a command."""
        return next((number for number in self._early if number in STOPS), None)

    def give_to(self, take: Take) -> None:
        """Has signals told to `take`, those first that have come already."""
        early, self._take = self._early, take
        while early:
            take(early.pop(0))

    def release(self) -> None:
        """Does what was done before, from now on."""
        while self._before:
            number, former = self._before.popitem()
            signal.signal(number, former)

    def __enter__(self) -> Self:
        ours = {getattr(signal, name) for name in _OURS if hasattr(signal, name)}
        for number in signal.valid_signals() - ours:
            former = signal.getsignal(number)
            # None: of a handler that isn't Python's, as faulthandler's, which can't be put back.
            if former is not None and former is not signal.SIG_IGN:
                with contextlib.suppress(OSError, ValueError):
                    self._before[number] = former
                    signal.signal(number, self._came)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _came(self, number: int, _: FrameType | None) -> None:
        self._take(number)
