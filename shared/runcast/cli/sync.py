"""`runcast sync`: sends what was written without a server."""

import time
from pathlib import Path
from typing import Annotated

import typer

from runcast._recording import run_directory
from runcast._upload import sync as run_sync
from runcast._upload.sync import Report
from runcast.cli import exits, output
from runcast.cli.context import Context, connect


def register(app: typer.Typer) -> None:
    app.command("sync", rich_help_panel="Runs")(sync)


def sync(
    ctx: Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Runs, or directories of runs.  [RUNCAST_RUNS_DIR, runs]"),
    ] = None,
    project: Annotated[
        str | None,
        typer.Option("--project", "-p", help="For runs whose files name no project."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on while the runs do.")
    ] = False,
    as_json: output.AsJson = False,
) -> None:
    """Send runs from their files. Sending again, or beside others, doubles nothing.

    Examples:  runcast sync  |  runcast sync runs/nightly  |  runcast sync --follow runs/
    """
    reports: list[Report] = []
    with connect(ctx) as client:
        while True:
            reports = [
                run_sync.sync(client, directory, project)
                for path in paths or [run_directory.runs_dir()]
                for directory in run_directory.directories(path)
            ]
            if not follow or all(report.is_over for report in reports):
                break
            time.sleep(0.5)
    if as_json:
        output.print_json({"runs": [report.as_json() for report in reports]})
    else:
        output.print_table(
            ("run", "sent", "state"),
            (
                (report.name, f"{report.sent_bytes} B", report.error or report.state)
                for report in reports
            ),
        )
    if any(report.error for report in reports):
        raise typer.Exit(exits.FAILED)
