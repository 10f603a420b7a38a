"""`runcast tail`: has files followed, with no program to ask for it."""

import glob
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runcast import errors
from runcast._support import acceptable
from runcast.cli import completion, exits, output
from runcast.cli.context import Context, connect, project_or_default
from runcast.cli.table import Column

if TYPE_CHECKING:
    from runcast.client.clients import Client

LOOK_SECONDS = 2.0
COLUMNS = (Column("run", shrinks=True), Column("file", shrinks=True), Column("state", shrinks=True))


def register(app: typer.Typer) -> None:
    app.command("tail", rich_help_panel="Runs")(tail)


def tail(
    ctx: Context,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH|GLOB...", help="Files, or quoted patterns.")
    ],
    project: Annotated[
        str | None,
        typer.Option("--project", "-p", help="Slug.", autocompletion=completion.projects),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="One run, by its key, for all files.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on, and add files that come.")
    ] = False,
    tz: Annotated[
        str | None,
        typer.Option(
            "--tz", metavar="ZONE", help="Of times without an offset in the files: Europe/Berlin."
        ),
    ] = None,
    as_json: output.AsJson = False,
) -> None:
    """Have the server's tailer follow files: each becomes a run, or all of them one.

    The tailer beside the files reads them; they have to lie beneath its TAIL_ROOTS. Asking again
    changes nothing. Exits with 1 if a file is refused, and says why.

    Examples:

    runcast tail /var/log/app/agent.log -p ops

    runcast tail '/var/log/agents/*.log' --watch
    """
    asked: set[str] = set()
    is_whole = True
    with connect(ctx, patient=True) as client:
        where = project_or_default(project)
        while True:
            new = [path for path in _files(paths) if path not in asked]
            asked.update(new)
            told = [_follow(client, where, path, run, tz) for path in new]
            is_whole = is_whole and all(each["state"] == "followed" for each in told)
            _print(told, as_json)
            if not watch:
                break
            time.sleep(LOOK_SECONDS)
    if not asked:
        raise errors.NotFound(404, "Not found", f"no file matches {' '.join(paths)}")
    if not is_whole:
        raise typer.Exit(exits.FAILED)


def _files(paths: Iterable[str]) -> list[str]:
    """The files that are meant, whole paths. One that is no pattern need not be there yet."""
    found: list[str] = []
    for path in paths:
        whole = os.path.abspath(path)
        is_pattern = glob.has_magic(path) and not os.path.lexists(path)
        found += (
            sorted(filter(os.path.isfile, glob.glob(whole, recursive=True)))
            if is_pattern
            else [whole]
        )
    return list(dict.fromkeys(found))


def _follow(
    client: "Client", project: str, path: str, run: str | None, zone: str | None
) -> dict[str, Any]:
    """Asks for one file; what the server refuses is told of it alone."""
    key = acceptable.key(run or path.strip("/"))
    told = {"run": key, "file": path, "state": "followed"}
    try:
        run_id = _run(client, project, key, run or path)
        source = acceptable.key(Path(path).name) if run else None
        client.start_tail(run_id, path, source=source, zone=zone)
    except errors.ApiError as error:
        if isinstance(error, errors.Unauthorized):
            raise
        reasons = [str(each.get("message")) for each in error.errors]
        told["state"] = "; ".join(reasons) or error.detail or error.title
    return told


def _run(client: "Client", project: str, key: str, name: str) -> str:
    """The id of the run of this key, made if it isn't there."""
    try:
        return str(client.get_run(key, project=project)["id"])
    except errors.NotFound:
        made = client.create_run(project, key=key, name=acceptable.title(name), status="running")
        return str(made["id"])


def _print(told: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for each in told:
            output.print_json_line(each)
    elif told:
        output.print_table(COLUMNS, [(each["run"], each["file"], each["state"]) for each in told])
