"""The line between the SDK and its host program: no error crosses it."""

import functools
import logging
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from runcast._support.encoding import as_text

logger = logging.getLogger("runcast")

P = ParamSpec("P")
S = TypeVar("S", bound="Guarded")
R = TypeVar("R")


WARNINGS = 50
"""How many different failures one object warns of."""


class Guarded:
    """Something whose failures are told once for each text, then counted."""

    def __init__(self) -> None:
        self.failures: dict[str, int] = {}

    def told(self, doing: str, error: Exception) -> None:
        """Takes note of a failure; warns of the first of its kind."""
        kind = f"{doing}: {type(error).__name__}: {as_text(error)[:100]}"
        if kind not in self.failures and len(self.failures) >= WARNINGS:
            return
        self.failures[kind] = self.failures.get(kind, 0) + 1
        if self.failures[kind] == 1:
            logger.warning("could not %s, the program goes on: %s", doing, as_text(error))


def harmless(
    doing: str, otherwise: Any = None
) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """A method that warns where it fails, and answers `otherwise`.

    A full disk, a folder that is gone, an argument of a wrong type: the host program's own work
    is worth more than its record.
    """

    def decorate(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        @functools.wraps(method)
        def guarded(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return method(self, *args, **kwargs)
            except Exception as error:  # the SDK's outermost line, see above
                self.told(doing, error)
                answer: R = otherwise
                return answer

        return guarded

    return decorate
