"""`runcast keys`: the API keys of a project, and those of administrators."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from runcast.cli import output
from runcast.cli.context import Context, connect, project_or_default

app = typer.Typer(no_args_is_help=True, help="List, create, rotate and revoke API keys.")

Key = Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")]
Days = Annotated[float | None, typer.Option("--expires-in-days", help="Then it ends by itself.")]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="keys", rich_help_panel="People")


@app.command()
def ls(
    ctx: Context,
    project: output.Project = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All keys of the server, for administrators.")
    ] = False,
    as_json: output.AsJson = False,
) -> None:
    """List the keys that are good.

    Examples:

    runcast keys ls -p demo

    runcast keys ls --all
    """
    with connect(ctx) as client:
        if everything:
            keys = list(client.iter_all_keys())
        else:
            keys = client.list_keys(project_or_default(project))["keys"]
    if as_json:
        output.print_json({"keys": keys})
        return
    output.print_table(
        ("id", "name", "may", "last used", "expires"),
        ((k["id"], k["name"], _may(k), k["last_used_at"], k["expires_at"]) for k in keys),
    )


@app.command()
def create(
    ctx: Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.")],
    project: output.Project = None,
    role: Annotated[str, typer.Option(help="owner, editor, reporter or viewer.")] = "reporter",
    worker: Annotated[
        bool, typer.Option("--worker", help="May also report worker status and runtime events.")
    ] = False,
    admin: Annotated[
        bool, typer.Option("--admin", help="An administrator's key instead of a project's.")
    ] = False,
    expires_in_days: Days = None,
    as_json: output.AsJson = False,
) -> None:
    """Make a key and print its token: this once, it is stored nowhere.

    Examples:

    runcast keys create ci -p demo

    runcast keys create backup --admin
    """
    expires_at = _after(expires_in_days)
    with connect(ctx) as client:
        if admin:
            made = client.create_admin_key(name, expires_at=expires_at)
        else:
            scopes = ["worker"] if worker else None
            place = project_or_default(project)
            made = client.create_key(place, name, role, scopes=scopes, expires_at=expires_at)
    _print_token(made, as_json)


@app.command()
def rotate(
    ctx: Context,
    key: Key,
    overlap_seconds: Annotated[
        float, typer.Option("--overlap-seconds", help="How long the old one works on.")
    ] = 3600.0,
    as_json: output.AsJson = False,
) -> None:
    """Make a successor of a key and print its token; the old one works on for a while."""
    with connect(ctx) as client:
        made = client.rotate_key(key, overlap_s=overlap_seconds)
    _print_token(made, as_json)


@app.command()
def rm(ctx: Context, key: Key) -> None:
    """Revoke a key: it is good for nothing at once, and its streams end within seconds."""
    with connect(ctx) as client:
        client.delete_key(key)


def _after(days: float | None) -> str | None:
    return None if days is None else (datetime.now(UTC) + timedelta(days=days)).isoformat()


def _may(key: Mapping[str, Any]) -> str:
    return "everything" if key["is_admin"] else " ".join([key["role"], *key["scopes"]])


def _print_token(made: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        output.print_json(made)
    else:
        typer.echo(made["token"])
