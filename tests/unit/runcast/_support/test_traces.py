"""Lines that belong to the line before them have its level and its time."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast._support import line_parser, traces
from runcast._support.said import Said

AT = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
FAILED = "2026-11-20 12:30:01,000 ERROR it failed"


def levels(text: str) -> list[str | None]:
    entries = traces.Entries()
    return [
        entries.place(line, line_parser.read(line, AT)).level
        for line in text.strip("\n").split("\n")
    ]


PYTHON = """
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    f()
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
    raise Odd("y")
a.b.Odd: y
"""
JAVA = """
java.lang.IllegalStateException: boom
\tat a.b.C.run(C.java:5)
Caused by: java.io.IOException: gone
\tat a.b.D.read(D.java:9)
\t... 12 more
"""
GO = """
panic: runtime error: index out of range

goroutine 1 [running]:
main.main()
\t/src/main.go:5 +0x1d
exit status 2
"""
RUST = """
thread 'main' panicked at src/main.rs:2:5:
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
"""
NODE = """
TypeError: x is not a function
    at f (/a/b.js:1:2)
    at process (node:internal:3)
"""


@pytest.mark.parametrize("trace", [PYTHON, JAVA, GO, RUST, NODE])
def test_a_trace_has_the_level_of_its_entry(trace: str) -> None:
    text = f"{FAILED}{trace}\nplain words\n2026-11-20 12:30:02,000 INFO on it goes\n  with this"
    found = levels(text)
    assert found[:-3] == ["error"] * (len(found) - 3)
    assert found[-3:] == [None, "info", "info"]


@pytest.mark.parametrize("trace", [PYTHON, GO, 'Exception in thread "main" X\n\tat a.b(C.java:1)'])
def test_a_trace_that_nothing_announced_is_an_error(trace: str) -> None:
    found = levels(f"[INFO] begins\n{trace.strip()}")
    assert found == ["info"] + ["error"] * (len(found) - 1)


def test_what_is_no_trace_belongs_to_nothing() -> None:
    assert levels("words\n  indented\n[12:30:01] a time alone\n  indented") == [None] * 4
    assert levels("[INFO] a\nError: of another\n\n  indented") == ["info", None, None, None]
    assert levels("[ERROR] a\nplain\n  indented") == ["error", None, None]
    assert levels("thread 'a' is fine") == [None]


def test_the_time_comes_along() -> None:
    entries = traces.Entries()
    entries.place(FAILED, line_parser.read(FAILED, AT))
    at = entries.place("  File x", line_parser.read("  File x", AT))
    assert at == Said("2026-11-20T12:30:01.000Z", "error")


parts = st.sampled_from(
    [*PYTHON.strip().split("\n"), *GO.strip().split("\n"), FAILED, "[INFO] x", ""]
)


@given(st.lists(parts, max_size=12), st.integers(0, 12))
def test_a_context_says_what_the_lines_before_do(lines: list[str], place: int) -> None:
    """Cut at any place, an indented line and a heading find their entry by the context alone."""
    above = traces.context(traces.context([], lines[: place // 2]), lines[place // 2 : place])
    assert len(above) <= 3
    whole, cut = traces.Entries(), traces.Entries()
    for line in lines[:place]:
        whole.place(line, line_parser.read(line, AT))
    for line in above:
        cut.place(line, line_parser.read(line, AT))
    after = "Traceback (most recent call last):"
    assert cut.place(after, line_parser.read(after, AT)) == whole.place(
        after, line_parser.read(after, AT)
    )
