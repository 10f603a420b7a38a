"""How commands print: tables and lines for people, JSON for programs.

Texts that come from a server or a log are foreign: they pass `terminal.harmless` on their way to a
terminal.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from runcast._support.terminal import harmless

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Project = Annotated[
    str | None, typer.Option("--project", "-p", help="Slug or id.  [RUNCAST_PROJECT, default]")
]
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
TAG_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red", "bright_cyan")


def print_json(value: Any) -> None:
    """One JSON document."""
    options = orjson.OPT_INDENT_2 if sys.stdout.isatty() else 0
    typer.echo(orjson.dumps(value, option=options).decode())


def print_json_line(value: Any) -> None:
    """One line of a stream of JSON; out at once."""
    sys.stdout.buffer.write(orjson.dumps(value) + b"\n")
    sys.stdout.buffer.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table; a status shows its colour."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in ("id", "run", "status"))
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    console().print(table)


def print_fields(fields: dict[str, Any]) -> None:
    """Names and values, one on a line; what is empty is left out."""
    shown = {name: value for name, value in fields.items() if value not in (None, {}, [])}
    width = max((len(name) for name in shown), default=0)
    out = console()
    for name, value in shown.items():
        out.print(Text(f"{name:<{width}}  ", style="bold") + cell(value))


def cell(value: Any) -> Text:
    """A value as it is shown to people."""
    if value is None:
        return Text("-", style="bright_black")
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return Text(harmless(text, colours=False), style=STATUS_COLOURS.get(text, ""))


def console() -> Console:
    """The terminal; as wide as what is printed where stdout is none."""
    is_terminal = sys.stdout.isatty()
    return Console(
        highlight=False,
        emoji=False,
        markup=False,
        soft_wrap=True,
        width=None if is_terminal else 200,
    )


def has_colours() -> bool:
    """Whether stdout shows colours (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def say(text: str) -> None:
    """A word beside the output."""
    typer.secho(text, err=True, dim=True)
