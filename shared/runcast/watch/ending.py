"""Noticing that a session is over, and how it ended."""

from __future__ import annotations

from runcast.watch.fleet import Fleet
from runcast.watch.following import Following
from runcast.watch.reading import Reading
from runcast.watch.translation import Translation
from runcast.watch.wall_clock import WallClock

GONE_SECONDS = 2.0
"""How long a process has to be missing until its session is over."""
CHILD_SECONDS = 60.0
"""A sub-agent that has said its last word for so long is over."""
DIED = "The process ended while it worked"

Verdict = tuple[str, str | None, str | None]
"""How a session has ended: status, error, result."""


class Ending:
    """Ends the runs of sessions that are over."""

    def __init__(self, fleet: Fleet, wall_clock: WallClock, reading: Reading) -> None:
        self._fleet = fleet
        self._wall_clock = wall_clock
        self._reading = reading

    def end(self, following: Following, at: float) -> None:
        """Ends the session's run, if it is over. Raises `OSError`."""
        is_no_run = following.is_foreign or following.is_over or not following.is_taken
        if is_no_run or following.is_behind or self._verdict(following, at) is None:
            return
        translation = following.translation or self._reading.caught_up(following)
        verdict = self._verdict(following, at)
        if following.is_over or verdict is None:
            return
        status, error, result = verdict
        translation.register(None, {})
        translation.finish(status, error, result)
        if translation.output.exists:
            self.wrap_up(following, translation, status)

    def end_gone(self, following: Following, at: float) -> None:
        """Ends the run of a session whose file was removed, as soon as it is over; then nothing is left to
        follow. A directory that is gone with it may come back: nothing is forgotten for that."""
        if not following.session.path.parent.is_dir():
            return
        if following.is_taken and not following.is_over and not following.is_foreign:
            if (verdict := self._verdict(following, at)) is None:
                return
            status, error, result = verdict
            if (translation := following.translation) is not None:
                translation.finish(status, error, result)
            else:
                translation = self._reading.unread(following)
                translation.finish_unread(status, error, result)
            if translation.output.exists:
                self.wrap_up(following, translation, status)
        del self._fleet.followings[following.session.key]
        self._fleet.is_changed = True

    def wrap_up(self, following: Following, translation: Translation, status: str) -> None:
        """The session's run has ended; what follows in its file is the next one."""
        delivery = self._fleet.delivery
        if delivery is not None:
            delivery.wake(following.run_key, translation.output.directory)
            delivery.finish(following.run_key)
        translation.output.close()
        following.is_over, following.was_attached, following.gone_at = True, False, None
        following.number += 1
        following.begin = translation.position
        following.translation = None
        following.shown = {"status": status, "attention": None, "name": translation.shown_name}
        self._fleet.is_changed = True
        self._fleet.told(following)

    def _verdict(self, following: Following, at: float) -> Verdict | None:
        """How the session has ended; None while it hasn't."""
        translation, registered = following.translation, following.registered
        if translation is not None and translation.ended is not None:
            return translation.ended.status, translation.ended.error, None
        if following.session.is_subagent and (over := self._child_verdict(following, at)):
            return over
        if following.is_attached:
            return None
        works = translation is not None and translation.works
        is_later = following.number > 1 and not following.was_attached
        if registered is not None and not is_later:  # its process crashed
            return ("failed", DIED, None) if works else ("completed", None, None)
        if following.gone_at is not None and at - following.gone_at >= GONE_SECONDS:
            has_failed = works and not following.adapter.tells_exits
            return ("failed", DIED, None) if has_failed else ("completed", None, None)
        if self._wall_clock.age(following) >= self._fleet.options.idle_close_seconds:
            return "completed", None, None
        return None

    def _child_verdict(self, following: Following, at: float) -> Verdict | None:
        """What was said of its end counts for its first run: one that went on after that is over when it is
        quiet."""
        is_first = following.number == 1
        over = self._reading.children.get(following.session.key)
        if over is not None and is_first:
            return over.status, over.error, over.result
        is_quiet = (
            at - following.moved_at >= CHILD_SECONDS
            or self._wall_clock.age(following) >= CHILD_SECONDS
        )
        parent = self._fleet.parent_of(following)
        if parent is not None and parent.is_over and (is_first or is_quiet):
            return "completed", None, None
        translation = following.translation
        if translation is None or translation.doing.state.kind != "idle":
            return None
        return ("completed", None, None) if is_quiet else None
