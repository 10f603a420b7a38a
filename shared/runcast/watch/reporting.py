"""Telling what a session does: to its run, to the server, and to the person who watches."""

from __future__ import annotations

from runcast.watch.fleet import Fleet
from runcast.watch.following import Following
from runcast.watch.reading import Reading

STALL_SECONDS = 600.0
TOOL_STALL_SECONDS = 3600.0


class Reporting:
    """Tells the state of sessions where there may be something to tell."""

    def __init__(self, fleet: Fleet, reading: Reading) -> None:
        self._fleet = fleet
        self._reading = reading

    def report(self, following: Following, at: float) -> None:
        """Tells the session's state, as its records and its process say it; of sessions that sleep there is
        nothing to tell. Raises `OSError`."""
        if self._has_to_tell(following):
            self._tell(following, at)
            following.told = following.registered, following.read
        elif self._fleet.delivery is not None and following.translation is not None:
            # It may have worked for too long without a word.
            self._fleet.delivery.beat(following.run_key, self.is_working(following, at))

    def is_working(self, following: Following, at: float) -> bool:
        """Whether the session surely works: then its run isn't called stalled."""
        translation = following.translation
        if translation is None or not translation.is_running:
            return False
        stall = TOOL_STALL_SECONDS if len(translation.reader.calls) else STALL_SECONDS
        may_live = following.is_attached or not following.was_attached
        return may_live and at - following.moved_at < stall

    @staticmethod
    def _has_to_tell(following: Following) -> bool:
        translation = following.translation
        if translation is None:
            is_wanted = following.is_attached and following.is_taken
            return is_wanted and not following.is_foreign
        is_same = following.told == (following.registered, following.read)
        return not is_same or translation.has_news

    def _tell(self, following: Following, at: float) -> None:
        translation = following.translation or self._reading.caught_up(following)
        if following.is_attached and following.registered is not None:
            translation.register(following.registered.state, following.registered.facts)
        else:
            translation.register(None, {})
        translation.publish()
        if following.is_over or not translation.output.exists:
            return
        self._deliver(following, at)
        following.used = translation.used
        shown = translation.status | {"name": translation.shown_name}
        if shown != following.shown:
            following.shown = shown
            self._fleet.is_changed = True
            self._fleet.told(following)

    def _deliver(self, following: Following, at: float) -> None:
        delivery, translation = self._fleet.delivery, following.translation
        if delivery is None or translation is None:
            return
        if translation.written != following.delivered:
            following.delivered = translation.written
            delivery.wake(following.run_key, translation.output.directory)
        delivery.beat(following.run_key, self.is_working(following, at))
