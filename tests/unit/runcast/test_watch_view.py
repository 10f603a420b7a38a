"""The watcher's screen: who waits first, nothing wider than the terminal, nothing that commands it."""

import pytest

from runcast.cli import table, watch_view
from runcast.cli.watch_view import Row

ROWS = [
    Row("running", "claude", "Fix the login test", "Bash: pytest -q", 3, 18_240, 0.04),
    Row("completed", "codex", "Old", "", 60),
    Row("idle", "codex", "Review", "One test fails.", 200),
    Row("permission", "claude", "Deploy\x1b]0;x\x07", "Bash: rm -rf build\x1b[2J\nnow", 120, 999),
    Row("question", "goose", "漢字" * 40, "Which clock?", 90_000, 2_500_000),
    Row("running", "claude", "Look it up", "Grep: token", 1, is_subagent=True),
]


@pytest.mark.parametrize("width", [20, 60, 120])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    lines = watch_view.picture(ROWS, width, 24, "http://localhost:8000", ["a note " * 30])
    assert all(table.width_of(line) <= width for line in lines)
    assert not any("\x1b" in line or "\n" in line for line in lines)


def test_who_waits_comes_first() -> None:
    head, *lines, _ = watch_view.picture(ROWS, 120, 24, "", ["note"])
    assert head.startswith("2 need you · 2 work · 1 idle")
    kinds = [line.split()[1] for line in lines]
    assert kinds == ["permission", "question", "idle", "works", "works", "completed"]
    assert "Bash: rm -rf build now" in lines[0]
    assert lines[1].rstrip().endswith("1d   2.5M")


def test_one_is_told_in_the_singular() -> None:
    assert watch_view.picture(ROWS[2:4], 80, 24)[0] == "1 needs you · 1 idle"
    assert watch_view.picture(ROWS[:1], 80, 24)[0] == "1 works"


def test_what_has_no_room_is_counted() -> None:
    lines = watch_view.picture(ROWS, 80, 5, "", [])
    assert len(lines) == 4
    assert lines[-1] == "… 4 more"
    assert watch_view.picture([], 80, 24, "here")[0] == "no session works   here"
