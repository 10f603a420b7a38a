"""What the watcher's next life has to know of the sessions: kept beside the runs, now and then."""

from __future__ import annotations

from typing import Any

from runcast.watch import memory
from runcast.watch.complaints import Complaints
from runcast.watch.fleet import Fleet
from runcast.watch.following import Following

Json = dict[str, Any]

REMEMBER_SECONDS = 2.0


class Remembering:
    """What the last life knew, and what the next one will."""

    def __init__(self, fleet: Fleet, complaints: Complaints) -> None:
        self._fleet = fleet
        self._complaints = complaints
        self._known = memory.read(fleet.options.runs_dir)
        self._kept_at = float("-inf")

    def __contains__(self, key: str) -> bool:
        return key in self._known

    def knows(self, following: Following) -> bool:
        """Whether the session was followed before, in this very file."""
        known = self._known.get(following.session.key)
        return known is not None and known.get("path") == str(following.session.path)

    def recall(self, following: Following) -> None:
        """Takes over what was kept of a session. A run that was removed once it was over stays so."""
        known = self._known[following.session.key]
        following.recall(known)
        size = self._fleet.last_output(following).size
        if size != known.get("spool") and not (size is None and following.is_over):
            following.doubt()

    def forget(self, key: str) -> None:
        """The session is followed: what was known of it before counts no more."""
        self._known.pop(key, None)

    def keep(self, at: float, *, at_once: bool = False) -> None:
        """Writes down what has changed, if it is time."""
        is_due = self._fleet.is_changed and at - self._kept_at >= REMEMBER_SECONDS
        if not is_due and not at_once:
            return
        self._fleet.is_changed, self._kept_at = False, at
        runs_dir, followings = self._fleet.options.runs_dir, self._fleet.followings
        kept = {key: each for key, each in self._known.items() if key not in followings}
        try:
            kept |= {key: self._kept(each) for key, each in followings.items()}
            memory.write(runs_dir, kept)
        except Exception as error:  # without it the next life reads more, and that is all
            self._complaints.warn(runs_dir, f"can't be written: {error}")
        else:
            self._complaints.settle(runs_dir)

    def _kept(self, following: Following) -> Json:
        if following.is_taken or following.translation is not None:
            following.kept = None
            return self._as_it_is(following)
        if following.kept is None:
            following.kept = self._as_it_is(following)
        return following.kept

    def _as_it_is(self, following: Following) -> Json:
        size, delivery = self._fleet.last_output(following).size, self._fleet.delivery
        if delivery is not None and delivery.has_sent(following.last_key):
            following.sent = size
        kept = following.remembered(size)
        if following.translation is not None and following.translation.has_news:
            kept["read"] = None  # what waits for its time is in no file yet
        return kept
