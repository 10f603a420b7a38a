"""Runs that need a person and ask nothing that could be answered from here: a watcher saw that they wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runcast._support.terminal import harmless
from runcast.cli import output
from runcast.cli.runs import NEEDS
from runcast.client.clients import Client

PAGE_RUNS = 200
MOST_RUNS = 5_000
"""No more runs that need a person are looked at, the newest first."""
MOST_LINES = 200
"""No more of them are printed, those that have waited longest first."""
ANSWERED = frozenset({"permission", "question", "plan"})
"""What a person answers; an error or a spent budget is looked at."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """Those runs, the one that has waited longest first. Where there are too many, `is_all` is false."""

    runs: list[Json]
    is_all: bool


def found(client: Client, project: str | None) -> Found:
    """Looks at the runs that need a person."""
    needing: list[Json] = []
    looked_at, cursor = 0, None
    while looked_at == 0 or (cursor and looked_at < MOST_RUNS):
        page = client.list_runs(project, attention=NEEDS, limit=PAGE_RUNS, cursor=cursor)
        needing += [run for run in page["runs"] if _waits_elsewhere(run)]
        looked_at, cursor = looked_at + PAGE_RUNS, page["next_cursor"]
    return Found(sorted(needing, key=lambda run: str(run["attention"].get("since"))), not cursor)


def _waits_elsewhere(run: Json) -> bool:
    attention = run["attention"]
    return bool(attention) and not attention.get("question_id")


def print_all(found: Found) -> None:
    """A line for each: what it waits for, its name, and where a person finds its terminal."""
    for run in found.runs[:MOST_LINES]:
        attention = run["attention"] or {}
        name = run["name"] or run["key"] or run["id"]
        summary = f": {attention['summary']}" if attention.get("summary") else ""
        does = "answer" if attention.get("kind") in ANSWERED else "look at"
        line = f"▲ {attention.get('kind')}  {name}{summary}  ({does} it {place_of(run)})"
        output.print_line(harmless(" ".join(line.split()), colours=False))
    if (left_out := len(found.runs) - MOST_LINES) > 0:
        output.say(f"{left_out:,} more need you: runcast runs ls --attention")
    if not found.is_all:
        output.say(f"Only the newest {MOST_RUNS:,} runs that need a person were looked at.")


def place_of(run: Json) -> str:
    """`at mac-1, tmux %3`, as far as it is known where the agent runs."""
    agent = (run["metadata"] or {}).get("agent")
    about = agent if isinstance(agent, Mapping) else {}
    tmux = f"tmux {about['tmux']}" if about.get("tmux") else about.get("term")
    known = ", ".join(str(each) for each in (about.get("host"), tmux) if each)
    return f"at {known}" if known else "where it runs"
