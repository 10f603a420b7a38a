"""Which program reports a session: a run of `exec` comes before the watcher, so that nothing comes twice."""

from __future__ import annotations

from runcast.watch import handover
from runcast.watch.ending import Ending
from runcast.watch.fleet import Fleet
from runcast.watch.following import Following
from runcast.watch.foreign import Foreign, Standing
from runcast.watch.translation import Translation


class Precedence:
    """Leaves sessions to other runs, and takes them back when those are over."""

    def __init__(self, fleet: Fleet, foreign: Foreign, ending: Ending) -> None:
        self._fleet = fleet
        self._foreign = foreign
        self._ending = ending

    def may_read(self, following: Following) -> bool:
        """Whether the session is the watcher's to read now. One that wakes up while a run of `exec` may still
        name it has to wait for that run's word, or both would be the session."""
        if following.is_foreign:
            self._foreign.look()
        if following.translation is not None and self._foreign.is_claimed(following.session.key):
            self._hand_over(following, following.translation)
        if self._is_foreign(following):
            return False
        return not (following.is_waking and self._foreign.may_claim(following.session.program))

    def _hand_over(self, following: Following, translation: Translation) -> None:
        """Another run reports the session from here on, under its next name: ours has ended."""
        translation.finish("completed")
        if translation.output.exists:
            self._ending.wrap_up(following, translation, "completed")
            following.number += 1
        following.translation = None
        following.is_foreign = True

    def _is_foreign(self, following: Following) -> bool:
        """Whether another program of ours reports the session already, so that nothing comes twice."""
        if following.translation is None:
            is_reported = self._is_reported(following)
            self._fleet.is_changed |= is_reported or following.is_foreign
            following.is_foreign = is_reported
        if following.is_foreign:
            following.read = following.seen
        return following.is_foreign

    def _is_reported(self, following: Following) -> bool:
        """Whether another run stands for what was written; one that is over leaves the rest to us."""
        session, written_ns = following.session, following.seen[2] if following.seen else 0
        own = self._foreign.standing(session.key, written_ns)
        above = Standing.UNREPORTED
        if session.parent_key is not None:
            above = self._foreign.standing(session.parent_key, written_ns)
        if Standing.REPORTED in (own, above):
            return True
        if own is Standing.LEFT or (above is Standing.LEFT and following.is_foreign):
            self._take_over(following)
        parent = self._fleet.parent_of(following)
        is_beneath = parent is not None and parent.is_foreign
        return is_beneath and Standing.LEFT not in (own, above)

    def _take_over(self, following: Following) -> None:
        """The session goes on after another program's run: as its next run, from where that one was left."""
        session = following.session
        over_ns = self._foreign.over_ns({session.key, session.parent_key or session.key})
        known = following.read[1] if following.read is not None else 0
        left_at = handover.left_at(following.adapter, session, known, over_ns)
        if following.number == 1 and self._fleet.output(following).begin is None:
            following.number = 2
            begun_at = self._fleet.output(following).begin
            following.begin = left_at if begun_at is None else begun_at
        elif following.is_foreign and following.is_over:
            following.begin = left_at
