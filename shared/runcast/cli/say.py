"""`runcast say`: a message to a session while it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from runcast.cli import completion, finding, output
from runcast.cli.context import Context, connect


def register(app: typer.Typer) -> None:
    app.command("say", rich_help_panel="Agents")(say)


def say(
    ctx: Context,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help=output.RUN_HELP, autocompletion=completion.runs)
    ],
    text: Annotated[str, typer.Argument(help="What to say.")],
    project: output.Project = None,
    as_json: output.AsJson = False,
) -> None:
    """Say something to a session that is connected by its hooks.

    It is queued until the agent's next hook takes it along; an idle session may have none for a while.

    Example:

    runcast say claude-6f0c2b1e "please also update the changelog"
    """
    with connect(ctx) as client:
        queued = client.say(finding.find_run(client, run, project)["id"], text)
    if as_json:
        output.print_json(queued)
    else:
        output.say(f"{queued['state']}; the agent gets it with its next hook")
