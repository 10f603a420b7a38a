"""The watcher: finds sessions, reads what is new in them, and notices when one is over.

One thread does it all, in rounds. A session that moved within a minute is looked at in every round, one that
sleeps every two seconds, so that hundreds of them cost next to nothing. Nothing that one session does keeps
the others from being read: what goes wrong with it is its own complaint, and it is tried again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from runcast._support.encoding import as_text
from runcast.watch import complaints
from runcast.watch.complaints import Complaints
from runcast.watch.content import Policy
from runcast.watch.delivery import Delivery
from runcast.watch.ending import Ending
from runcast.watch.finding import ACTIVE_SECONDS, Finding
from runcast.watch.fleet import Fleet, Options, Roots
from runcast.watch.following import Following
from runcast.watch.foreign import Foreign
from runcast.watch.liveness import Liveness
from runcast.watch.precedence import Precedence
from runcast.watch.reading import Reading
from runcast.watch.remembering import Remembering
from runcast.watch.reporting import Reporting
from runcast.watch.wall_clock import WallClock

logger = logging.getLogger("runcast")

ROUND_SECONDS = 0.25
SLEEPING_SECONDS = 2.0
RESTED_SECONDS = 5.0
"""A session that was silent for so long wakes up when it moves."""
FORGET_SECONDS = 600.0
"""A session that slept for so long is read once more if it wakes; until then it takes no memory."""
RETRY_SECONDS = 10.0
MISSING_SECONDS = 30.0
"""After this time a file that is gone won't be found under another name."""


class Watcher:
    """Follows the sessions beneath the roots of some agents."""

    def __init__(
        self,
        roots: Roots,
        policy: Policy,
        options: Options,
        *,
        delivery: Delivery | None = None,
        told: Callable[[Following], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`told` is called when a session's status or attention has changed."""
        self._fleet = fleet = Fleet(roots, policy, options, delivery, told, clock)
        self._wall_clock = WallClock(clock, now)
        self._foreign = Foreign(options.runs_dir)
        directories = Complaints()
        self._remembering = Remembering(fleet, directories)
        self._finding = Finding(
            fleet, self._wall_clock, self._foreign, self._remembering, directories
        )
        self._liveness = Liveness(fleet)
        self._reading = Reading(fleet)
        self._reporting = Reporting(fleet, self._reading)
        self._ending = Ending(fleet, self._wall_clock, self._reading)
        self._precedence = Precedence(fleet, self._foreign, self._ending)

    @property
    def followings(self) -> dict[str, Following]:
        """The sessions that are followed, by key."""
        return self._fleet.followings

    def round(self) -> bool:
        """One look at everything that is due; True if there may be more at once."""
        at = self._fleet.clock()
        self._wall_clock.look(at)
        self._finding.scan(at)
        self._liveness.look(at)
        has_more = False
        for following in list(self.followings.values()):
            if at >= following.next_look:
                has_more |= self._guarded(following, at)
        self._remembering.keep(at)
        return has_more

    def drain(self) -> None:
        """Reads everything that is there, and notices what is over: for reading history once."""
        while self.round():
            pass
        for following in self.followings.values():
            following.next_look = 0.0
        while self.round():
            pass

    def close(self) -> None:
        """Tells what waits for its time, and writes down how far everything was read."""
        for following in self.followings.values():
            if following.translation is not None:
                try:
                    following.translation.publish(at_once=True)
                    following.translation.output.close()
                except OSError as error:
                    complaints.of_session(following, error)
        self._remembering.keep(self._fleet.clock(), at_once=True)

    def _guarded(self, following: Following, at: float) -> bool:
        try:
            has_more = self._look(following, at)
            following.complaint = None
            return has_more
        except FileNotFoundError:
            following.next_look = at + SLEEPING_SECONDS
            return False
        except OSError as error:
            complaints.of_session(following, error)
        except Exception as error:  # whatever one session holds is that session's matter alone
            logger.warning("%s can't be followed", as_text(following.session.path), exc_info=True)
            complaints.of_session(following, error)
        following.next_look = at + RETRY_SECONDS
        return False

    def _look(self, following: Following, at: float) -> bool:
        seen = following.stamp()
        if seen is None:
            self._miss(following, at)
            return False
        following.missing_at = None
        if seen != following.seen:
            if not following.is_waking and at - following.moved_at >= RESTED_SECONDS:
                following.is_waking = True
                self._foreign.look()
            following.moved_at = at
            following.seen = seen
            following.jumped = self._wall_clock.jumped_before(seen)
            following.is_taken = True
        has_more = False
        if following.is_behind and self._precedence.may_read(following):
            has_more = self._reading.read(following)
        self._reporting.report(following, at)
        self._ending.end(following, at)
        if not has_more:
            self._rest(following, at)
        return has_more

    def _miss(self, following: Following, at: float) -> None:
        """The session's file can't be read, or isn't there; it may have got another name meanwhile."""
        following.next_look = at + SLEEPING_SECONDS
        if not following.is_gone:
            following.missing_at = None
        elif following.missing_at is None:
            following.missing_at = at
        elif at - following.missing_at >= MISSING_SECONDS:
            self._ending.end_gone(following, at)

    def _rest(self, following: Following, at: float) -> None:
        quiet = at - following.moved_at
        translation, delivery = following.translation, self._fleet.delivery
        if quiet < ACTIVE_SECONDS:
            following.next_look = at
        else:
            following.next_look = at + SLEEPING_SECONDS
            if delivery is not None and not self._reporting.is_working(following, at):
                delivery.rest(following.run_key)
        if translation is None or translation.has_news:
            return
        if quiet >= FORGET_SECONDS and not following.is_attached:
            translation.output.close()
            following.translation = None
        elif quiet >= ACTIVE_SECONDS:
            translation.output.close()
