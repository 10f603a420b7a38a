"""Cursors are good for their own query alone."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast_api.http import pagination
from runcast_api.http.pagination import Place
from runcast_server.errors import Invalid

PLACE = Place(datetime(2026, 1, 31, tzinfo=UTC), uuid4())


def test_a_cursor_names_its_place() -> None:
    cursor = pagination.after(PLACE, "runs", "queued")
    assert pagination.read(cursor, "runs", "queued") == PLACE
    assert pagination.read(None, "runs") is None


def test_a_cursor_of_another_query_is_refused() -> None:
    cursor = pagination.after(PLACE, "runs", "queued")
    with pytest.raises(Invalid):
        pagination.read(cursor, "runs", "running")


@given(st.text(max_size=80))
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        pagination.read(text, "runs")
