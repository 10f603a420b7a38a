"""`runcast prune`: removes local files of runs that the server has."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from runcast._recording import run_directory
from runcast._support import times
from runcast._upload.prune import Pruned
from runcast._upload.prune import prune as prune_run
from runcast.cli import output
from runcast.cli.context import Context, connect


def register(app: typer.Typer) -> None:
    app.command("prune", rich_help_panel="Runs")(prune)


def prune(
    ctx: Context,
    directory: Annotated[
        Path | None, typer.Argument(help="A directory of runs.  [RUNCAST_RUNS_DIR, runs]")
    ] = None,
    older_than: Annotated[
        str, typer.Option("--older-than", help="Keep runs that ended within this time.")
    ] = "7d",
    unsent: Annotated[
        bool, typer.Option("--unsent", help="Also runs that no server has; none is asked.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    as_json: output.AsJson = False,
) -> None:
    """Remove local files of runs that are over and that the server has.

    Examples:

    runcast prune --older-than 30d --dry-run

    runcast prune runs/
    """
    try:
        before = times.now() - timedelta(seconds=times.duration_seconds(older_than))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--older-than") from error
    root = directory or run_directory.runs_dir()
    runs = run_directory.directories(root)
    if unsent:
        told = [prune_run(None, run, before, is_dry=dry_run) for run in runs]
    else:
        with connect(ctx) as client:
            told = [prune_run(client, run, before, is_dry=dry_run) for run in runs]
    _print(told, as_json, dry_run)


def _print(told: list[Pruned], as_json: bool, is_dry: bool) -> None:
    if as_json:
        output.print_json({"runs": [vars(each) for each in told]})
        return
    output.print_table(
        ("run", "bytes", "kept because"),
        ((each.name, each.size, each.kept) for each in told if each.kept),
    )
    gone = [each for each in told if each.kept is None]
    verb = "would be removed" if is_dry else "removed"
    typer.echo(f"{len(gone)} of {len(told)} runs {verb}, {sum(each.size for each in gone)} bytes")
