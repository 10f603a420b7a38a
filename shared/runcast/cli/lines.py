"""How log lines are chosen and printed, from any source."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import typer

from runcast import events
from runcast._support import json_lines, times
from runcast._support.terminal import harmless
from runcast.cli import output, table

Json = Mapping[str, Any]

LEVELS = ("trace", "debug", "info", "warning", "error", "critical")


@dataclass(frozen=True)
class Shown:
    """Which lines are shown, and how."""

    since: datetime | None = None
    grep: re.Pattern[str] | None = None
    level: str | None = None
    with_times: bool = False
    as_json: bool = False
    tags: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By run: the text in front of its lines, and its colour."""

    def wants(self, entry: Mapping[str, Any]) -> bool:
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

    def tag(self, runs: Sequence[Json]) -> None:
        """Gives each of several runs a tag; those of one name are told apart by their ids' ends."""
        if len(runs) < 2:
            return
        names = [harmless(run.get("key") or run.get("name") or "", colours=False) for run in runs]
        tags = [
            name if name and names.count(name) == 1 else f"{name} {run['id'][-8:]}".strip()
            for run, name in zip(runs, names, strict=True)
        ]
        tags = [table.cut(tag, 20) for tag in tags]
        width = max(table.width_of(tag) for tag in tags)
        for number, (run, tag) in enumerate(zip(runs, tags, strict=True)):
            colour = output.TAG_COLOURS[number % len(output.TAG_COLOURS)]
            self.tags[run["id"]] = (f"{table.padded(tag, width)} |", colour)

    def _line(self, entry: Json) -> str:
        said = entry["message"]
        if sys.stdout.isatty():  # programs get each line as it was written
            said = json_lines.as_text(said)
        text = harmless(said, colours=output.has_colours())
        if "\x1b" not in text:
            text = output.paint(text, output.LEVEL_COLOURS.get(entry.get("level") or "", ""))
        parts = []
        if entry.get("run_id") in self.tags:
            parts.append(output.paint(*self.tags[entry["run_id"]]))
        if self.with_times and entry.get("ts"):
            parts.append(output.paint(entry["ts"], "bright_black"))
        if entry.get("agent_name"):
            name = harmless(f"[{entry['agent_name']}]", colours=False)
            parts.append(output.paint(name, "bright_black"))
        return " ".join((*parts, text))


def chosen(
    since: str | None, grep: str | None, level: str | None, with_times: bool, as_json: bool
) -> Shown:
    """What the options say. Raises `BadParameter`."""
    try:
        moment = times.since(since) if since else None
    except (ValueError, OverflowError) as error:
        reason = f"neither a time nor a duration: {since!r} (for example 10m, 2026-01-31T10:00)"
        raise typer.BadParameter(reason, param_hint="--since") from error
    try:
        pattern = re.compile(grep) if grep else None
    except re.error as error:
        raise typer.BadParameter(f"not a pattern: {error}", param_hint="--grep") from error
    if level and level.lower() not in LEVELS:
        raise typer.BadParameter(f"one of {', '.join(LEVELS)}", param_hint="--level")
    return Shown(moment, pattern, level.lower() if level else None, with_times, as_json)


def entry_of(event: events.Event) -> Json:
    """A live line as the stored entry that it is."""
    return {"id": event.id, **event.data, "message": event.data.get("line", "")}


def _rank(level: str | None) -> int:
    return LEVELS.index(level) if level in LEVELS else LEVELS.index("info")
