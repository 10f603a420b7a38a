"""One guard per item: a file, a run directory, an entry of a manifest costs itself alone.

Whatever an item makes our code raise, other than a server that is away, is said once with the item's name,
and the next item goes on. Errors of files are the item's, too; errors of connections are the server's.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator

import structlog

from runcast_server import outages

REMEMBERED = 10_000

log = structlog.get_logger(__name__)


class Guard:
    """Guards items of one kind. `number` counts the failures."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.number = 0
        self._said: OrderedDict[str, str] = OrderedDict()

    @contextlib.contextmanager
    def item(self, name: object) -> Iterator[None]:
        """Guards one item; raises outages of the server further."""
        try:
            yield
        except Exception as error:
            if is_of_server(error):
                raise
            self.failed(name, error)
        else:
            self._said.pop(str(name), None)

    def failed(self, name: object, error: Exception) -> None:
        """Says what is wrong with an item, unless that was said before."""
        self.number += 1
        item, reason = str(name), outages.named(error)
        if self._said.get(item) == reason:
            return
        self._said[item] = reason
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)
        is_expected = isinstance(error, OSError)
        log.warning(
            "tailer.item_failed",
            kind=self.kind,
            item=item,
            error=reason,
            exc_info=None if is_expected else error,
        )


def is_of_server(error: Exception) -> bool:
    """Whether an error is an outage of Postgres or Redis, and not of the item that was looked at."""
    if isinstance(error, OSError) and not isinstance(error, (TimeoutError, ConnectionError)):
        return False
    return outages.is_outage(error)
