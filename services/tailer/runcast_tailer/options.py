"""What a tailer follows, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from runcast_server.owners import Owners
from runcast_tailer.file_reader import FollowLimits


@dataclass(frozen=True)
class TailerOptions:
    """`roots`: beneath which paths that were asked for, and symlinked directories, may lie."""

    runs_dir: Path
    roots: tuple[Path, ...]
    project: str
    poll_seconds: float = 0.1
    wait_seconds: float = 5.0
    limits: FollowLimits = field(default_factory=FollowLimits)
    auth: str | None = None
    zone: str | None = None
    artifacts_url: str = "memory:///"
    owners: Owners = field(default_factory=dict)
    streams: int = 1
    """Into how many streams the ingest is split."""


class Beats:
    """Says when it's time for what is done now and then."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def is_time(self, what: str, now: float, seconds: float) -> bool:
        """True at most once in this many seconds."""
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + seconds
        return True
