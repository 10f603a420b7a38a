"""What the readers of all agents keep of a session: its facts and name, its open calls, what isn't known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runcast.agents import texts
from runcast.agents.entries import Calls
from runcast.agents.said import About, AttentionKind, Said, State
from runcast.agents.tally import Tally

FACT_CHARACTERS = 1000
"""A fact is a name or a path; a longer text is cut."""
NAMES = 100
"""Kinds of records that are counted by name."""


class Telling:
    """The beginning of a reader. `said` is what the record that is being read becomes."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.unknown: dict[str, int] = {}
        self.said: list[Said] = []
        self.calls = Calls()
        self.facts: dict[str, Any] = {}
        self.name: str | None = None

    def begin(self) -> list[Said]:
        """Begins with a record."""
        self.said = []
        return self.said

    def tell(self, said: Said | None) -> None:
        if said is not None:
            self.said.append(said)

    def note(self, facts: Mapping[str, Any]) -> None:
        """Tells facts that are texts, and new or changed."""
        new = {
            name: value[:FACT_CHARACTERS]
            for name, value in facts.items()
            if isinstance(value, str) and value and self.facts.get(name) != value[:FACT_CHARACTERS]
        }
        if new:
            self.facts |= new
            self.said.append(About(new))

    def call_it(self, name: str | None) -> None:
        if name and name != self.name:
            self.name = name
            self.said.append(About(name=name))

    def works(self) -> None:
        self.said.append(State())

    def waits(self, kind: AttentionKind, summary: str, ts: str | None, background: int = 0) -> None:
        shown = texts.shortened(summary, 2000)[0]
        self.said.append(State(kind, shown, ts, background))

    def count_unknown(self, kind: object) -> None:
        count(self.unknown, str(kind)[:100])


def count(counts: dict[str, int], name: str) -> None:
    """One more of this name; names beyond a hundred aren't told apart."""
    if name in counts or len(counts) < NAMES:
        counts[name] = counts.get(name, 0) + 1
