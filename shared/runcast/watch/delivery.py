"""Taking the runs of sessions to a server, as long as there is something to take."""

from __future__ import annotations

from runcast._recording.run_directory import RunDirectory
from runcast._upload.feed import Feed
from runcast._upload.feeder import Feeder
from runcast.contract import HEARTBEAT_SECONDS


class Delivery:
    """Feeds the runs that have something new. A run that rests is fed no more, so that very many of them cost
    nothing."""

    def __init__(self, feeder: Feeder) -> None:
        self._feeder = feeder
        self._feeds: dict[str, Feed] = {}
        self._finished: list[Feed] = []

    def wake(self, key: str, directory: RunDirectory) -> None:
        """There is something new of a run."""
        feed = self._feeds.get(key)
        if feed is None or feed.is_over:
            feed = self._feeds[key] = Feed(directory, heartbeat_seconds=None)
            self._feeder.add(feed)
        else:
            self._feeder.wake(feed)

    def beat(self, key: str, is_alive: bool) -> None:
        """Whether the session is known to work: then heartbeats are sent."""
        if (feed := self._feeds.get(key)) is not None:
            feed.heartbeat_seconds = HEARTBEAT_SECONDS if is_alive else None

    def finish(self, key: str) -> None:
        """Nothing will follow of a run."""
        if (feed := self._feeds.pop(key, None)) is not None:
            feed.finish()
            self._feeder.wake(feed)
            self._finished = [each for each in self._finished if not each.is_done] + [feed]

    def rest(self, key: str) -> None:
        """Nothing new is expected soon."""
        if (feed := self._feeds.get(key)) is not None and (feed.is_sent or feed.is_over):
            feed.leave()
            self._feeder.wake(feed)
            del self._feeds[key]

    def has_sent(self, key: str) -> bool | None:
        """Whether the server has everything of a run; None for one that isn't fed now."""
        feeds = [self._feeds[key]] if key in self._feeds else []
        feeds += [each for each in self._finished if each.directory.path.name == key]
        return all(each.is_sent for each in feeds) if feeds else None

    def unsent(self) -> int:
        """Bytes that the server doesn't have yet."""
        return sum(feed.unsent() for feed in [*self._feeds.values(), *self._finished])

    def flush(self, seconds: float) -> int:
        """Waits until everything is sent, for at most so long without progress; the bytes that aren't."""
        for feed in [*self._feeds.values(), *self._finished]:
            self._feeder.flush(feed, seconds, at_most_seconds=600.0)
        return self.unsent()
