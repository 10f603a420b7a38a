"""Many sessions of all agents, interleaved by a seed, and the comparison of their truth with a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import httpx

from tests.fleet import second_tier
from tests.fleet.executed import Executed
from tests.fleet.hooked import Hooked, HookedCodex
from tests.fleet.sessions import Claude, Codex, Session, Truth

SPECIAL = 5
"""One of this many sessions is connected by hooks, or runs under `exec`."""
_USAGE = ("input_tokens", "output_tokens", "cache_read_tokens")


class Fleet:
    """`number` sessions beneath a home. `hook`: the program of the agents' hooks."""

    def __init__(
        self,
        home: Path,
        seed: int,
        number: int,
        hook: str,
        environ: Mapping[str, str],
        project: str,
    ) -> None:
        self.chance = Random(seed)
        self.roots = {
            "claude": home / ".claude",
            "codex": home / ".codex",
            **second_tier.roots(home),
        }
        kinds: list[type[Session]] = [Claude, Codex, *second_tier.AGENTS, Claude, Codex]
        self.sessions: list[Session] = []
        special: list[Callable[[], Session]] = [
            lambda: Hooked(self.roots["claude"], self.chance, hook, environ),
            lambda: Executed(self.roots["claude"], self.chance, environ, project),
            lambda: HookedCodex(self.roots["codex"], self.chance, hook, environ),
        ]
        for place in range(number):
            if place % SPECIAL == 0:
                self.sessions.append(special[place // SPECIAL % len(special)]())
                continue
            kind = kinds[(place - place // SPECIAL - 1) % len(kinds)]
            self.sessions.append(kind(self.roots[kind.program], self.chance))

    @property
    def truths(self) -> list[Truth]:
        return [truth for session in self.sessions for truth in session.truths]

    def live(self, between: Callable[[int], None]) -> int:
        """Lets all of them live their stories, a write of one after a write of another; `between` is told
        the number of the write. Answers how many there were."""
        stories = [session.story() for session in self.sessions]
        number = 0
        while stories:
            story = self.chance.choice(stories)
            if next(story, self) is self:
                stories.remove(story)
            number += 1
            between(number)
        return number

    def close(self) -> None:
        for session in self.sessions:
            session.close()


def differences(http: httpx.Client, project: str, truths: list[Truth]) -> list[str]:
    """What the server shows otherwise than it is."""
    runs: dict[str, dict[str, Any]] = {}
    cursor = None
    while True:
        params = {"limit": 200} | ({"cursor": cursor} if cursor else {})
        page = http.get(f"/projects/{project}/runs", params=params).raise_for_status().json()
        runs |= {run["key"]: run for run in page["runs"]}
        cursor = page.get("next_cursor")
        if not cursor:
            break
    by_id = {run["id"]: run["key"] for run in runs.values()}
    found = [f"{key}: nobody's" for key in runs.keys() - {truth.key for truth in truths}]
    for truth in truths:
        run = runs.get(truth.key)
        if run is None:
            if truth.entries:
                found.append(f"{truth.key}: is missing")
            continue
        found += [f"{truth.key}: {each}" for each in _of_run(http, run, truth, by_id)]
    return found


def _of_run(
    http: httpx.Client, run: dict[str, Any], truth: Truth, by_id: Mapping[str, str]
) -> list[str]:
    usage = run.get("usage") or {}
    attention = run.get("attention") or {}
    shown = {
        "status": run["status"],
        "attention": attention.get("kind"),
        "parent": by_id.get(run["parent_run_id"]),
        "usage": [usage.get(name, 0) for name in _USAGE],
    }
    wanted = {name: getattr(truth, name) for name in shown}
    found = [
        f"{name} {shown[name]!r}, not {wanted[name]!r}"
        for name in shown
        if shown[name] != wanted[name]
    ]
    if found:
        return found  # its entries cost a request: they are compared once the rest is right
    logs = http.get(f"/runs/{run['id']}/logs", params={"limit": 1000}).raise_for_status().json()
    entries = [(each.get("event_type") or "", each["message"]) for each in logs["logs"]]
    return [] if entries == truth.entries else [f"entries {entries!r}, not {truth.entries!r}"]
