"""`runcast users`: the people of a server, as its administrators manage them."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from runcast import errors
from runcast._support.acceptable import as_uuid
from runcast.cli import output
from runcast.cli.context import Context, connect
from runcast.client.clients import Client

app = typer.Typer(no_args_is_help=True, help="List, create, invite and disable people.")

User = Annotated[str, typer.Argument(metavar="USER", help="E-mail address or id.")]
Email = Annotated[str, typer.Argument(metavar="EMAIL", help="E-mail address.")]


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="users", rich_help_panel="People")


@app.command()
def ls(ctx: Context, as_json: output.AsJson = False) -> None:
    """List people, newest first.

    Example:

    runcast users ls --json
    """
    with connect(ctx) as client:
        users = list(client.iter_users())
    if as_json:
        output.print_json({"users": users})
        return
    output.print_table(
        ("email", "name", "kind", "last sign-in", "id"),
        (
            (u["email"] or u["subject"], u["name"], _kind(u), u["last_sign_in_at"], u["id"])
            for u in users
        ),
    )


@app.command()
def create(
    ctx: Context,
    email: Email,
    name: Annotated[str | None, typer.Option(help="The address, if left out.")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="Make an administrator.")] = False,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read a password from standard input.")
    ] = False,
    as_json: output.AsJson = False,
) -> None:
    """Make an account. Without a password, a link is printed that signs in once.

    Example:

    runcast users create ann@example.org --admin
    """
    password = sys.stdin.readline().rstrip("\n") if password_stdin else None
    with connect(ctx) as client:
        made = client.create_user(email, name or email, password=password, is_admin=admin)
    link = made["sign_in_link"]
    if as_json:
        output.print_json(made)
    else:
        typer.echo(link["url"] if link else made["id"])


@app.command()
def invite(
    ctx: Context,
    email: Email,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="Slug or id; none: to the server only.")
    ] = None,
    role: Annotated[str, typer.Option(help="owner, editor, reporter or viewer.")] = "viewer",
    as_json: output.AsJson = False,
) -> None:
    """Print a link by which this address makes its account, or joins a project.

    Example:

    runcast users invite ann@example.org -p demo --role editor
    """
    with connect(ctx) as client:
        made = client.invite(email, project=project, role=role)
    if as_json:
        output.print_json(made)
    else:
        typer.echo(made["url"])


@app.command()
def link(ctx: Context, user: User, as_json: output.AsJson = False) -> None:
    """Print a link that signs someone in, once, within a day: for a forgotten password."""
    with connect(ctx) as client:
        made = client.create_sign_in_link(_id_of(client, user))
    if as_json:
        output.print_json(made)
    else:
        typer.echo(made["url"])


@app.command()
def disable(ctx: Context, user: User, as_json: output.AsJson = False) -> None:
    """Shut an account: its sessions and streams end within seconds."""
    _update(ctx, user, as_json, is_disabled=True)


@app.command()
def enable(ctx: Context, user: User, as_json: output.AsJson = False) -> None:
    """Open an account again."""
    _update(ctx, user, as_json, is_disabled=False)


def _update(ctx: Context, user: str, as_json: bool, **fields: Any) -> None:
    with connect(ctx) as client:
        changed = client.update_user(_id_of(client, user), **fields)
    if as_json:
        output.print_json(changed)
    else:
        output.print_fields(changed)


def _id_of(client: Client, user: str) -> str:
    """Raises `RuncastError` where no one has the address."""
    if as_uuid(user):
        return user
    for each in client.iter_users():
        if each["email"] == user.strip().lower():
            return str(each["id"])
    raise errors.RuncastError(f"no one has the address {user}")


def _kind(user: Mapping[str, Any]) -> str:
    return "disabled" if user["is_disabled"] else "admin" if user["is_admin"] else "user"
