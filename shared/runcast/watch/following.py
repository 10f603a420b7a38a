"""One session as the watcher follows it: its file, its run, and when to look at it next."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

from runcast.agents.identity import resumed_key
from runcast.watch.line_file import Stamp
from runcast.watch.sessions import Adapter, Registered, Session
from runcast.watch.translation import Translation

Json = dict[str, Any]


@dataclass(slots=True)
class Following:
    """What is known of a session. `number` counts its runs: the second is `<key>.r2`."""

    session: Session
    adapter: Adapter
    number: int = 1
    begin: int = 0
    is_over: bool = False
    is_taken: bool = True
    """False for one that is too old, until it grows."""
    is_foreign: bool = False
    """Another program of ours reports it."""
    is_waking: bool = True
    """It has moved after a rest, and nothing of that was read yet."""
    seen: Stamp | None = None
    jumped: float = 0.0
    """Seconds that the watcher's wall clock had jumped when the file was written."""
    read: Stamp | None = None
    """The file as it was when it was read to its end."""
    moved_at: float = 0.0
    next_look: float = 0.0
    translation: Translation | None = None
    registered: Registered | None = None
    was_attached: bool = False
    gone_at: float | None = None
    missing_at: float | None = None
    """When the session's file was found to be gone."""
    complaint: str | None = None
    told: tuple[Registered | None, Stamp | None] | None = None
    """What was known when the state was told last."""
    delivered: int = 0
    """Lines of the spool that the delivery was told of."""
    sent: int | None = None
    """The size of the last run's spool when the server was known to have all of it."""
    shown: Json = field(default_factory=dict)
    """What is told of it to people: status, attention, name."""
    kept: Json | None = None
    """What is remembered of a session that isn't taken: it is the same each time."""
    used: Json = field(default_factory=dict)
    """How many tokens it has used, and the agent's own cost of them."""

    @property
    def run_key(self) -> str:
        key = self.session.key
        return key if self.number == 1 else resumed_key(key, self.number)

    @property
    def last_key(self) -> str:
        """The key of the run that there is: the one before, once that is over."""
        key, number = self.session.key, self.number - self.is_over
        return key if number <= 1 else resumed_key(key, number)

    def stamp(self) -> Stamp | None:
        """The session's file as it is now; None where it can't be read."""
        return self.adapter.stamp(self.session)

    @property
    def is_gone(self) -> bool:
        """Whether the session's file was removed, or has another name."""
        return not os.path.lexists(self.session.path)

    @property
    def is_attached(self) -> bool:
        return self.registered is not None and self.registered.is_alive

    @property
    def is_behind(self) -> bool:
        """Whether the file has something that wasn't read."""
        return self.is_taken and self.seen is not None and self.seen != self.read

    def remembered(self, spool_bytes: int | None) -> Json:
        """What to keep for the next life; `spool_bytes` is the size of its last run's spool."""
        return {
            "spool": spool_bytes,
            "sent": self.sent,
            "path": str(self.session.path),
            "number": self.number,
            "begin": self.begin,
            "is_over": self.is_over,
            "is_taken": self.is_taken,
            "is_foreign": self.is_foreign,
            "read": list(self.read) if self.read else None,
            "was_attached": self.was_attached,
            "shown": self.shown,
            "used": self.used,
        }

    def recall(self, known: Json) -> None:
        """Takes over what was kept. What doesn't fit is as if it weren't there."""
        read, number, begin = known.get("read"), known.get("number"), known.get("begin")
        if isinstance(read, list) and len(read) == 3 and all(isinstance(n, int) for n in read):
            self.read = (read[0], read[1], read[2])
        if isinstance(number, int) and isinstance(begin, int) and number > 0 and begin >= 0:
            self.number, self.begin = number, begin
        self.is_over = known.get("is_over") is True
        self.is_taken = known.get("is_taken") is not False
        self.is_foreign = known.get("is_foreign") is True
        self.was_attached = known.get("was_attached") is True
        sent, shown, used = known.get("sent"), known.get("shown"), known.get("used")
        self.sent = sent if isinstance(sent, int) else None
        self.shown = shown if isinstance(shown, dict) else {}
        self.used = used if isinstance(used, dict) else {}

    def doubt(self) -> None:
        """The spool isn't as it was when this was kept (a crash may have cut it): it knows better."""
        self.read, self.number, self.begin, self.is_over = None, 1, 0, False
