"""`runcast acp`: an editor's agent, seen while they talk."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from runcast import RunTracker, errors
from runcast._recording import run_directory
from runcast._support.server_config import Connection
from runcast.agents.acp import PROGRAM, Asked, Conversation, permission_response
from runcast.asking import Answer
from runcast.cli import output
from runcast.cli.acp_lines import Lines
from runcast.cli.acp_sessions import Sessions
from runcast.cli.acp_tee import Listener, Tee
from runcast.cli.context import Context, server_of
from runcast.cli.jobs import explain
from runcast.cli.passed_signals import PassedSignals
from runcast.tracker import End

logger = logging.getLogger("runcast")

HEARTBEAT_SECONDS = 5.0


def register(app: typer.Typer) -> None:
    app.command(
        "acp",
        context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
        rich_help_panel="Agents",
        epilog="Exits with the agent's own code.",
    )(acp)


def acp(
    ctx: Context,
    command: Annotated[list[str], typer.Argument(help="The agent and its arguments.")],
    project: output.Project = None,
    answers: Annotated[
        bool,
        typer.Option(
            "--answers",
            help="People may answer permissions at the server; the editor's dialog stays open.",
        ),
    ] = False,
    runs_dir: Annotated[
        str | None, typer.Option(help="Where runs' files go.  [RUNCAST_RUNS_DIR, runs]")
    ] = None,
) -> None:
    """Stand between an editor and its agent, and record each session as a run.

    For editors that start agents by the Agent Client Protocol (Zed, JetBrains and others): put it before the
    agent's own command in their settings. Every byte is passed on unchanged. What the agent says, its tools,
    its plan and its usage become the run; a permission that it asks for becomes a question, which is over
    when you have answered it in the editor.

    Examples:

    runcast acp -- gemini --acp

    runcast acp --project demo --answers -- npx @zed-industries/claude-code-acp
    """
    server = _server(ctx)
    root = Path(run_directory.runs_dir(runs_dir))

    def make(key: str) -> RunTracker:
        return RunTracker(
            key,
            project=project,
            runs_dir=root,
            agent_type="SESSION",
            agent_name=PROGRAM,
            phase="session",
            steps=[],
            input={"command": command},
            url=server.url if server else None,
            token=server.token if server else None,
            offline=server is None,
            heartbeat_seconds=HEARTBEAT_SECONDS,
            join=False,
        )

    tees: list[Tee] = []

    def decide(asked: Asked, answer: Answer) -> None:
        response = permission_response(asked.request, answer.option)
        tees[0].answer(response, asked.permission)

    sessions = Sessions(make, server, root, decide if answers else None)
    listener = Listener(_hearing(sessions))
    with PassedSignals() as signals:
        try:
            tees.append(Tee(command, listener, signals, answers=answers))
        except OSError as error:
            reason, code = explain(error, command[0])
            typer.echo(f"runcast: {reason}", err=True)
            raise typer.Exit(code) from None
        code = tees[0].run()
    listener.finish()
    status, cause = _outcome(code)
    sessions.finish(status, cause)
    if listener.left_out:
        output.say(f"runcast: {listener.left_out:,} bytes passed too fast to be recorded")
    if unsent := sessions.unsent_bytes:
        output.say(f"runcast: {unsent:,} bytes are not at the server; they are in {root}")
    raise typer.Exit(code)


def _hearing(sessions: Sessions) -> Any:
    """What is told of each piece that passes."""
    of_agent, of_client = Lines(), Lines()
    conversation: Conversation = sessions.conversation

    def hear(is_agent: bool, data: bytes) -> None:
        lines, read = (
            (of_agent, conversation.from_agent)
            if is_agent
            else (of_client, conversation.from_client)
        )
        for message in lines.feed(data):
            try:
                for heard in read(message):
                    sessions.take(heard)
            except Exception:  # a message that can't be recorded costs no other one
                logger.warning("a message is not recorded", exc_info=True)

    return hear


def _outcome(code: int) -> tuple[End, str | None]:
    """An agent that an editor stops has done its work."""
    return ("completed", None) if code in (0, 129, 130, 143) else ("failed", f"exit code {code}")


def _server(ctx: Context) -> Connection | None:
    """A mistake in its URL doesn't keep the agent from running."""
    try:
        return server_of(ctx)
    except errors.NotConfigured as error:
        output.say(f"runcast: {error}; the sessions are recorded in files alone")
        return None
