"""`runcast wait`: until a run is over."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from runcast import events
from runcast._recording import run_directory
from runcast._recording.run_directory import RunDirectory
from runcast._support import times
from runcast.cli import completion, exits, finding, offline, output
from runcast.cli.context import Context, connect, connect_async, server_of
from runcast.contract import TERMINAL_STATUSES

POLL_SECONDS = 0.2
LOOKS_AGAIN = (
    events.CONNECTED,
    events.RUN_STATUS_CHANGED,
    events.RUN_LIVENESS_CHANGED,
    events.GAP,
)

STATUS_EXITS = {"completed": exits.OK, "failed": exits.FAILED, "cancelled": exits.INTERRUPTED}


def register(app: typer.Typer) -> None:
    app.command("wait", rich_help_panel="Runs")(wait)


def wait(
    ctx: Context,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help=output.RUN_HELP, autocompletion=completion.runs)
    ],
    project: output.Project = None,
    timeout: Annotated[
        str | None, typer.Option(help="Give up after this long (90s, 5m) with exit code 124.")
    ] = None,
    directory: output.RunsDir = None,
    as_json: output.AsJson = False,
) -> None:
    """Wait until a run is over, and exit as it did.

    0 only for a run that completed. Else its command's code where it has one from 1 to 255
    (`runcast exec`), or 1 failed, 130 cancelled.

    Example:

    runcast wait nightly --timeout 1h && deploy
    """
    try:
        seconds = None if timeout is None else times.duration_seconds(timeout)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    if directory is None and server_of(ctx) is not None:
        with connect(ctx) as client:
            found = finding.find_run(client, run, project)
        if found["status"] not in TERMINAL_STATUSES:
            found = asyncio.run(_ended(ctx, found["id"], seconds))
    else:
        found = _ended_offline(offline.find(run_directory.runs_dir(directory), run), seconds)
    if as_json:
        output.print_json(found)
    if found["status"] not in TERMINAL_STATUSES:
        output.say(f"runcast: still {found['status']} after {timeout}")
        raise typer.Exit(exits.TIMED_OUT)
    raise typer.Exit(exit_code(found))


async def _ended(ctx: Context, run_id: str, seconds: float | None) -> Mapping[str, Any]:
    has_told = False
    async with connect_async(ctx) as client:
        found = await client.get_run(run_id)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # From its first event on: whatever happens between the two requests is seen.
                async for event in client.stream_run(run_id, with_control=True):
                    if event.type in LOOKS_AGAIN:
                        found = await client.get_run(run_id)
                    if found["status"] in TERMINAL_STATUSES:
                        break
                    if found["liveness"] == "lost" and not has_told:
                        output.say("runcast: nothing is heard of the run any more; still waiting")
                        has_told = True
        return await client.get_run(run_id)


def _ended_offline(directory: RunDirectory, seconds: float | None) -> Mapping[str, Any]:
    deadline = None if seconds is None else time.monotonic() + seconds
    found = offline.read_run(directory)
    while found["status"] not in TERMINAL_STATUSES:
        if deadline is not None and time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
        found = offline.read_run(directory)
    return found


def exit_code(run: Mapping[str, Any]) -> int:
    """0 only for a completed run, whatever its result says: scripts deploy on it."""
    result = run.get("result")
    code = result.get("exit_code") if isinstance(result, dict) else None
    if run["status"] == "completed" or isinstance(code, bool) or not isinstance(code, int):
        return STATUS_EXITS[run["status"]]
    return code if 1 <= code <= 255 else STATUS_EXITS[run["status"]]
