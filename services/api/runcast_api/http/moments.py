"""Times in queries, as people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

MOMENT = "ISO-8601: a time, or a day for its beginning; without an offset in UTC."
_NUMBER = re.compile(r"[-+]?[0-9.]+")


def _no_number(given: Any) -> Any:
    """Raises `ValueError` for a bare number: 2026 would be a moment of 1970."""
    if isinstance(given, str) and _NUMBER.fullmatch(given.strip()):
        raise ValueError("must be a time such as 2026-01-31T10:00:00Z, or a day")
    return given


def in_utc(moment: datetime) -> datetime:
    """A time in UTC; one without an offset is taken as that. Raises `ValueError` beyond the calendar."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies beyond the calendar") from None


Moment = Annotated[datetime, BeforeValidator(_no_number), AfterValidator(in_utc)]
