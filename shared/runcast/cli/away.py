"""`runcast away`: whether agents that would block their terminal wait for answers from elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from runcast.cli import output
from runcast.cli.context import Context, connect


def register(app: typer.Typer) -> None:
    app.command("away", rich_help_panel="Agents")(away)


def away(
    ctx: Context,
    state: Annotated[
        str, typer.Argument(metavar="on|off|status", help="on, off or status.")
    ] = "status",
    as_json: output.AsJson = False,
) -> None:
    """Say that you are away from the terminal, or back.

    While you are away, agents that ask before they show their own prompt (Codex, sub-agents in the
    background) wait for an answer from the inbox.

    Example:

    runcast away on
    """
    if state not in ("on", "off", "status"):
        raise typer.BadParameter("on, off or status")
    with connect(ctx) as client:
        shown = client.get_away() if state == "status" else client.set_away(state == "on")
    if as_json:
        output.print_json(shown)
    else:
        output.say(f"away since {shown['since']}" if shown["away"] else "not away")
