"""`runcast logs`: the lines of one run or of several, now and as they come."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runcast import events
from runcast._recording import run_directory
from runcast.cli import completion, finding, lines, offline, offline_logs, output
from runcast.cli.context import Context, connect, connect_async, server_of
from runcast.cli.lines import LEVELS, Shown, entry_of

if TYPE_CHECKING:
    from runcast.client.clients import AsyncClient

Json = Mapping[str, Any]

BACKFILL_LINES = 10_000


def register(app: typer.Typer) -> None:
    app.command("logs", rich_help_panel="Runs")(logs)


def logs(
    ctx: Context,
    run: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help=output.RUN_HELP, autocompletion=completion.runs),
    ],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the runs are over.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", "-n", min=0, help="Only the last N lines.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only lines since a time, or for so long (10m, 2h).")
    ] = None,
    grep: Annotated[
        str | None, typer.Option("--grep", "-g", help="Only lines that this pattern matches.")
    ] = None,
    level: Annotated[
        str | None, typer.Option(help=f"Only this level and above: {', '.join(LEVELS)}.")
    ] = None,
    with_times: Annotated[
        bool, typer.Option("--timestamps", "-t", help="Show each line's time.")
    ] = False,
    project: output.Project = None,
    directory: output.RunsDir = None,
    as_json: output.AsJson = False,
) -> None:
    """Print logs; with -f as they grow. Lines of several runs carry a coloured tag.

    Examples:

    runcast logs -f nightly

    runcast logs -f a b c --level warning
    """
    shown = lines.chosen(since, grep, level, with_times, as_json)
    if directory is None and server_of(ctx) is not None:
        with connect(ctx) as client:
            found = [finding.find_run(client, each, project) for each in run]
        show_runs(ctx, found, shown, follow=follow, tail=tail)
        return
    root = run_directory.runs_dir(directory)
    for each in run:
        offline_logs.print_log(offline.find(root, each), shown, follow=follow, tail=tail)


def show_runs(
    ctx: Context, runs: Sequence[Json], shown: Shown, *, follow: bool, tail: int | None
) -> None:
    """Prints the runs' lines; with `follow` until all of them are over and their logs closed."""
    shown.tag(runs)
    ids = list(dict.fromkeys(run["id"] for run in runs))
    asyncio.run((_follow if follow else _print)(ctx, ids, shown, tail))


async def _print(ctx: Context, ids: Sequence[str], shown: Shown, tail: int | None) -> None:
    async with connect_async(ctx) as client:
        for run_id in ids:
            async for entry in _stored(client, run_id, tail):
                shown.print(entry)


async def _follow(ctx: Context, ids: Sequence[str], shown: Shown, tail: int | None) -> None:
    async with connect_async(ctx) as client, asyncio.TaskGroup() as tasks:
        for run_id in ids:
            tasks.create_task(_follow_one(client, run_id, shown, tail))


async def _follow_one(client: "AsyncClient", run_id: str, shown: Shown, tail: int | None) -> None:
    """What is stored, then what comes: an entry's id is its event's number, so the stream goes on
    right behind the last entry."""
    position, last_line = None, 0
    async for entry in _stored(client, run_id, tail):
        shown.print(entry)
        position, last_line = entry["id"], entry["line_number"]
    backfill = BACKFILL_LINES if position is None and tail != 0 else None
    stream = client.stream_run(run_id, after=position, log_tail=backfill)
    async for event in stream:
        if event.type == events.AGENT_LOG and event.data["line_number"] > last_line:
            shown.print(entry_of(event))
        elif event.type == events.GAP:
            reason = event.data["reason"]
            output.say(f"runcast: events up to {event.data['to']} are left out ({reason})")
            if reason == "reset":
                last_line = 0  # another history: its lines are counted from 1


async def _stored(
    client: "AsyncClient", run_id: str, tail: int | None
) -> AsyncIterator[Mapping[str, Any]]:
    if tail == 0:
        return
    if tail is not None and tail <= 1_000:
        page = await client.list_logs(run_id, tail=tail, limit=tail)
        for entry in page["logs"]:
            yield entry
        return
    after = None
    if tail is not None:
        run = await client.get_run(run_id)
        after = max(run["last_line_number"] - tail, 0)
    async for entry in client.iter_logs(run_id, after_line=after, limit=1_000):
        yield entry
