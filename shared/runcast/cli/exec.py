"""`runcast exec`: a command as a run."""

import importlib
import logging
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from runcast import RunTracker, errors
from runcast._recording.run_directory import runs_dir as resolved_runs_dir
from runcast._support.server_config import Connection
from runcast._support.terminal import LineSplitter
from runcast.agents.streams import programs
from runcast.cli import exits, output
from runcast.cli.child import Child, Ended
from runcast.cli.context import Context, options, server_of
from runcast.cli.jobs import explain
from runcast.cli.passed_signals import PassedSignals
from runcast.tracker import End

if TYPE_CHECKING:
    from runcast.cli.agent_output import AgentOutput

HEARTBEAT_SECONDS = 5.0


def register(app: typer.Typer) -> None:
    app.command(
        "exec",
        context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
        rich_help_panel="Runs",
        epilog="Exits with the command's own code (128 + n after signal n, 127 if it isn't found).",
    )(exec_)


def exec_(
    ctx: Context,
    command: Annotated[list[str], typer.Argument(help="The command and its arguments.")],
    project: Annotated[
        str | None,
        typer.Option("--project", "-p", help="Slug or id.  [RUNCAST_PROJECT, default]"),
    ] = None,
    run: Annotated[
        str | None, typer.Option("--run", help="The run's id or key; else a new id.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What to call the run; else the command.")
    ] = None,
    runs_dir: Annotated[
        str | None, typer.Option(help="Where runs' files go.  [RUNCAST_RUNS_DIR, runs]")
    ] = None,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="Also write logs.jsonl.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only write files; `runcast sync` sends them later.")
    ] = False,
    splits: Annotated[
        bool,
        typer.Option(
            "--split",
            help="Tell stderr from stdout also where both go to the same place. "
            "Their lines may then change order.",
        ),
    ] = False,
    agent: Annotated[
        str,
        typer.Option(
            help="Whose JSON the command prints: auto (its first line says), none, "
            f"or {', '.join(programs.PROGRAMS)}."
        ),
    ] = programs.AUTO,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say nothing of our own on the terminal.")
    ] = False,
) -> None:
    """Run a command as a run: streams its output and exits with its exit code.

    Files come first (runs/<run>/), a server gets them live if there is one. Without a terminal
    nothing of our own is printed, unless something did not reach the server. An agent that prints its
    records as JSON (claude -p --output-format stream-json, codex exec --json …) is recorded as what it says
    and does, with its tokens, its sub-agents and how it ended.

    Examples:

    runcast exec -- make test

    runcast exec -p demo --run nightly -- ./agent.sh

    runcast exec -- codex exec --json "fix the login test"
    """
    if agent not in programs.CHOICES:
        raise typer.BadParameter(
            f"{agent!r} is not one of {', '.join(programs.CHOICES)}", param_hint="--agent"
        )
    says = sys.stderr.isatty() and not quiet
    _tell_on_terminal_only(says)
    server = _server(ctx)
    program = _program(agent, command)
    tracker = RunTracker(
        run,
        project=project,
        runs_dir=runs_dir,
        json_logs=json_logs,
        name=name or shlex.join(command)[:200],
        agent_type="WORKER",
        agent_name=program,
        metadata={"agent": {"program": program}} if program else None,
        steps=["command"],
        input={"command": command, "directory": _directory()},
        url=server.url if server else None,
        token=server.token if server else None,
        offline=offline or server is None,
        heartbeat_seconds=HEARTBEAT_SECONDS,
        join=False,
    )
    tracker._session.feeds_later = True  # what that takes is imported while the command starts
    with PassedSignals() as signals:
        tracker.start()
        _tell_begun(tracker, says=says)
        given = {
            "RUNCAST_RUN_ID": tracker.run_id,
            "RUNCAST_RUNS_DIR": runs_dir and str(resolved_runs_dir(runs_dir)),
            "RUNCAST_PROJECT": project,
            "RUNCAST_URL": options(ctx).url,
            "RUNCAST_TOKEN": options(ctx).token,
        }
        code = _run(tracker, command, _environment(given), agent, signals, splits=splits)
    if tracker.unsent_bytes and not says:
        # Also where nothing else is said: the disk of a job that ran this may be gone soon.
        output.say(
            f"runcast: {tracker.unsent_bytes:,} bytes of the run are not at the server; "
            f"they are in {tracker.directory} (later: runcast sync)"
        )
    raise typer.Exit(code)


def _tell_begun(tracker: RunTracker, *, says: bool) -> None:
    if says and tracker.run_id is None:
        output.say("runcast: the command is not recorded: its run could not be begun")
    elif says:
        output.say(f"runcast: {tracker.directory} · {tracker.url or 'no server'}")


def _run(
    tracker: RunTracker,
    command: list[str],
    environ: dict[str, str],
    agent: str,
    signals: PassedSignals,
    *,
    splits: bool,
) -> int:
    errors_splitter = LineSplitter()
    said: AgentOutput

    def begin() -> None:
        nonlocal said
        tracker._session.feed()
        module = importlib.import_module("runcast.cli.agent_output")
        said = module.AgentOutput(tracker, command, agent)

    def listen(source: str, data: bytes) -> None:
        if source == said.source:
            said.feed(data)
        elif lines := errors_splitter.feed(data):
            tracker.lines(source, lines)

    if (
        number := signals.stop
    ) is not None:  # there is no command yet that it could be passed on to
        signals.release()
        tracker._session.feed()
        code = 128 + number
        tracker.finish("cancelled", _signal_name(number), result={"exit_code": code})
        return code
    try:
        child = Child(command, environ, listen, signals, splits=splits)
    except OSError as error:
        signals.release()
        tracker._session.feed()
        reason, code = explain(error, command[0])
        typer.echo(f"runcast: {reason}", err=True)
        tracker.finish("failed", reason, result={"exit_code": code})
        return code
    try:
        ended = child.run(lambda: tracker.cancelled, begin)
    finally:
        signals.release()
    said.finish()
    if lines := errors_splitter.finish():
        tracker.lines("stderr", lines)
    status, cause = _outcome(ended, said.error)
    tracker.finish(status, cause, result={"exit_code": ended.exit_code})
    if ended.trouble is not None:
        # The command couldn't see it: its own write had already gone well.
        typer.echo(f"runcast: output was lost: {ended.trouble.strerror}", err=True)
        return ended.exit_code or exits.FAILED
    return ended.exit_code


def _program(agent: str, command: list[str]) -> str | None:
    """Which agent the command starts, as far as it is known before it says something."""
    if agent == programs.NONE:
        return None
    return programs.program_of(command) if agent == programs.AUTO else agent


def _outcome(ended: Ended, error: str | None) -> tuple[End, str | None]:
    """How the run ended. An agent that says that it has failed has, whatever its exit code."""
    if ended.exit_code == exits.OK:
        return ("completed", None) if error is None else ("failed", error)
    reason = _signal_name(ended.signal) if ended.signal else f"exit code {ended.exit_code}"
    reason = reason if error is None else f"{error} ({reason})"
    is_stopped = ended.was_stopped or ended.signal == signal.SIGINT
    return ("cancelled" if is_stopped else "failed"), reason


def _signal_name(number: int) -> str:
    """Most real-time signals have no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _server(ctx: Context) -> Connection | None:
    """A mistake in its URL doesn't keep the command from running."""
    try:
        return server_of(ctx)
    except errors.NotConfigured as error:
        output.say(f"runcast: {error}; the run is recorded in files alone")
        return None


def _directory() -> str | None:
    """Where we are; a directory can be deleted with someone in it."""
    try:
        return os.getcwd()
    except OSError:
        return None


def _environment(given: Mapping[str, str | None]) -> dict[str, str]:
    """The command learns its run, and what we were given to find it; Python programs don't keep
    their lines in a buffer."""
    more = {name: value for name, value in given.items() if value}
    return {"PYTHONUNBUFFERED": "1", **os.environ, **more}


def _tell_on_terminal_only(says: bool) -> None:
    """stderr belongs to the command where it isn't a terminal."""
    logger = logging.getLogger("runcast")
    logger.propagate = False
    handler: logging.Handler = logging.StreamHandler() if says else logging.NullHandler()
    handler.setFormatter(logging.Formatter("\x1b[2mruncast: %(message)s\x1b[0m"))
    logger.handlers[:] = [handler]
