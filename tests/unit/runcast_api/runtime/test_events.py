"""What a runtime event may hold, and the statement that finds it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from runcast._support.ids import uuid7
from runcast_api.http.pagination import Place
from runcast_api.runtime import events
from runcast_api.runtime.events import METADATA_BYTES, METADATA_DEPTH, Wanted


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(depth - 1):
        found = {"a": found}
    return found


def test_metadata_may_be_as_deep_and_as_large_as_the_limits() -> None:
    assert events.bounded(nested(METADATA_DEPTH))
    assert events.bounded({"a": "x" * (METADATA_BYTES - len('{"a":""}'))})


@pytest.mark.parametrize(
    "metadata",
    [nested(METADATA_DEPTH + 2), {"a": "x" * METADATA_BYTES}, {"a": ["\x00"]}],
    ids=["deep", "large", "NUL"],
)
def test_a_bomb_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"deep|larger|NUL"):
        events.bounded(metadata)


def test_the_statement_names_only_what_was_asked_for() -> None:
    statement, values = events.query(Wanted(), None, 51)
    assert "WHERE" not in statement
    assert values == [51]
    since = datetime(2026, 1, 31, tzinfo=UTC)
    place = Place(since, uuid7())
    statement, values = events.query(Wanted(layer="worker", since=since), place, 51)
    assert "layer = $1 AND occurred_at >= $2 AND (occurred_at, id) < ($3, $4)" in statement
    assert statement.endswith("ORDER BY occurred_at DESC, id DESC LIMIT $5")
    assert values == ["worker", since, place.at, place.id, 51]


def test_times_are_taken_as_utc_and_stay_within_the_calendar() -> None:
    assert events.in_utc(datetime(2026, 1, 31)) == datetime(2026, 1, 31, tzinfo=UTC)  # noqa: DTZ001
    with pytest.raises(ValueError, match="calendar"):
        events.in_utc(datetime.fromisoformat("0001-01-01T00:00:00+14:00"))
