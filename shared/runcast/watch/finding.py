"""Finding the sessions beneath the roots of the agents, and beginning to follow them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from runcast.watch.complaints import Complaints
from runcast.watch.fleet import Fleet
from runcast.watch.following import Following
from runcast.watch.foreign import Foreign
from runcast.watch.remembering import Remembering
from runcast.watch.run_output import RunOutput
from runcast.watch.sessions import Adapter
from runcast.watch.wall_clock import WallClock

SCAN_SECONDS = 1.0
FULL_SCAN_SECONDS = 10.0
ACTIVE_SECONDS = 60.0


class Finding:
    """Looks through the directories each second; now and then also those in which nothing moved lately."""

    def __init__(
        self,
        fleet: Fleet,
        wall_clock: WallClock,
        foreign: Foreign,
        remembering: Remembering,
        complaints: Complaints,
    ) -> None:
        self._fleet = fleet
        self._wall_clock = wall_clock
        self._foreign = foreign
        self._remembering = remembering
        self._complaints = complaints
        self._has_scanned = False
        self._scanned_at = self._fully_at = float("-inf")

    def scan(self, at: float) -> None:
        """Follows what is new, if it is time to look."""
        if at - self._scanned_at < SCAN_SECONDS:
            return
        self._scanned_at = at
        is_full = at - self._fully_at >= FULL_SCAN_SECONDS
        if is_full:
            self._fully_at = at
        hot = None if is_full else self._hot(at)
        for adapter, root in self._fleet.roots:
            try:
                self._find(adapter, root, hot, at)
            except Exception as error:  # what lies beneath one root mustn't stop the others
                self._complaints.warn(root, f"can't be looked through: {error}")
            else:
                self._complaints.settle(root)
        self._has_scanned = True
        self._foreign.look()

    def _find(self, adapter: Adapter, root: Path, hot: frozenset[str] | None, at: float) -> None:
        """Follows the sessions beneath a root that are new or have moved."""
        new = []
        for session in list(adapter.sessions(root, hot)):
            known = self._fleet.followings.get(session.key)
            if known is None:
                new.append(Following(session, adapter))
            elif known.session.path != session.path:
                self._move(known, session.path, at)
        self._take(new, at)

    def _hot(self, at: float) -> frozenset[str]:
        return frozenset(
            key
            for key, each in self._fleet.followings.items()
            if at - each.moved_at < ACTIVE_SECONDS or each.is_attached
        )

    def _move(self, following: Following, path: Path, at: float) -> None:
        """The session's file has another name (Codex archives and compresses its rollouts), or lies in two
        folders, and the other one is where it goes on."""
        was_moved = following.is_gone
        if not was_moved and not _goes_on_in(following, path, at):
            return
        following.session = replace(following.session, path=path)
        following.translation = following.kept = None
        if following.is_over and was_moved:
            following.read = following.stamp()
        self._fleet.is_changed = True

    def _take(self, new: list[Following], at: float) -> None:
        """Begins to follow sessions, the ones that were written first before the others: a fork's
        original before the fork."""
        for following in sorted(new, key=lambda each: (each.stamp() or (0, 0, 0))[2]):
            following.seen = following.stamp()
            following.jumped = self._wall_clock.jumped_before(following.seen)
            if self._remembering.knows(following):
                self._remembering.recall(following)
                self._send_rest(following)
            elif following.session.key not in self._remembering and not self._has_scanned:
                following.is_taken = self._is_young(following)
                following.read = None if following.is_taken else following.seen
            self._remembering.forget(following.session.key)
            following.moved_at = at
            self._fleet.followings[following.session.key] = following
            self._fleet.is_changed = True

    def _send_rest(self, following: Following) -> None:
        """The last life may have ended before what it wrote was sent."""
        delivery, output = self._fleet.delivery, self._fleet.last_output(following)
        if delivery is None or output.size is None or following.sent == output.size:
            return
        delivery.wake(following.last_key, output.directory)
        if following.is_over:
            delivery.finish(following.last_key)

    def _is_young(self, following: Following) -> bool:
        age = self._fleet.options.since_seconds
        if age is None or following.seen is None:
            return True
        is_known = RunOutput(self._fleet.options.runs_dir, following.session.key).exists
        return is_known or self._wall_clock.began_at - following.seen[2] / 1e9 <= age


def _goes_on_in(following: Following, path: Path, at: float) -> bool:
    """Whether the session was written in this other file later than in its own, which rests."""
    if at - following.moved_at < ACTIVE_SECONDS:
        return False
    own = following.stamp()
    other = following.adapter.stamp(replace(following.session, path=path))
    return own is not None and other is not None and other[2] > own[2]
