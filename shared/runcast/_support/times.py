"""Times as they are written: seconds in files, milliseconds on the wire, always UTC."""

import re
from datetime import UTC, datetime, timedelta

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
LONGEST_SECONDS = 1_000 * 366 * 86_400
_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def now() -> datetime:
    return datetime.now(UTC)


def to_seconds(moment: datetime) -> str:
    """`2024-01-15T10:00:05+00:00`: the form of every time in a run's files."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def to_milliseconds(moment: datetime) -> str:
    """`2024-01-15T10:00:05.123Z`: the form of every time in messages and events."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat("T", "milliseconds")[:-6] + "Z"


class Stamps:
    """Writes moments, given as seconds since 1970, in both forms: the text of a second is made once.

    Safe in threads and signal handlers: what is remembered is one tuple.
    """

    def __init__(self) -> None:
        self._last = (0, "1970-01-01T00:00:00", "1970-01-01T00:00:00+00:00")

    def both(self, seconds: float) -> tuple[str, str]:
        """As `to_seconds` and as `to_milliseconds`. Raises as `datetime.fromtimestamp` does."""
        known, text, whole = self._last
        micros = int((seconds - known) * 1_000_000 + 0.5)
        if not 0 <= micros < 1_000_000:
            known, text, whole = self._last = self._of(seconds)
            micros = min(max(round((seconds - known) * 1_000_000), 0), 999_999)
        return whole, text + _MILLISECONDS[micros // 1000]

    def _of(self, seconds: float) -> tuple[int, str, str]:
        second = round(seconds * 1_000_000) // 1_000_000
        text = datetime.fromtimestamp(second, UTC).isoformat("T", "seconds")[:-6]
        return second, text, f"{text}+00:00"


_MILLISECONDS = [f".{number:03d}Z" for number in range(1_000)]


def parse(text: str) -> datetime:
    """An ISO-8601 time; one without an offset is taken as UTC. Raises `ValueError`."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def duration_seconds(text: str) -> float:
    """`90s`, `5m`, `1h30m`, `2d` or a bare number of seconds; a thousand years at most. Raises
    `ValueError`."""
    whole = f"{text}s" if re.fullmatch(r"\d+(\.\d+)?", text) else text
    parts = _DURATION.findall(whole)
    if not parts or "".join(number + unit for number, unit in parts) != whole:
        raise ValueError(f"not a duration: {text!r} (for example 90s, 5m, 1h30m)")
    seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)
    if seconds > LONGEST_SECONDS:
        raise ValueError(f"not a duration: {text[:40]!r} is more than a thousand years")
    return seconds


def since(text: str) -> datetime:
    """A moment given as an ISO-8601 time or as a duration back from now."""
    try:
        return now() - timedelta(seconds=duration_seconds(text))
    except ValueError:
        return parse(text)
