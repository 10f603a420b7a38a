"""`runcast demo`: a run to look at."""

import contextlib
from typing import Annotated

import typer

from runcast import errors, events
from runcast.cli import lines, output
from runcast.cli.context import Context, connect
from runcast.client.clients import Client

LINES, ARTIFACTS = 12, 3


def register(app: typer.Typer) -> None:
    app.command("demo", rich_help_panel="Setup")(demo)


def demo(
    ctx: Context,
    project: Annotated[
        str, typer.Option("--project", "-p", help="Slug; made if it isn't there.")
    ] = "demo",
    interval_s: Annotated[float, typer.Option("--interval", help="Seconds between events.")] = 1.5,
    follows: Annotated[
        bool, typer.Option("--follow/--no-follow", "-f", help="Show its log until it ends.")
    ] = True,
    as_json: output.AsJson = False,
) -> None:
    """Have the server act out a run: twelve log events and three artifacts.

    Examples:

    runcast demo

    runcast demo --interval 0.2 --no-follow --json
    """
    with connect(ctx) as client:
        with contextlib.suppress(errors.Conflict):
            client.create_project(project, slug=project)
        run = client.create_run(project, name="Demo", agent_type="PLANNER")
        client.start_demo(run["id"], interval_s=interval_s)
        if as_json:
            output.print_json_line(run)
        else:
            output.say(f"runcast: {client.url}/ui/runs/{run['id']}")
        if follows:
            _show(client, run["id"], lines.Shown(as_json=as_json))


def _show(client: Client, run_id: str, shown: lines.Shown) -> None:
    """Prints the demonstration from its first event on; it leaves the run awaiting feedback, so
    its end is known by what it is made of."""
    number = artifacts = 0
    for event in client.stream_run(run_id, after=0):
        if event.type == events.AGENT_LOG:
            shown.print(lines.entry_of(event))
            number += 1
        artifacts += event.type == events.ARTIFACT_CREATED
        if number >= LINES and artifacts >= ARTIFACTS:
            return
