"""Long lists, a slice at a time, so that the event loop serves streams between two slices."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

SLICE = 500
"""What is asked about at once: about 2 ms of the event loop, for arguments and answer together."""

T = TypeVar("T")


def sliced(items: Iterable[T], size: int = SLICE) -> Iterator[list[T]]:
    """The items as they are now, `size` at a time. The caller awaits something for each slice."""
    rest = iter(list(items))
    while found := list(islice(rest, size)):
        yield found
