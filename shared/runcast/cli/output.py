"""How commands print: tables and lines for people, JSON for programs.

Texts that come from a server or a log are foreign: they pass `terminal.harmless` on their way to a
terminal.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import orjson
import typer

from runcast._support.terminal import harmless
from runcast.cli import table
from runcast.cli.table import Column

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Project = Annotated[
    str | None, typer.Option("--project", "-p", help="Slug or id.  [RUNCAST_PROJECT, default]")
]
RUN_HELP = "Id, key, #number, --last, or what only one begins with."
RunsDir = Annotated[
    str | None,
    typer.Option("--dir", help="Read a directory of runs instead of asking a server."),
]

STATUS_COLOURS = {
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
    "awaiting_feedback": "magenta",
    "IN_PROGRESS": "cyan",
    "RUNNING": "cyan",
    "IN_REVIEW": "magenta",
    "COMPLETED": "green",
    "MERGED": "green",
    "DONE": "green",
    "FAILED": "red",
    "PLANNING_FAILED": "red",
    "DEGRADED": "red",
    "SKIPPED": "yellow",
    "BLOCKED": "yellow",
}
LEVEL_COLOURS = {
    "trace": "bright_black",
    "debug": "bright_black",
    "warning": "yellow",
    "error": "red",
    "critical": "bold red",
}
_CODES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
    "bright_black": "90",
    "bright_red": "91",
    "bright_cyan": "96",
}
_UNESCAPED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What commands a terminal or turns the direction of writing, and JSON may hold as it is."""
TAG_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red", "bright_cyan")


def print_json(value: Any) -> None:
    """One JSON document."""
    typer.echo(_json(value, orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0))


def print_json_line(value: Any) -> None:
    """One line of a stream of JSON; out at once."""
    sys.stdout.buffer.write(_json(value).encode() + b"\n")
    sys.stdout.buffer.flush()


def _json(value: Any, options: int = 0) -> str:
    """JSON that can only be read. orjson escapes what is below a space; the rest of what isn't text can
    stand in strings alone, where its number means the same."""
    text = orjson.dumps(value, option=options).decode()
    if text.isascii() and "\x7f" not in text:
        return text
    return _UNESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def print_table(columns: Sequence[str | Column], rows: Iterable[Sequence[Any]]) -> None:
    """A table, one line a row; a status shows its colour. On a terminal it fits the width; elsewhere
    nothing is cut."""
    known = [Column(each) if isinstance(each, str) else each for each in columns]
    texts = [[_one_line(shown(value)) for value in row] for row in rows]
    kept, widths = table.fitted(known, texts, terminal_width())
    print_line(*_cells([known[n].title for n in kept], widths, ["bold"] * len(kept)), gap="  ")
    for row in texts:
        chosen = [row[n] for n in kept]
        print_line(*_cells(chosen, widths, [_colour(text) for text in chosen]), gap="  ")


def _cells(texts: Sequence[str], widths: Sequence[int], styles: Sequence[str]) -> list[str]:
    cut = [table.cut(text, width) for text, width in zip(texts, widths, strict=True)]
    padded = [table.padded(text, width) for text, width in zip(cut[:-1], widths, strict=False)]
    return [paint(text, style) for text, style in zip([*padded, *cut[-1:]], styles, strict=True)]


def print_fields(fields: Mapping[str, Any]) -> None:
    """Names and values, one on a line; what is empty is left out."""
    known = {name: value for name, value in fields.items() if value not in (None, {}, [])}
    width = max((len(name) for name in known), default=0)
    for name, value in known.items():
        text = shown(value)
        print_line(paint(f"{name:<{width}} ", "bold"), paint(text, _colour(text)))


def print_line(*parts: str, gap: str = " ") -> None:
    """One line, as it is: the parts are harmless already."""
    typer.echo(gap.join(parts), color=True)


def shown(value: Any) -> str:
    """A value as it is shown to people."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return harmless(text, colours=False)


def status(text: str) -> str:
    """A status in its colour."""
    return paint(shown(text), STATUS_COLOURS.get(text, ""))


def paint(text: str, style: str) -> str:
    """The text in a style such as `bold red`, where stdout shows colours."""
    if not style or not has_colours():
        return text
    return f"\x1b[{';'.join(_CODES[each] for each in style.split())}m{text}\x1b[0m"


def terminal_width() -> int | None:
    """The width of stdout, None where it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def has_colours() -> bool:
    """Whether stdout shows colours (https://no-color.org)."""
    is_dumb = os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and not is_dumb


def say(text: str, style: str = "dim") -> None:
    """A word beside the output. It may hold what a server or an agent said."""
    text = harmless(text, colours=False)
    has_style = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    typer.echo(f"\x1b[{_CODES[style]}m{text}\x1b[0m" if has_style else text, err=True, color=True)


def _colour(text: str) -> str:
    return "bright_black" if text == "-" else STATUS_COLOURS.get(text.strip().split(" ")[0], "")


def _one_line(text: str) -> str:
    return text if text.isprintable() else " ".join(text.split())
