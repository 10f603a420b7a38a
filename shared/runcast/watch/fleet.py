"""The sessions that a watcher follows, and what all its parts know of its work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runcast.watch.content import Policy
from runcast.watch.delivery import Delivery
from runcast.watch.following import Following
from runcast.watch.run_output import RunOutput
from runcast.watch.sessions import Adapter

Roots = Sequence[tuple[Adapter, Path]]


@dataclass(frozen=True, slots=True)
class Options:
    """How sessions are followed. `since_seconds`: how old a session may be that is taken at the start, None
    for any. `idle_close_seconds`: one that was silent for so long, and has no living process, is over."""

    runs_dir: Path
    project: str
    host: str
    since_seconds: float | None = 86_400.0
    idle_close_seconds: float = 12 * 3600.0


@dataclass(slots=True)
class Fleet:
    """What is followed, how, and who is told. `told` is called when a session's status or attention has
    changed; `clock` gives seconds that only go forward."""

    roots: Roots
    policy: Policy
    options: Options
    delivery: Delivery | None
    told: Callable[[Following], None]
    clock: Callable[[], float]
    followings: dict[str, Following] = field(default_factory=dict)
    is_changed: bool = False
    """Whether something changed that the next life has to know."""

    def output(self, following: Following) -> RunOutput:
        """The run that the session writes into now."""
        return RunOutput(self.options.runs_dir, following.run_key)

    def last_output(self, following: Following) -> RunOutput:
        """The last run of the session that there is."""
        return RunOutput(self.options.runs_dir, following.last_key)

    def parent_of(self, following: Following) -> Following | None:
        """The session that started this one; None for one that is no sub-agent's, or whose isn't followed."""
        return self.followings.get(following.session.parent_key or "")


def host_name() -> str:
    """This machine's name, without its domain."""
    return os.uname().nodename.partition(".")[0] if hasattr(os, "uname") else "here"


def roots_of(
    adapters: Iterable[Adapter],
    given: dict[str, list[Path]],
    home: Path,
) -> list[tuple[Adapter, Path]]:
    """Where to look for sessions: what is given for an agent, else its own directories that are there."""
    found: list[tuple[Adapter, Path]] = []
    for adapter in adapters:
        named = given.get(adapter.program)
        places = named if named is not None else adapter.roots(os.environ, home)
        found += [(adapter, place) for place in places if named is not None or place.is_dir()]
    return found
