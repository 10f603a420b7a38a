"""The sessions on a terminal's whole screen: who waits for you first, and what each one does now.

What is drawn is a pure function of rows and size; `Screen` puts it where the last picture was. Names and
summaries are agents' words: nothing of them can command the terminal.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runcast._support.terminal import harmless
from runcast.cli import output, table

FRAME_SECONDS = 1.0
OVER_SECONDS = 300.0
"""How long a session that is over is still shown."""
NOTES = 3
_ORDER = (
    "permission",
    "question",
    "plan",
    "error",
    "budget",
    "idle",
    "running",
    "failed",
    "completed",
)
_MARKS = {"idle": "○", "running": "●", "completed": "✓", "failed": "✗"}
_STYLES = {"idle": "dim", "running": "cyan", "completed": "dim", "failed": "red"}
_NARROW = 80
_NARROWEST = 40
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))


@dataclass(frozen=True, slots=True)
class Row:
    """One session as it is shown. `kind`: what it waits for, else its status."""

    kind: str
    program: str
    name: str
    says: str
    since_seconds: float
    tokens: int = 0
    cost_usd: float | None = None
    is_subagent: bool = False


def picture(
    rows: Iterable[Row], width: int, height: int, title: str = "", notes: Sequence[str] = ()
) -> list[str]:
    """The screen's lines, none wider than it and not more than fit."""
    ordered = sorted(rows, key=_rank)
    shown = list(notes)[-NOTES:]
    room = max(height - 2 - len(shown), 1)
    lines = [output.paint(table.cut(_head(ordered, title), width), "bold")]
    visible = ordered[:room] if len(ordered) <= room else ordered[: room - 1]
    lines += [_line(row, width) for row in visible]
    if len(visible) < len(ordered):
        lines.append(table.cut(f"… {len(ordered) - len(visible)} more", width))
    lines += [output.paint(table.cut(_plain(note), width), "yellow") for note in shown]
    return lines[:height]


def _rank(row: Row) -> tuple[int, bool, float]:
    place = _ORDER.index(row.kind) if row.kind in _ORDER else 0
    return place, row.is_subagent, -row.since_seconds if place < 5 else row.since_seconds


def _head(rows: Sequence[Row], title: str) -> str:
    kinds = [row.kind for row in rows]
    idle, works = kinds.count("idle"), kinds.count("running")
    needs = len(kinds) - idle - works - kinds.count("completed") - kinds.count("failed")
    told = in_words(needs, works, idle)
    return f"{told or 'no session works'}   {title}".rstrip()


def in_words(needs: int, works: int, idle: int, first: str = "") -> str:
    """`2 need you (Fix login test) · 3 work · 1 idle`; empty where there is none."""
    told = (
        f"{needs} need{'s' if needs == 1 else ''} you{first}" if needs else "",
        f"{works} work{'s' if works == 1 else ''}" if works else "",
        f"{idle} idle" if idle else "",
    )
    return " · ".join(filter(None, told))


def _line(row: Row, width: int) -> str:
    """`▲ permission claude  Fix the login test   Bash: pytest -q      2m  18k  $0.04`."""
    if width < _NARROWEST:
        return table.cut(f"{_MARKS.get(row.kind, '▲')} {_plain(row.name)}", width)
    kind = row.kind if row.kind in _ORDER[:5] else {"running": "works"}.get(row.kind, row.kind)
    left = f"{_MARKS.get(row.kind, '▲')} {kind:<10} {row.program[:8]:<8} "
    right = f" {_ago(row.since_seconds):>4}"
    if width >= _NARROW:
        cost = "" if row.cost_usd is None else f"${row.cost_usd:.2f}"
        right += f" {_short(row.tokens):>6} {cost:>7}"
    room = max(width - table.width_of(left) - len(right), 0)
    name = ("  " if row.is_subagent else "") + _plain(row.name)
    says = _plain(row.says)
    if width >= _NARROW and says:
        half = room * 2 // 5
        text = f"{table.padded(table.cut(name, half), half)} {table.cut(says, max(room - half - 1, 0))}"
    else:
        text = table.cut(says if row.kind in _ORDER[:5] and says else name, room)
    style = _STYLES.get(row.kind, "bold yellow")
    return output.paint(left, style) + table.padded(text, room) + output.paint(right, "dim")


def _plain(text: str) -> str:
    return " ".join(harmless(text, colours=False).split())


def _ago(seconds: float) -> str:
    for unit, letter in _UNITS:
        if seconds >= unit:
            return f"{int(seconds // unit)}{letter}"
    return f"{int(max(seconds, 0))}s"


def _short(number: int) -> str:
    if number < 1_000:
        return str(number or "")
    return f"{number / 1e6:.1f}M" if number >= 1_000_000 else f"{number / 1e3:.0f}k"


def row_of(following: Any, now: float) -> Row | None:
    """A session as it is shown; None for one of which there is nothing to show."""
    shown: Mapping[str, Any] = following.shown
    if not shown.get("status"):
        return None
    attention = shown.get("attention") or {}
    kind = attention.get("kind") or shown["status"]
    at = following.seen[2] / 1e9 if following.seen else now
    if kind in ("completed", "failed") and now - at > OVER_SECONDS:
        return None
    translation = following.translation
    doing = translation.doing.headline if translation is not None and kind == "running" else ""
    tokens, cost_usd = following.used.get("tokens"), following.used.get("cost_usd")
    return Row(
        kind,
        following.session.program,
        str(shown.get("name") or ""),
        str(attention.get("summary") or doing),
        now - at,
        tokens if isinstance(tokens, int) else 0,
        cost_usd if isinstance(cost_usd, float) else None,
        following.session.is_subagent,
    )


class Screen:
    """The terminal's other screen, until `close`. A picture is drawn at most once a second."""

    def __init__(self, title: str, note: str) -> None:
        """`note` is the first of the notes at its end, until there are newer ones."""
        self.notes: deque[str] = deque([note], maxlen=NOTES)
        self._title = title
        self._drawn_at = float("-inf")
        self._write("\x1b[?1049h\x1b[?25l\x1b[?7l")

    def draw(self, followings: Iterable[Any]) -> None:
        """Draws the sessions, if it is time."""
        at = time.monotonic()
        if at - self._drawn_at < FRAME_SECONDS:
            return
        self._drawn_at = at
        now = time.time()
        rows = [row for each in followings if (row := row_of(each, now)) is not None]
        width, height = shutil.get_terminal_size()
        # One cell less: erasing to the line's end would take a character in the last one.
        lines = picture(rows, width - 1, height, self._title, tuple(self.notes))
        self._write("\x1b[H" + "\x1b[K\r\n".join(lines) + "\x1b[K\x1b[J")

    def close(self) -> None:
        """Gives the terminal back as it was."""
        self._write("\x1b[?7h\x1b[?25h\x1b[?1049l")

    @staticmethod
    def _write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
