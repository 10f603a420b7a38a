"""`runcast logs`: the lines of one run or of several, now and as they come."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from runcast import events
from runcast._recording import run_directory
from runcast._recording.run_directory import RunDirectory
from runcast._support import times
from runcast._support.terminal import harmless
from runcast.cli import offline, output
from runcast.cli.context import Context, connect_async, project_of, server_of
from runcast.contract import TERMINAL_STATUSES
from runcast.errors import InvalidFile

if TYPE_CHECKING:
    from runcast.client.clients import AsyncClient

Json = dict[str, Any]

LEVELS = ("trace", "debug", "info", "warning", "error", "critical")
BACKFILL_LINES = 10_000
POLL_SECONDS = 0.1


def register(app: typer.Typer) -> None:
    app.command("logs", rich_help_panel="Runs")(logs)


@dataclass(frozen=True)
class Shown:
    """Which lines are shown, and how."""

    since: datetime | None = None
    grep: re.Pattern[str] | None = None
    level: str | None = None
    with_times: bool = False
    as_json: bool = False
    tags: dict[str, Text] = field(default_factory=dict)

    def wants(self, entry: Json) -> bool:
        if self.grep and not self.grep.search(entry["message"]):
            return False
        if self.level and _rank(entry.get("level")) < _rank(self.level):
            return False
        return not (self.since and entry.get("ts") and times.parse(entry["ts"]) < self.since)

    def print(self, entry: Json) -> None:
        if not self.wants(entry):
            return
        if self.as_json:
            output.print_json_line(entry)
            return
        typer.echo(self._line(entry), color=True)

    def _line(self, entry: Json) -> str:
        colours = output.has_colours()
        text = harmless(entry["message"], colours=colours)
        level = entry.get("level")
        if colours and level in output.LEVEL_COLOURS and "\x1b" not in text:
            text = _painted(Text(text, style=output.LEVEL_COLOURS[level]))
        parts = [self._tag(entry, colours)]
        if self.with_times and entry.get("ts"):
            parts.append(_painted(Text(entry["ts"], style="bright_black"), colours))
        if entry.get("agent_name"):
            name = harmless(f"[{entry['agent_name']}]", colours=False)
            parts.append(_painted(Text(name, style="bright_black"), colours))
        return " ".join(part for part in (*parts, text) if part or part is text)

    def _tag(self, entry: Json, colours: bool) -> str:
        tag = self.tags.get(entry.get("run_id", ""))
        return _painted(tag, colours) if tag else ""


def logs(
    ctx: Context,
    run: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids or keys of runs.")],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the runs are over.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", "-n", min=0, help="Only the last so many lines.")
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

    Examples:  runcast logs -f nightly  |  runcast logs -f a b c --level warning
    """
    shown = _shown(since, grep, level, with_times, as_json)
    if directory is None and server_of(ctx) is not None:
        if follow:
            follow_runs(ctx, run, shown, project=project, tail=tail)
        else:
            asyncio.run(_print(ctx, run, shown, project, tail))
        return
    root = run_directory.runs_dir(directory)
    for each in run:
        _print_offline(offline.find(root, each), shown, follow, tail)


def follow_runs(
    ctx: Context,
    runs: Sequence[str],
    shown: Shown,
    *,
    project: str | None = None,
    tail: int | None = None,
) -> None:
    """Prints the runs' lines until all of them are over and their logs closed."""
    asyncio.run(_follow(ctx, runs, shown, project, tail))


async def _print(
    ctx: Context, runs: Sequence[str], shown: Shown, project: str | None, tail: int | None
) -> None:
    async with connect_async(ctx) as client:
        found = [await client.get_run(run, project=project_of(run, project)) for run in runs]
        _tag(shown, found)
        for run in found:
            async for entry in _stored(client, run["id"], tail):
                shown.print(entry)


async def _follow(
    ctx: Context, runs: Sequence[str], shown: Shown, project: str | None, tail: int | None
) -> None:
    async with connect_async(ctx) as client:
        found = [await client.get_run(run, project=project_of(run, project)) for run in runs]
        _tag(shown, found)
        async with asyncio.TaskGroup() as tasks:
            for run in found:
                tasks.create_task(_follow_one(client, run["id"], shown, tail))


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


async def _stored(
    client: "AsyncClient", run_id: str, tail: int | None
) -> AsyncIterator[dict[str, Any]]:
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


def entry_of(event: events.Event) -> Json:
    """A live line as the stored entry that it is."""
    return {"id": event.id, **event.data, "message": event.data.get("line", "")}


def _print_offline(directory: RunDirectory, shown: Shown, follow: bool, tail: int | None) -> None:
    run_id = directory.path.name
    position = directory.logs.stat().st_size if directory.logs.exists() else 0
    for number, line in enumerate(offline.log_lines(directory, tail) if position else (), 1):
        shown.print({"run_id": run_id, "line_number": number, "message": line})
    rest = b""
    while follow:
        is_over = _is_over(directory)
        text, position = _grown(directory.logs, position)
        *lines, rest = (rest + text).split(b"\n")
        for raw in lines:
            shown.print({"run_id": run_id, "message": raw.decode("utf-8", "replace")})
        if is_over:
            return
        time.sleep(POLL_SECONDS)


def _grown(path: Path, position: int) -> tuple[bytes, int]:
    if not path.exists():
        return b"", 0
    with path.open("rb") as file:
        file.seek(position)
        text = file.read()
    return text, position + len(text)


def _is_over(directory: RunDirectory) -> bool:
    try:
        return directory.read_status()["status"] in TERMINAL_STATUSES
    except (InvalidFile, FileNotFoundError):
        return False


def _shown(
    since: str | None, grep: str | None, level: str | None, with_times: bool, as_json: bool
) -> Shown:
    try:
        moment = times.since(since) if since else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from error
    try:
        pattern = re.compile(grep) if grep else None
    except re.error as error:
        raise typer.BadParameter(f"not a pattern: {error}", param_hint="--grep") from error
    if level and level.lower() not in LEVELS:
        raise typer.BadParameter(f"one of {', '.join(LEVELS)}", param_hint="--level")
    return Shown(moment, pattern, level.lower() if level else None, with_times, as_json)


def _rank(level: str | None) -> int:
    return LEVELS.index(level) if level in LEVELS else LEVELS.index("info")


def _tag(shown: Shown, runs: Sequence[Json]) -> None:
    if len(runs) < 2:
        return
    names = [run.get("key") or run.get("name") or run["id"][-8:] for run in runs]
    width = max(len(name) for name in names)
    for number, (run, name) in enumerate(zip(runs, names, strict=True)):
        colour = output.TAG_COLOURS[number % len(output.TAG_COLOURS)]
        text = harmless(name, colours=False)
        shown.tags[run["id"]] = Text(f"{text:<{width}} |", style=colour)


def _painted(text: Text, colours: bool = True) -> str:
    if not colours:
        return text.plain
    with output.console().capture() as captured:
        output.console().print(text, end="")
    return captured.get() or text.plain
