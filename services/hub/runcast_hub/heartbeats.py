"""The heartbeats of a room: the same bytes for all live subscribers of a filter, written in one go.

Those who were sent an event meanwhile need none: silence is what a client takes for a dead connection.
"""

from __future__ import annotations

from runcast_hub.room import Room
from runcast_hub.wire import Timing


class Heart:
    """Waits on the wheel for as long as its room is open."""

    __slots__ = ("_room", "_timing")

    def __init__(self, room: Room, timing: Timing) -> None:
        self._room = room
        self._timing = timing
        timing.wheel.after(timing.heartbeat_seconds, self)

    def on_time(self) -> None:
        """Sends what is due, and comes back when the next may be."""
        if self._room.is_closed:
            return
        seconds = self._timing.heartbeat_seconds
        try:
            seconds = self._room.beat(seconds)
        finally:
            self._timing.wheel.after(seconds, self)
