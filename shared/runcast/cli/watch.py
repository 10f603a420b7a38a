"""`runcast watch`: every agent session on this machine as a run."""

import contextlib
import importlib
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runcast import errors
from runcast._recording.run_directory import runs_dir as runs_dir_of
from runcast._support.terminal import harmless
from runcast.cli import exits, output
from runcast.cli.context import Context, project_or_default, server_of

if TYPE_CHECKING:
    from runcast._support.server_config import Connection
    from runcast.cli.watch_view import Screen
    from runcast.watch.following import Following
    from runcast.watch.memory import OnlyOne
    from runcast.watch.watcher import Watcher

AGENTS = (
    *("claude", "codex", "gemini", "qwen", "copilot", "opencode", "cursor", "cline", "goose"),
    *("openhands", "mini-swe"),
)
CONTENTS = ("text", "full", "none")
FLUSH_SECONDS = 30.0
SIGN_SECONDS = 10.0
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def register(app: typer.Typer) -> None:
    app.command("watch", rich_help_panel="Agents")(watch)


def watch(
    ctx: Context,
    agents: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[AGENT...]", help=f"Of {', '.join(AGENTS)}; else all that are here."
        ),
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", "-p", help="Slug.  [RUNCAST_PROJECT, default]")
    ] = None,
    since: Annotated[
        str,
        typer.Option(help="How old a session may be that is taken at the start: 24h, 7d, all, 0."),
    ] = "24h",
    content: Annotated[
        str,
        typer.Option(
            help="text; full: nothing is cut below 64 KiB; none: states and numbers alone."
        ),
    ] = "text",
    path: Annotated[
        list[str] | None,
        typer.Option("--path", metavar="AGENT=DIR", help="Where an agent keeps its sessions."),
    ] = None,
    idle_close: Annotated[
        str, typer.Option(help="A silent session without a process is over after this time.")
    ] = "12h",
    runs_dir: Annotated[
        str | None, typer.Option(help="Where runs' files go.  [RUNCAST_RUNS_DIR, runs]")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Read what is there, and end.")] = False,
    only_list: Annotated[
        bool, typer.Option("--list", help="Only print the sessions that were found.")
    ] = False,
    status: Annotated[
        bool,
        typer.Option("--status", help="Print one line about a watcher's sessions, as for tmux."),
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only write files; `runcast sync` sends them later.")
    ] = False,
    as_lines: Annotated[
        bool,
        typer.Option("--lines", help="Print a line for each change, also on a terminal."),
    ] = False,
    as_json: output.AsJson = False,
) -> None:
    """Show every agent session on this machine as a run: what it says, does and costs, and which one
    waits for you.

    Nothing about how you start your agents changes: the files that they write are read, and nothing in
    them is changed. Each session becomes a run beneath the directory of runs, and goes from there to
    your server. What looks like a token or a private key is left out; --content none sends no text.

    Examples:

    runcast watch

    runcast watch claude codex --since 7d -p laptop

    runcast watch --list

    set -g status-right '#(runcast watch --status)'  (in tmux.conf)
    """
    where = runs_dir_of(runs_dir)
    if status:
        _print_status(where, as_json)
        return
    watching = importlib.import_module("runcast.watch.starting")
    asked = watching.Asked(
        agents=_agents(agents or []),
        paths=_paths(path or []),
        runs_dir=where,
        project=project_or_default(project),
        since_seconds=_seconds("--since", since),
        idle_close_seconds=_seconds("--idle-close", idle_close),
        content=_content(content),
        redact=os.environ.get("RUNCAST_REDACT", ""),
    )
    try:
        watching.check(asked)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="RUNCAST_REDACT") from error
    if only_list:
        _print_list(watching.found(asked), as_json)
        return
    _log_to_terminal()
    server = None if offline else server_of(ctx)
    roots = watching.roots(asked)
    if not roots:
        raise errors.NotFound(
            404, "Not found", "no agent keeps sessions here; name a place by --path"
        )
    goes = _say_what_is_read(roots, asked, server.url if server else None)
    lock = watching.OnlyOne(where)
    if not lock.take():
        _wait_for(lock, where, is_once=once)
    delivery = watching.delivery(server) if server else None
    screen = _screen(server, goes, is_wanted=not (once or as_lines or as_json))
    watcher = watching.watcher(asked, roots, delivery, _teller(screen, as_json))
    try:
        if once:
            watcher.drain()
        else:
            with _announced(roots, asked, server) as sign:
                _follow(watcher, sign, screen)
    finally:
        _close(screen)
        watcher.close()
        unsent = delivery.flush(FLUSH_SECONDS if once else 5.0) if delivery else 0
        lock.release()
    if once and not as_json:
        output.say(f"runcast: {len(watcher.followings)} sessions were read; they are in {where}")
    if unsent:
        output.say(
            f"runcast: {unsent:,} bytes are not at the server yet (later: runcast sync {where})"
        )
        raise typer.Exit(exits.FAILED)


def _wait_for(lock: "OnlyOne", where: Path, *, is_once: bool) -> None:
    """Waits until the other watcher ends, and says so; reading once isn't worth waiting."""
    busy = f"runcast: another `runcast watch` works in {where}"
    output.say(busy if is_once else f"{busy}; this one waits until that ends (Ctrl-C: not)")
    if is_once:
        raise typer.Exit(exits.FAILED)
    while not lock.take():
        time.sleep(1.0)


def _announced(
    roots: Any, asked: Any, server: "Connection | None"
) -> contextlib.AbstractContextManager[Callable[[], None]]:
    """Tells hooks which agents' words come from here: none without a server, and not those of an agent with a
    `--path`, since its sessions elsewhere aren't read."""
    if server is None:
        return contextlib.nullcontext(lambda: None)
    announcement = importlib.import_module("runcast.watch.announcement")
    names = {adapter.program for adapter, _ in roots} - asked.paths.keys()
    made: contextlib.AbstractContextManager[Callable[[], None]] = announcement.made(
        names, server.url, asked.project
    )
    return made


class _Stop(BaseException):
    """A signal asked to end, wherever we are: where a session's errors are caught, it isn't one of them."""


def _screen(server: "Connection | None", note: str, *, is_wanted: bool) -> "Screen | None":
    """The whole terminal, where stdout is one; what is logged stands at its end."""
    if not is_wanted or not sys.stdout.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return None
    view = importlib.import_module("runcast.cli.watch_view")
    where = f"{server.url}   answer: runcast inbox" if server else "no server"
    screen: Screen = view.Screen(f"{where}   Ctrl-C ends", note)
    logging.getLogger("runcast").handlers[:] = [_Notes(screen)]
    return screen


def _close(screen: "Screen | None") -> None:
    if screen is not None:
        screen.close()


def _teller(screen: "Screen | None", as_json: bool) -> Callable[["Following"], None]:
    """What is done when a session's state has changed: a screen shows it by itself."""
    return (lambda each: None) if screen is not None else (lambda each: _tell(each, as_json))


class _Notes(logging.Handler):
    """Warnings, as notes of a screen."""

    def __init__(self, screen: "Screen") -> None:
        super().__init__()
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        self._screen.notes.append(f"{time.strftime('%H:%M:%S')} {record.getMessage()}")


def _follow(watcher: "Watcher", sign: Callable[[], None], screen: "Screen | None") -> None:
    """Rounds until a signal comes, with a sign of life now and then."""
    signed_at = 0.0
    round_seconds = importlib.import_module("runcast.watch.watcher").ROUND_SECONDS

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stop

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        while True:
            began = time.monotonic()
            if began - signed_at >= SIGN_SECONDS:
                sign()
                signed_at = began
            has_more = watcher.round()
            if screen is not None:
                screen.draw(watcher.followings.values())
            if not has_more:
                time.sleep(max(round_seconds - (time.monotonic() - began), 0.02))
    except _Stop:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)


def _tell(following: "Following", as_json: bool) -> None:
    """A line when a session's state has changed: who waits first of all."""
    shown = following.shown
    attention = shown.get("attention") or {}
    if as_json:
        output.print_json_line({"run": following.last_key, **shown})
        return
    kind = attention.get("kind") or shown["status"]
    mark = {"idle": "○", "running": "●", "completed": "✓", "failed": "✗"}.get(kind, "▲")
    said = f" — {attention['summary']}" if attention.get("summary") else ""
    at = time.strftime("%H:%M:%S")
    program = following.session.program
    line = f"{at} {mark} {kind:<10} {program:<8} {shown.get('name')}{said}"[:300]
    output.print_line(harmless(line, colours=False))


def _say_what_is_read(roots: Any, asked: Any, url: str | None) -> str:
    """The first lines on a terminal: transcripts may hold anything. Answers the last one, for the screen."""
    places = ", ".join(str(place) for _, place in roots)
    goes = f"and to {url} (project {asked.project})" if url else "and to no server"
    said = f"They go to {asked.runs_dir} {goes}; content: {asked.content}"
    if sys.stderr.isatty():
        output.say(f"runcast: reads the sessions in {places}")
        output.say(f"runcast: {said}")
    return f"Sessions of {', '.join(sorted({each.program for each, _ in roots}))} are read. {said}"


def _print_list(found: Any, as_json: bool) -> None:
    if as_json:
        output.print_json({"sessions": found})
        return
    output.print_table(
        ("agent", "session", "file", "size", "unknown"),
        (
            (
                each["agent"],
                each["key"],
                each["file"],
                f"{each['bytes']:,} B",
                ", ".join(f"{name} {number}" for name, number in each["unknown"].items()),
            )
            for each in found
        ),
    )


def _print_status(where: Path, as_json: bool) -> None:
    """One line from what a watcher remembers: quick, and without a server."""
    memory = importlib.import_module("runcast.watch.memory")
    counts = {"needs you": 0, "works": 0, "idle": 0}
    waiting: list[dict[str, Any]] = []
    for key, known in memory.read(where).items():
        shown = known.get("shown") or {}
        attention = shown.get("attention") or {}
        if known.get("is_over") or not shown.get("status"):
            continue
        kind = attention.get("kind")
        counts["works" if kind is None else "idle" if kind == "idle" else "needs you"] += 1
        if kind not in (None, "idle"):
            waiting.append({"run": key, **shown})
    if as_json:
        output.print_json({"counts": counts, "waiting": waiting})
    elif not memory.OnlyOne(where).is_taken():
        typer.echo("not watching")
    else:
        output.print_line(harmless(_in_one_line(counts, waiting), colours=False))


def _in_one_line(counts: dict[str, int], waiting: list[dict[str, Any]]) -> str:
    """As on the screen, with the name of the first one that waits."""
    view = importlib.import_module("runcast.cli.watch_view")
    first = f" ({waiting[0].get('name')})" if waiting else ""
    told: str = view.in_words(counts["needs you"], counts["works"], counts["idle"], first)
    return told or "no sessions"


def _agents(given: list[str]) -> list[str]:
    for name in given:
        if name not in AGENTS:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(AGENTS)}", param_hint="AGENT")
    return given


def _paths(given: list[str]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for each in given:
        name, _, place = each.partition("=")
        if name not in AGENTS or not place:
            raise typer.BadParameter(f"{each!r}: give AGENT=DIR", param_hint="--path")
        found.setdefault(name, []).append(Path(place).expanduser())
    return found


def _content(given: str) -> str:
    if given not in CONTENTS:
        raise typer.BadParameter(
            f"{given!r} is none of {', '.join(CONTENTS)}", param_hint="--content"
        )
    return given


def _seconds(option: str, given: str) -> float | None:
    """A time like 90s, 30m, 24h or 7d; None for `all`."""
    if given == "all":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", given.strip())
    if match is None:
        raise typer.BadParameter(f"{given!r}: give a time like 30m, 24h or 7d", param_hint=option)
    return float(match[1]) * _UNITS[match[2] or "s"]


def _log_to_terminal() -> None:
    logger = logging.getLogger("runcast")
    logger.propagate = False
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("runcast: %(message)s"))
    logger.handlers[:] = [handler]
