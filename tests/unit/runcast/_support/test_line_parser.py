"""What a line says about itself."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runcast._support import line_parser
from runcast_api.logs import line_marks

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
        ('{"level":50,"time":1769853605123,"msg":"x"}', "2026-01-31T10:00:05.123Z", "error"),
        ("2026-01-31 10:00:05,123 - a.b - ERROR - x", "2026-01-31T10:00:05.123Z", "error"),
        ("Nov 20 12:30:01 host sshd[12]: x", "2026-11-20T12:30:01.000Z", None),
        ("Dec  1 12:30:01 host x", "2025-12-01T12:30:01.000Z", None),
        ("<11>Nov  3 12:30:01 host x", "2026-11-03T12:30:01.000Z", "error"),
        ("<34>1 2026-01-31T10:00:05.003Z host app - x", "2026-01-31T10:00:05.003Z", "critical"),
        ("2026/01/31 10:00:05 [crit] 12#0: *1 x", "2026-01-31T10:00:05.000Z", "critical"),
        (
            '10.0.0.1 - joe [31/Jan/2026:10:00:05 +0100] "GET / HTTP/1.1" 200 1',
            "2026-01-31T09:00:05.000Z",
            None,
        ),
        ("E0131 10:00:05.123456 1 main.go:7] x", "2026-01-31T10:00:05.123Z", "error"),
        ('time="2026-01-31T10:00:05Z" level=warning msg=x', "2026-01-31T10:00:05.000Z", "warning"),
        ("level=error msg=x", None, "error"),
        ("Feb 31 10:00:05 host x", None, None),
        ("Monday is no month", None, None),
        ("1.5 seconds", None, None),
        ("\x1b[31mERROR\x1b[0m: red", None, "error"),
        (
            "\x1b[2m[12:30:01]\x1b[0m \x1b[1;33m[WARN]\x1b[0m x",
            "2026-11-20T12:30:01.000Z",
            "warning",
        ),
        ("\x1b[32m2026-01-31T10:00:05Z \x1b[31mERROR x", "2026-01-31T10:00:05.000Z", "error"),
        ("\x1b]0;a title\x07INFO x", None, "info"),
        ("\x1b", None, None),
        ("[12:30:01] \x1b", "2026-11-20T12:30:01.000Z", None),
    ],
)
def test_a_beginning_is_understood(text: str, ts: str | None, level: str | None) -> None:
    assert line_parser.read(text, AT) == (ts, level)


def test_a_time_without_an_offset_is_the_files() -> None:
    at = AT.astimezone(timezone(timedelta(hours=2)))
    assert line_parser.read("[12:30:01] x", at).ts == "2026-11-20T10:30:01.000Z"
    assert line_parser.read("2026-01-31T10:00:00 x", at).ts == "2026-01-31T08:00:00.000Z"


def test_a_zone_has_rules_on_both_sides_of_a_change_of_the_clocks() -> None:
    at = line_marks.moment(datetime(2026, 4, 1, tzinfo=UTC), "Europe/Berlin")
    assert line_parser.read("2026-03-28T12:00:00 x", at).ts == "2026-03-28T11:00:00.000Z"
    assert line_parser.read("2026-03-30T12:00:00 x", at).ts == "2026-03-30T10:00:00.000Z"
    assert line_parser.read("Mar 28 12:00:00 host x", at).ts == "2026-03-28T11:00:00.000Z"
    assert line_marks.moment(AT, "../etc/passwd") == AT


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    line_parser.read(text, AT)
    line_parser.read("[12:00:00] " + text, AT)
    line_parser.read("{" + text + "}", AT)


_BEGINNINGS = st.tuples(
    st.sampled_from(
        [
            "[23:59:58]",
            "[99:00:00]",
            "2024-01-15T10:00:05+00:00",
            "2024-01-15T10:00:05,123456+0100",
            "2024-13-15T10:00:05",
            "2024-01-15 10:00:05",
            "[2024-01-15T10:00:05Z]",
            "",
        ]
    ),
    st.sampled_from([" ", "  ", "", ":", "\t"]),
    st.sampled_from(["[INFO]", "[warn]", "[constraints]", "[ERROR", "INFO", "Info", "[]", "1", ""]),
    st.sampled_from(["", " ", " and more", "] x"]),
)


@given(_BEGINNINGS)
def test_the_quick_look_says_what_the_thorough_one_says(parts: tuple[str, ...]) -> None:
    text = "".join(parts)
    at = datetime(2026, 1, 31, 0, 0, 3, tzinfo=timezone(timedelta(hours=1)))
    quick = line_parser._usual(text, at)
    found = line_parser._START.match(text)
    assert found is not None
    with_time = found["iso"] or found["clock"]
    assert quick is None or (with_time and quick == line_parser._of_match(found, at))
