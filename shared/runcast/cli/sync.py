"""`runcast sync`: sends what was written without a server."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from runcast import errors
from runcast._recording import run_directory
from runcast._recording.run_directory import RunDirectory
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
    """Send runs from their files. It is safe to repeat this or to run it concurrently.

    Examples:

    runcast sync

    runcast sync runs/nightly

    runcast sync --follow runs/
    """
    reports: list[Report] = []
    with connect(ctx, patient=True) as client:
        while True:
            reports = [run_sync.sync(client, run, project) for run in _runs(paths)]
            if not follow or all(report.is_over for report in reports):
                break
            time.sleep(0.5)
    if as_json:
        output.print_json({"runs": [report.as_json() for report in reports]})
    else:
        _print(reports)
    if any(report.error for report in reports):
        raise typer.Exit(exits.FAILED)


def _runs(paths: Sequence[Path] | None) -> list[RunDirectory]:
    """The runs of the paths, or of the usual directory. Raises `NotFound` for a path that is none:
    where it has a mistake in it, nothing has been sent."""
    if not paths:
        return list(run_directory.directories(run_directory.runs_dir()))
    for path in paths:
        if not path.is_dir():
            reason = "is not a directory" if path.exists() else "is not there"
            raise errors.NotFound(404, "Not found", f"{path} {reason}; nothing was sent")
    return [run for path in paths for run in run_directory.directories(path)]


def _print(reports: Sequence[Report]) -> None:
    """A row for each run that something happened to; the others are counted."""
    told = [report for report in reports if report.sent_bytes or report.error or not report.is_over]
    output.print_table(
        ("run", "sent", "state"),
        (
            (report.name, f"{report.sent_bytes} B", report.error or _state(report))
            for report in told
        ),
    )
    others = len(reports) - len(told)
    if others:
        typer.echo(f"{others} {'runs were' if others > 1 else 'run was'} at the server already")
    elif not reports:
        typer.echo("there are no runs to send")


def _state(report: Report) -> str:
    goes_on = not report.is_over and report.state == "sent"
    return "sent so far; the run goes on" if goes_on else report.state
