"""A stored line that can't be read is shown as one, between its neighbours."""

from __future__ import annotations

from uuid import UUID

from runcast_api.logs import query
from runcast_server.eventlog.lines import Line


def test_a_damaged_line_is_shown_and_keeps_no_other_one_from_being_read() -> None:
    records = [b'"line":"one","source":"api"}', b'"line":"tw', b'"line":"three","source":"api"}']
    lines = [Line(number + 4, number, record) for number, record in enumerate(records, 1)]
    shown = [entry.members for entry in query.parsed(UUID(int=1), lines)]
    assert [each["line"] for each in shown] == ["one", "… [line 2 can't be read]", "three"]
