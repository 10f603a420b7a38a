"""Runs that need a person and ask nothing that could be answered from here: a watcher saw that they wait."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runcast._support.terminal import harmless
from runcast.cli import output
from runcast.cli.runs import NEEDS
from runcast.client.clients import Client

LIMIT = 200
"""No more of them are looked at, the newest first."""

Json = Mapping[str, Any]


def found(client: Client, project: str | None) -> list[Json]:
    """Those runs, the one that has waited longest first."""
    runs: list[Json] = list(client.list_runs(project, attention=NEEDS, limit=LIMIT)["runs"])
    needing = [run for run in runs if run["attention"] and not run["attention"].get("question_id")]
    return sorted(needing, key=lambda run: str(run["attention"].get("since")))


def print_all(runs: Iterable[Json]) -> None:
    """A line for each: what it waits for, its name, and where a person finds its terminal."""
    for run in runs:
        attention = run["attention"] or {}
        name = run["name"] or run["key"] or run["id"]
        summary = f": {attention['summary']}" if attention.get("summary") else ""
        line = f"▲ {attention.get('kind')}  {name}{summary}  (answer it {place_of(run)})"
        output.print_line(harmless(" ".join(line.split()), colours=False))


def place_of(run: Json) -> str:
    """`at mac-1, tmux %3`, as far as it is known where the agent runs."""
    agent = (run["metadata"] or {}).get("agent")
    about = agent if isinstance(agent, Mapping) else {}
    tmux = f"tmux {about['tmux']}" if about.get("tmux") else about.get("term")
    known = ", ".join(str(each) for each in (about.get("host"), tmux) if each)
    return f"at {known}" if known else "where it runs"
