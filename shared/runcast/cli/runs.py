"""`runcast runs`: lists, shows, cancels, retries and exports runs."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from runcast import errors
from runcast._recording import artifacts as artifact_files
from runcast._recording import run_directory
from runcast._support import encoding
from runcast.cli import offline, output
from runcast.cli.context import Context, connect, project_of, server_of
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
    run: Run,
    target: Annotated[
        Path | None, typer.Option("--output", "-o", help="Directory to write, or a .zip.")
    ] = None,
    project: output.Project = None,
    as_json: output.AsJson = False,
) -> None:
    """Write a run's record, log, events and artifacts to a directory or a zip.

    Example:  runcast runs export nightly -o nightly.zip
    """
    with connect(ctx) as client:
        found = client.get_run(run, project=project_of(run, project))
        target = target or Path(found.get("key") or found["id"])
        if target.exists():
            raise errors.RuncastError(f"{target} is there already")
        with tempfile.TemporaryDirectory(dir=target.absolute().parent) as draft:
            folder = Path(draft) / "run"
            folder.mkdir()
            _export(client, found, folder)
            if target.suffix == ".zip":
                shutil.make_archive(str(target.with_suffix("")), "zip", folder)
            else:
                folder.rename(target)
    if as_json:
        output.print_json({"run_id": found["id"], "path": str(target)})
    else:
        typer.echo(str(target))


def _export(client: Client, run: dict[str, Any], folder: Path) -> None:
    (folder / "run.json").write_bytes(encoding.encode(run))
    (folder / "logs.txt").write_text(client.log_text(run["id"]), encoding="utf-8", newline="")
    with (folder / "logs.ndjson").open("wb") as file:
        for entry in client.iter_logs(run["id"], limit=1_000):
            file.write(encoding.encode(entry) + b"\n")
    with (folder / "events.ndjson").open("wb") as file:
        events = client.iter_event_history(run["project_id"], run_id=run["id"], limit=1_000)
        for event in events:
            file.write(encoding.encode(event) + b"\n")
    for artifact in client.iter_artifacts(run["id"], versions="all"):
        step = folder / "artifacts" / artifact_files.folder_name(artifact["step_name"])
        step.mkdir(parents=True, exist_ok=True)
        extension = artifact_files.extension_of(artifact["media_type"])
        content = client.artifact_content(artifact["id"])
        (step / f"v{artifact['version']}{extension}").write_bytes(content)


def _print_run(run: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.print_json(run)
    else:
        name = run.get("key") or run["id"]
        output.console().print(output.cell(name), output.cell(run["status"]))
