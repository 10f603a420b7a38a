"""`runcast demo`: a run to look at."""

import contextlib
from typing import Annotated

import typer

from runcast import errors
from runcast.cli import logs, output
from runcast.cli.context import Context, connect


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

    Examples:  runcast demo  |  runcast demo --interval 0.2 --no-follow --json
    """
    with connect(ctx) as client:
        with contextlib.suppress(errors.Conflict):
            client.create_project(project, slug=project)
        run = client.create_run(project, name="Demo", agent_type="PLANNER")
        client.start_demo(run["id"], interval_s=interval_s)
        url = client.url
    if as_json:
        output.print_json(run)
    else:
        output.say(f"runcast: {url}/ui/runs/{run['id']}")
    if follows:
        logs.follow_runs(ctx, [run["id"]], logs.Shown(as_json=as_json))
