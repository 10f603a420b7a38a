"""Quiet hours, by the clock on a person's wall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from runcast_api.notifications.schemas import Quiet

DAY = timedelta(days=1)


def until(quiet: Quiet, now: datetime) -> datetime | None:
    """When the quiet hours end in which `now` lies; None where it lies in none.

    The hours follow the zone's clock also on the days on which it is set: a time that is left out in spring
    is counted by the clock as it was before, and one that comes twice in autumn ends them whenever it comes.
    """
    begin, end = quiet.hours
    zone = ZoneInfo(quiet.tz)
    local = now.astimezone(zone)
    clock = local.time()
    goes_past_midnight = end < begin
    if not (begin <= clock < end or (goes_past_midnight and (clock >= begin or clock < end))):
        return None
    day = local.date() if clock < end else local.date() + DAY
    ends = datetime.combine(day, end, zone)
    first = ends.astimezone(UTC)
    # A time that comes twice may be behind us for the first time.
    return first if first > now else ends.replace(fold=1).astimezone(UTC)
