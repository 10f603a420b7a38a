"""The run that the code at hand belongs to.

`with` makes a run the current one of its context: of the thread or task, and of the tasks that begin
there. Threads don't inherit contexts; where a thread has no current run, the only one that is live in the
process is taken.
"""

import contextlib
import contextvars
from typing import Generic, TypeVar

T = TypeVar("T")


class Current(Generic[T]):
    """What is current, by context."""

    def __init__(self, name: str) -> None:
        self._here: contextvars.ContextVar[T | None] = contextvars.ContextVar(name, default=None)
        self._live: tuple[T, ...] = ()

    def get(self) -> T | None:
        """The current one, or None."""
        here = self._here.get()
        live = self._live
        if here is not None and here in live:
            return here
        return live[0] if len(live) == 1 else None

    def enter(self, one: T) -> contextvars.Token[T | None]:
        """Makes it the current one here."""
        self._live = (*self._live, one)
        return self._here.set(one)

    def leave(self, one: T, token: contextvars.Token[T | None] | None) -> None:
        """It is over; what was current before is so again."""
        self._live = tuple(each for each in self._live if each is not one)
        if token is not None:
            # A generator may be left in another context than the one in which it was entered.
            with contextlib.suppress(ValueError):
                self._here.reset(token)
