"""What is shown with `rich`: for commands that draw more than lines and tables. It takes a while to
import, so the others don't."""

import sys
from typing import Any

from rich.console import Console
from rich.text import Text

from runcast.cli import output


def cell(value: Any) -> Text:
    """A value as it is shown to people."""
    text = output.shown(value)
    return Text(text, style=output.STATUS_COLOURS.get(text, ""))


def said(text: str, style: str = "") -> Text:
    """Foreign words, in a style. `Text` alone lets escape sequences through."""
    return Text(output.shown(text), style=style)


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
