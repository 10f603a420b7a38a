"""What a line says about itself."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runcast_api import lines

AT = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ts", "level"),
    [
        ("plain words", None, None),
        ("", None, None),
        ("[12:30:01] hello", "2026-11-20T12:30:01.000Z", None),
        ("[23:59:59] yesterday", "2026-11-19T23:59:59.000Z", None),
        ("[12:30:01] [ERROR] hello", "2026-11-20T12:30:01.000Z", "error"),
        ("[25:00:00] no such time", None, None),
        ("2026-01-31T10:00:05+01:00 [INFO] x", "2026-01-31T09:00:05.000Z", "info"),
        ("2026-01-31 10:00:05,123 WARNING x", "2026-01-31T10:00:05.123Z", "warning"),
        ("[2026-01-31T10:00:05.5Z] x", "2026-01-31T10:00:05.500Z", None),
        ("2026-13-31T10:00:05Z x", None, None),
        ("[WARN] x", None, "warning"),
        ("FATAL: x", None, "critical"),
        ("INFORMATION is not a level", None, None),
        ("[thinking] is not one either", None, None),
        (
            '{"level":"ERROR","ts":"2026-01-31T10:00:05Z","msg":"x"}',
            "2026-01-31T10:00:05.000Z",
            "error",
        ),
        ('{"level":"odd","time":5}', None, None),
        ('{"broken"', None, None),
    ],
)
def test_a_beginning_is_understood(text: str, ts: str | None, level: str | None) -> None:
    assert lines.read(text, AT) == (ts, level)


def test_a_time_without_an_offset_is_the_files() -> None:
    at = AT.astimezone(timezone(timedelta(hours=2)))
    assert lines.read("[12:30:01] x", at).ts == "2026-11-20T10:30:01.000Z"
    assert lines.read("2026-01-31T10:00:00 x", at).ts == "2026-01-31T08:00:00.000Z"


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    lines.read(text, AT)
    lines.read("[12:00:00] " + text, AT)
    lines.read("{" + text + "}", AT)
