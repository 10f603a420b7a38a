"""The deliveries of a room that are traced: from when the hub knows of events until they were handed to all
live streams."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from runcast_server.tracing import spans
from runcast_server.tracing.spans import About, Cause, Span, Tracer

MOST_OPEN = 256
"""Deliveries of a room that are under way at most: what is to be fetched first may never come."""


class Deliveries:
    """See the module. Without a tracer there is never one."""

    def __init__(self, tracer: Tracer | None, about: About) -> None:
        self._tracer = tracer
        self._about = about
        self._open: deque[tuple[int, Span]] = deque(maxlen=MOST_OPEN)

    def __bool__(self) -> bool:
        return bool(self._open)

    def begin(self, causes: Sequence[Cause], upto: int) -> None:
        """Begins those of the events up to this number."""
        begun = spans.begin_all(self._tracer, "deliver", "consumer", causes, self._about)
        self._open.extend((upto, span) for span in begun)

    def end(self, upto: int, streams: int) -> None:
        """Ends those of events that were delivered, up to this number, with how many streams got them."""
        while self._open and self._open[0][0] <= upto:
            _, span = self._open.popleft()
            span.end(about={"runcast.streams": streams})

    def clear(self) -> None:
        """Forgets them: the history is another one, or the room is closed."""
        self._open.clear()
