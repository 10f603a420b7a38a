"""SIGTERM cancels the runs that asked for it, then does what it did before.

The process has one handler for all its runs: a handler for each would call the one before it, and a
thousand runs would be a thousand calls deep.
"""

import contextlib
import signal
import threading
from types import FrameType
from typing import Any, Protocol


class Ends(Protocol):
    """What can be ended: a session."""

    def end(self, status: Any, error: Any = None) -> None: ...


class Sigterm:
    """The handler, from the first run on. A host that sets one of its own after that is asked first, and may
    call us in its turn: `_formers` are called from the last to the first, each once."""

    def __init__(self) -> None:
        self._sessions: set[Ends] = set()
        self._formers: list[Any] = []
        self._depth = 0

    def add(self, session: Ends) -> None:
        """Has the session cancelled at SIGTERM. Only the main thread can ask for that."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._sessions.add(session)
        former = signal.getsignal(signal.SIGTERM)
        if former != self._terminate:
            with contextlib.suppress(ValueError):
                self._formers.remove(former)
            self._formers.append(former)
            signal.signal(signal.SIGTERM, self._terminate)

    def discard(self, session: Ends) -> None:
        """The session is over."""
        self._sessions.discard(session)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        # Copied in one step: other threads may end theirs meanwhile.
        for session in list(self._sessions):
            session.end("cancelled", "SIGTERM")
        self._depth += 1
        try:
            place = len(self._formers) - self._depth
            self._as_before(self._formers[place] if place >= 0 else None, number, frame)
        finally:
            self._depth -= 1

    def _as_before(self, former: Any, number: int, frame: FrameType | None) -> None:
        if callable(former):
            former(number, frame)
        elif former is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


sigterm = Sigterm()
"""That of this process."""
