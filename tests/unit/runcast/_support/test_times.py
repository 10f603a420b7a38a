"""Times in files, on the wire, and as people give them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from runcast._support import times

MOMENT = datetime(2024, 1, 15, 11, 0, 5, 123_999, timezone(timedelta(hours=1)))


def test_forms() -> None:
    assert times.to_seconds(MOMENT) == "2024-01-15T10:00:05+00:00"
    assert times.to_milliseconds(MOMENT) == "2024-01-15T10:00:05.123Z"


def test_a_time_without_offset_is_utc() -> None:
    assert times.parse("2024-01-15T10:00:05") == datetime(2024, 1, 15, 10, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("1.5", 1.5),
        ("90s", 90),
        ("5m", 300),
        ("1h30m", 5_400),
        ("2d", 172_800),
        ("10ms", 0.01),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert times.duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "5x", "m5", "-5s", "5 m", "1.s", "9999999d", "9" * 400])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        times.duration_seconds(text)


def test_since_takes_both() -> None:
    assert times.since("2024-01-15T10:00:05Z") == datetime(2024, 1, 15, 10, 0, 5, tzinfo=UTC)
    before = times.now()
    an_hour_ago = times.since("1h")
    assert before <= an_hour_ago + timedelta(hours=1) <= times.now()
