"""Quiet hours by the wall's clock, past midnight and on days when it is set."""

from datetime import UTC, datetime

import pytest

from runcast_api.notifications import quiet
from runcast_api.notifications.schemas import Quiet


@pytest.mark.parametrize(
    ("begin", "end", "tz", "now", "until"),
    [
        ("22:00", "07:00", "UTC", "2026-06-01T21:59", None),
        ("22:00", "07:00", "UTC", "2026-06-01T22:00", "2026-06-02T07:00"),
        ("22:00", "07:00", "UTC", "2026-06-02T06:59", "2026-06-02T07:00"),
        ("22:00", "07:00", "UTC", "2026-06-02T07:00", None),
        ("12:00", "13:00", "UTC", "2026-06-02T12:30", "2026-06-02T13:00"),
        ("12:00", "13:00", "UTC", "2026-06-02T13:00", None),
        ("22:00", "07:00", "Europe/Berlin", "2026-06-01T20:30", "2026-06-02T05:00"),
        ("22:00", "07:00", "Asia/Kathmandu", "2026-06-01T16:20", "2026-06-02T01:15"),
        # The clock is set forward at 02:00: half past two isn't there, and is counted by the old clock.
        ("22:00", "02:30", "Europe/Berlin", "2026-03-28T23:00", "2026-03-29T01:30"),
        # It is set back at 03:00: half past two comes twice, and ends them both times.
        ("22:00", "02:30", "Europe/Berlin", "2026-10-25T00:10", "2026-10-25T00:30"),
        ("22:00", "02:30", "Europe/Berlin", "2026-10-25T01:10", "2026-10-25T01:30"),
        # Half an hour comes twice on Lord Howe.
        ("22:00", "01:45", "Australia/Lord_Howe", "2026-04-04T15:05", "2026-04-04T15:15"),
    ],
)
def test_quiet_hours_end_by_the_clock_on_the_wall(
    begin: str, end: str, tz: str, now: str, until: str | None
) -> None:
    hours = Quiet.model_validate({"from": begin, "to": end, "tz": tz})
    found = quiet.until(hours, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found == (until and datetime.fromisoformat(until).replace(tzinfo=UTC))
