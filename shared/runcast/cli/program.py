"""The program's commands: one file for each group of them, all of them named here.

A file is imported when its command is asked for, or when all of them are to be shown, so that
`runcast exec` starts without what the others need. Other packages add theirs through the entry point
group `runcast.commands`, each a `register(app: typer.Typer) -> None`; they too are loaded only when
none of our own is asked for.
"""

import copy
import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from runcast.cli import failures, finding
from runcast.cli.context import Context, Options
from runcast.cli.plain_values import take_plain_values

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

COMMANDS = (
    "exec",
    "logs",
    "events",
    "runs",
    "artifacts",
    "tasks",
    "verify",
    "wait",
    "sync",
    "prune",
    "tail",
    "demo",
    "token",
    "users",
    "keys",
    "doctor",
    "inbox",
    "answer",
    "connect",
    "away",
    "say",
    "mcp",
    "acp",
    "usage",
    "watch",
)
"""Each is a module of `runcast.cli` with a `register`, which adds the command of that name."""

HELP = ("-h", "--help")
EVERYWHERE = ("url", "token")
"""Options that may stand before the command and behind it."""


def run(arguments: Sequence[str]) -> int:
    """Runs a command line to its end; answers the exit code."""
    arguments = _with_last(arguments)
    # httpx has a command line of its own, and imports rich, pygments and click for it where it can.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    try:
        code = build(arguments)(args=list(arguments), prog_name="runcast", standalone_mode=False)
        sys.stdout.flush()
    except BaseException as error:  # the program's outermost line
        return failures.outcome(error)
    return code if isinstance(code, int) else 0


def build(arguments: Sequence[str]) -> TyperGroup:
    """The program's commands, as far as these arguments may need them."""
    app = typer.Typer(
        name="runcast",
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": list(HELP)},
    )
    app.callback()(_before)
    asked = _asked(arguments)
    for name in (asked,) if asked in COMMANDS else COMMANDS:
        importlib.import_module(f"runcast.cli.{name}").register(app)
    if asked not in COMMANDS:
        for entry in importlib.import_module("importlib.metadata").entry_points(
            group="runcast.commands"
        ):
            _load(app, entry)
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    _spread(group, [each for each in group.params if each.name in EVERYWHERE])
    take_plain_values(group, HELP)
    return group


def _with_last(arguments: Sequence[str]) -> list[str]:
    """`--last` where a run is named is the run `@last`: it may stand wherever a run may."""
    names_runs = _asked(arguments) in ("logs", "wait", "runs", "artifacts")
    return [finding.LAST if names_runs and each == "--last" else each for each in arguments]


def _spread(group: TyperGroup, options: Sequence[Any]) -> None:
    """Gives every command the options that name the server; what stands behind it wins."""
    for command in group.commands.values():
        if isinstance(command, TyperGroup):
            _spread(command, options)
            continue
        for param in command.params:
            if getattr(param, "is_flag", False):
                param.metavar = ""  # a flag takes no `<bool>`
        taken = {name for param in command.params for name in param.opts}
        for option in options:
            if taken.isdisjoint(option.opts):
                spread = copy.copy(option)
                spread.expose_value, spread.callback = False, _remember
                command.params.append(spread)


def _remember(ctx: Context, param: Any, value: str | None) -> None:
    if value is not None:
        found = ctx.find_root().obj or Options()
        ctx.find_root().obj = ctx.obj = Options(
            **{"url": found.url, "token": found.token, param.name: value}
        )


def _print_version(is_asked: bool | None) -> None:
    if is_asked:
        version = importlib.import_module("importlib.metadata").version("runcast")
        typer.echo(f"runcast {version}")
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
    with `runcast logs -f RUN` or in a browser. `runcast --install-completion` teaches your shell
    the commands and the names of your runs.
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


def _load(app: typer.Typer, entry: "EntryPoint") -> None:
    """Adds a package's commands; one whose libraries are missing is left out."""
    try:
        entry.load()(app)
    except ModuleNotFoundError as error:
        typer.secho(f"runcast: commands of {entry.name} are left out: {error}", err=True, dim=True)
