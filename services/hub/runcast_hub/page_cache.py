"""Pages of history that were read a moment ago, kept in the memory that rings leave free.

Clients of a project that return at different moments of a storm ask for the same pages. The rings' budget
is the hub's memory for events: pages take at most a quarter of it, and of that what rings leave free; those
used longest ago go first. Readers who fall behind a flood ask for each page once, so more memory would
only hold what no reader asks for again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from runcast_hub.ring import Budget
from runcast_server.eventlog.history import Page

PAGE_OVERHEAD_BYTES = 512
SHARE = 4
"""The part of the budget that pages take at most: one in this many bytes."""

Key = TypeVar("Key", bound=Hashable)


class Pages(Generic[Key]):
    """Pages by what was asked for."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._pages: OrderedDict[Key, Page] = OrderedDict()
        self.size = 0
        budget.tenants.append(self)

    def __len__(self) -> int:
        return len(self._pages)

    def get(self, key: Key) -> Page | None:
        """The page, if it is still here."""
        page = self._pages.get(key)
        if page is not None:
            self._pages.move_to_end(key)
        return page

    def put(self, key: Key, page: Page) -> None:
        """Keeps a page for as long as there is room."""
        self._drop(key)
        room = min(self._budget.free, self._budget.size // SHARE)
        if _size(page) > room:
            return
        self._pages[key] = page
        self.size += _size(page)
        self.shrink(room)

    def shrink(self, size: int) -> None:
        """Drops what was used longest ago until no more than `size` bytes are held."""
        while self.size > size:
            self._drop(next(iter(self._pages)))

    def forget(self, is_meant: Callable[[Key], bool]) -> None:
        """Drops the pages that are meant."""
        for key in [key for key in self._pages if is_meant(key)]:
            self._drop(key)

    def _drop(self, key: Key) -> None:
        page = self._pages.pop(key, None)
        if page is not None:
            self.size -= _size(page)


def _size(page: Page) -> int:
    return len(page.frames) + PAGE_OVERHEAD_BYTES
