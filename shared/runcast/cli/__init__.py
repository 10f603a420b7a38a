"""The `runcast` program: one file for each group of commands, all of them registered here.

Other packages add theirs through the entry point group `runcast.commands`, each a
`register(app: typer.Typer) -> None`. They are loaded only when none of our own is asked for, so
that `runcast exec` starts without the servers' libraries.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated

import typer

from runcast import errors
from runcast.cli import (
    artifacts,
    demo,
    doctor,
    events,
    exec,
    exits,
    keys,
    logs,
    runs,
    sync,
    tasks,
    token,
    users,
    verify,
    wait,
)
from runcast.cli.context import Context, Options

Register = Callable[[typer.Typer], None]

REGISTERED: tuple[Register, ...] = (
    exec.register,
    logs.register,
    events.register,
    runs.register,
    artifacts.register,
    tasks.register,
    verify.register,
    wait.register,
    sync.register,
    demo.register,
    token.register,
    users.register,
    keys.register,
    doctor.register,
)


def main() -> None:
    """The program. Errors are one line on stderr and an exit code (`exits`), not a traceback."""
    try:
        build(sys.argv[1:])()
    except errors.RuncastError as error:
        typer.secho(f"runcast: {error}", err=True, fg="red")
        for each in getattr(error, "errors", []):
            typer.secho(f"  {each.get('field', '')}: {each.get('message', each)}", err=True)
        sys.exit(exits.of(error))
    except ModuleNotFoundError as error:
        # The servers' commands load their libraries when they run.
        if (error.name or "").startswith("runcast"):
            raise
        typer.secho(
            f"runcast: {error.name} is not installed; for servers: pip install 'runcast[embedded]'",
            err=True,
            fg="red",
        )
        sys.exit(exits.USAGE)


def build(arguments: Sequence[str]) -> typer.Typer:
    """The program's commands, as far as these arguments may need them."""
    app = typer.Typer(
        name="runcast",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_before)
    for register in REGISTERED:
        register(app)
    own = {command.name for command in app.registered_commands}
    own |= {group.name for group in app.registered_groups}
    if _asked(arguments) not in own:
        for entry in entry_points(group="runcast.commands"):
            _load(app, entry)
    return app


def _print_version(is_asked: bool | None) -> None:
    if is_asked:
        typer.echo(f"runcast {version('runcast')}")
        raise typer.Exit


def _before(
    ctx: Context,
    url: Annotated[
        str | None, typer.Option(help="The server.  [RUNCAST_URL, the local server's]")
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="A token.  [RUNCAST_TOKEN, the local server's]")
    ] = None,
    _: Annotated[
        bool | None,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = None,
) -> None:
    """Every run of your agents, live, and no line lost.

    Start a server with `runcast up`, run something with `runcast exec -- COMMAND`, and watch it
    with `runcast logs -f RUN` or in a browser.
    """
    ctx.obj = Options(url, token)


def _asked(arguments: Sequence[str]) -> str | None:
    """The command among the arguments, if one can be told without parsing them."""
    takes_value = False
    for argument in arguments:
        if takes_value:
            takes_value = False
        elif argument in ("--url", "--token"):
            takes_value = True
        elif not argument.startswith("-"):
            return argument
    return None


def _load(app: typer.Typer, entry: EntryPoint) -> None:
    """Adds a package's commands; one whose libraries are missing is left out."""
    try:
        entry.load()(app)
    except ModuleNotFoundError as error:
        typer.secho(f"runcast: commands of {entry.name} are left out: {error}", err=True, dim=True)
