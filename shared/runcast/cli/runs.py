"""`runcast runs`: lists, shows, cancels, retries and exports runs."""

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runcast import errors
from runcast._recording import run_directory
from runcast.cli import offline, output
from runcast.cli.context import Context, connect, project_of, project_or_default, server_of

if TYPE_CHECKING:
    from runcast.client.clients import Client

app = typer.Typer(no_args_is_help=True, help="List, show, cancel, retry and export runs.")

Run = Annotated[str, typer.Argument(metavar="RUN", help="The run's id or key.")]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="runs", rich_help_panel="Runs")


@app.command()
def ls(
    ctx: Context,
    project: output.Project = None,
    status: Annotated[str | None, typer.Option(help="Only runs of this status.")] = None,
    search: Annotated[
        str | None, typer.Option("--search", "-s", help="Words in id, key, name, agent or step.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most so many.")] = 20,
    directory: output.RunsDir = None,
    as_json: output.AsJson = False,
) -> None:
    """List runs, newest first: a project's, or all that you may see.

    Without a server, those of the local directory of runs.

    Examples:  runcast runs ls -s "nightly coder"  |  runcast runs ls -p demo --status running --json
    """
    if directory is None and server_of(ctx) is not None:
        with connect(ctx) as client:
            page = client.list_runs(project, status=status, q=search, limit=limit)
    else:
        page = offline.list_runs(run_directory.runs_dir(directory), status, search, limit)
    if as_json:
        output.print_json(page)
        return
    output.print_table(
        ("run", "status", "step", "name", "lines", "created"),
        (
            (
                run.get("key") or run["id"],
                run["status"],
                run.get("current_step"),
                run.get("name"),
                run.get("last_line_number"),
                run["created_at"],
            )
            for run in page["runs"]
        ),
    )


@app.command()
def show(
    ctx: Context,
    run: Run,
    project: output.Project = None,
    directory: output.RunsDir = None,
    as_json: output.AsJson = False,
) -> None:
    """Show a run and its artifacts.

    Example:  runcast runs show nightly -p demo
    """
    if directory is None and server_of(ctx) is not None:
        with connect(ctx) as client:
            found = client.get_run(run, project=project_of(run, project))
    else:
        found = offline.show_run(run_directory.runs_dir(directory), run)
    if as_json:
        output.print_json(found)
        return
    kept = found.pop("artifacts", [])
    output.print_fields(found)
    if kept:
        typer.echo()
        output.print_table(
            ("artifact", "version", "type", "size"),
            ((a["step_name"], a["version"], a["media_type"], a["size"]) for a in kept),
        )


@app.command()
def cancel(
    ctx: Context, run: Run, project: output.Project = None, as_json: output.AsJson = False
) -> None:
    """Cancel a run; its worker learns it within seconds. A run that is over stays as it is."""
    with connect(ctx) as client:
        _print_run(client.cancel_run(run, project=project_of(run, project)), as_json)


@app.command()
def retry(
    ctx: Context, run: Run, project: output.Project = None, as_json: output.AsJson = False
) -> None:
    """Queue a run again, as a new attempt linked to the old one."""
    with connect(ctx) as client:
        _print_run(client.retry_run(run, project=project_of(run, project)), as_json)


@app.command()
def export(
    ctx: Context,
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="The run's id or key.", show_default=False)
    ] = None,
    target: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .zip, .ndjson or .parquet file, or a directory."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All runs of the project, instead of one.")
    ] = False,
    project: output.Project = None,
    as_json: output.AsJson = False,
) -> None:
    """Write a run's record, log, events and artifacts to a file or a directory.

    The ending of the file says which: .zip, .ndjson or .parquet (events and lines alone). With --all it is
    the whole project.

    Examples:  runcast runs export nightly -o nightly.zip  |  runcast runs export --all -o demo.parquet
    """
    if (run is None) != every:
        raise typer.BadParameter("name a run, or --all for the project's runs")
    project = project_or_default(project) if run is None else project_of(run, project)
    target = target or Path(run or project or "runs")
    if target.exists():
        raise errors.RuncastError(f"{target} is there already")
    with connect(ctx) as client:
        if target.suffix in _FORMATS:
            _download(client, run, project, target)
        else:
            _unpack(client, run, project, target)
    if as_json:
        output.print_json({"run": run, "project": project, "path": str(target)})
    else:
        typer.echo(str(target))


_FORMATS = {".zip": "zip", ".ndjson": "ndjson", ".parquet": "parquet"}


def _download(client: "Client", run: str | None, project: str | None, target: Path) -> None:
    format = _FORMATS[target.suffix]
    if run is None:
        client.export_project(target, project or "", format=format)
    else:
        client.export_run(target, run, project=project, format=format)


def _unpack(client: "Client", run: str | None, project: str | None, target: Path) -> None:
    """The zip as a directory, which is there whole or not at all."""
    with tempfile.TemporaryDirectory(dir=target.absolute().parent) as draft:
        packed, folder = Path(draft) / "export.zip", Path(draft) / "export"
        _download(client, run, project, packed)
        shutil.unpack_archive(packed, folder)
        folder.rename(target)


def _print_run(run: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.print_json(run)
    else:
        name = run.get("key") or run["id"]
        output.console().print(output.cell(name), output.cell(run["status"]))
