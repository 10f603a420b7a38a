"""When does a log end? By its sentinel, with its run, or because no one writes it any more."""

from __future__ import annotations

from dataclasses import dataclass

from runcast_tailer.file_reader import Follower

QUIET_SECONDS = 1.0
"""A log is quiet for so long before it's closed: its writer may be at its last line."""
MISSING_SECONDS = 10.0
"""How much longer it is waited for bytes that status.json says are there."""
ABANDONED_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of the run whose log it is. `size`: lines and bytes, as status.json says."""

    has_ended: bool
    size: tuple[int, int] | None = None


GOING_ON, OVER = Ending(False), Ending(True)


def reason(
    follower: Follower,
    ending: Ending,
    now: float,
    *,
    silent_seconds: float,
    abandoned_seconds: float = ABANDONED_SECONDS,
) -> str | None:
    """Why the log is to be closed now, or None. `silent_seconds`: since it last grew."""
    if follower.closed is not None or not follower.exhausted or follower.turning:
        return None
    quiet_seconds = now - follower.quiet_since
    if quiet_seconds < QUIET_SECONDS:
        return None
    if follower.holds_sentinel:
        return "sentinel"
    if ending.has_ended:
        is_short = ending.size is not None and follower.cursor.offset < ending.size[1]
        return None if is_short and quiet_seconds < MISSING_SECONDS else "status"
    return "abandoned" if silent_seconds > abandoned_seconds else None
