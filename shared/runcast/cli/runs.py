"""`runcast runs`: lists, shows, cancels, retries and exports runs."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runcast import errors
from runcast._recording import run_directory
from runcast._support import times
from runcast.cli import completion, finding, offline, output
from runcast.cli.context import Context, connect, named_project, project_or_default, server_of
from runcast.cli.table import Column

if TYPE_CHECKING:
    from runcast.client.clients import Client

app = typer.Typer(no_args_is_help=True, help="List, show, cancel, retry and export runs.")

Run = Annotated[
    str, typer.Argument(metavar="RUN", help=output.RUN_HELP, autocompletion=completion.runs)
]
COLUMNS = (
    Column("#", drops=2),
    Column("project", shrinks=True, drops=3),
    Column("run", shrinks=True),
    Column("status"),
    Column("step", shrinks=True, drops=5),
    Column("name", shrinks=True, drops=1),
    Column("lines", drops=4),
    Column("created"),
)


NEEDS = "permission,question,plan,error,budget"
"""What of a run's attention needs a person; one that is idle only rests."""


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="runs", rich_help_panel="Runs")


@app.command()
def ls(
    ctx: Context,
    project: output.Project = None,
    status: Annotated[
        str | None,
        typer.Option(help="Only runs of this status.", autocompletion=completion.statuses),
    ] = None,
    search: Annotated[
        str | None, typer.Option("--search", "-s", help="Words in id, key, name, agent or step.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="Maximum number to list.")
    ] = 20,
    attention: Annotated[
        bool, typer.Option("--attention", help="Only runs that need a person.")
    ] = False,
    everywhere: Annotated[
        bool, typer.Option("--all", "-A", help="Of all projects, also with RUNCAST_PROJECT.")
    ] = False,
    directory: output.RunsDir = None,
    as_json: output.AsJson = False,
) -> None:
    """List runs, newest first: a project's, or all that you may see.

    On a terminal a row is a line that fits it: ids are shown by their last eight characters, by which
    other commands find them. Elsewhere nothing is cut. A run that nothing is heard of says so.

    Without a server, those of the local directory of runs.

    Examples:

    runcast runs ls -s "nightly coder"

    runcast runs ls -p demo --status running --json

    runcast runs ls --attention
    """
    names: dict[str, str] = {}
    if directory is None and server_of(ctx) is not None:
        where = None if everywhere else project or named_project()
        with connect(ctx) as client:
            needs = NEEDS if attention else None
            page: Mapping[str, Any] = client.list_runs(
                where, status=status, q=search, limit=limit, attention=needs
            )
            if not as_json and len({run["project_id"] for run in page["runs"]}) > 1:
                names = {each["id"]: each["slug"] for each in client.iter_projects()}
    elif attention:
        raise typer.BadParameter("only a server knows what waits", param_hint="--attention")
    else:
        page = offline.list_runs(run_directory.runs_dir(directory), status, search, limit)
    if as_json:
        output.print_json(page)
        return
    output.print_table(COLUMNS, [_row(run, names) for run in page["runs"]])
    if page["total"] > len(page["runs"]):
        output.say(f"{len(page['runs'])} of {page['total']:,} (-n shows more, -s searches)")


def _row(run: Mapping[str, Any], names: dict[str, str]) -> tuple[Any, ...]:
    is_shown_short = output.terminal_width() is not None
    liveness = run.get("liveness")
    status = run["status"]
    if status == "running" and liveness in ("stalled", "lost"):
        status = f"{status} ({liveness})"
    elif kind := (run.get("attention") or {}).get("kind"):
        status = f"{status} ({kind})"
    return (
        run.get("number"),
        names.get(run.get("project_id", "")),
        run.get("key") or (f"…{run['id'][-8:]}" if is_shown_short else run["id"]),
        status,
        run.get("current_step"),
        run.get("name"),
        run.get("last_line_number"),
        relative(run["created_at"]) if is_shown_short else run["created_at"],
    )


def relative(moment: str) -> str:
    """How long ago a time is, as `5m`; a date where that is longer than a week."""
    seconds = (times.now() - times.parse(moment)).total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return moment[:10] if seconds > 7 * 86_400 else f"{int(seconds // size)}{unit} ago"
    return f"{max(int(seconds), 0)}s ago"


@app.command()
def show(
    ctx: Context,
    run: Run,
    project: output.Project = None,
    directory: output.RunsDir = None,
    as_json: output.AsJson = False,
) -> None:
    """Show a run and its artifacts.

    Example:

    runcast runs show nightly -p demo
    """
    if directory is None and server_of(ctx) is not None:
        with connect(ctx) as client:
            found = finding.find_run(client, run, project)
    else:
        found = offline.show_run(run_directory.runs_dir(directory), run)
    if as_json:
        output.print_json(found)
        return
    kept = found.get("artifacts", [])
    output.print_fields({name: value for name, value in found.items() if name != "artifacts"})
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
        _print_run(client.cancel_run(finding.find_run(client, run, project)["id"]), as_json)


@app.command()
def retry(
    ctx: Context, run: Run, project: output.Project = None, as_json: output.AsJson = False
) -> None:
    """Queue a run again, as a new attempt linked to the old one."""
    with connect(ctx) as client:
        _print_run(client.retry_run(finding.find_run(client, run, project)["id"]), as_json)


@app.command()
def export(
    ctx: Context,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN",
            help=output.RUN_HELP,
            show_default=False,
            autocompletion=completion.runs,
        ),
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

    Examples:

    runcast runs export nightly -o nightly.zip

    runcast runs export --all -o demo.parquet
    """
    if (run is None) != every:
        raise typer.BadParameter("name a run, or --all for the project's runs")
    with connect(ctx, patient=True) as client:
        if run is None:
            project = project_or_default(project)
        else:
            found = finding.find_run(client, run, project)
            run, project = found["id"], None
            target = target or Path(found["key"] or found["id"])
        target = target or Path(project or "runs")
        if target.exists():
            raise errors.RuncastError(f"{target} is there already")
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
    if not target.absolute().parent.is_dir():
        raise errors.NotFound(404, "Not found", f"there is no directory {target.absolute().parent}")
    with tempfile.TemporaryDirectory(dir=target.absolute().parent) as draft:
        packed, folder = Path(draft) / "export.zip", Path(draft) / "export"
        _download(client, run, project, packed)
        shutil.unpack_archive(packed, folder)
        folder.rename(target)


def _print_run(run: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        output.print_json(run)
    else:
        name = run.get("key") or run["id"]
        output.print_line(output.shown(name), output.status(run["status"]))
