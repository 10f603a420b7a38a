"""Each entry once, in order, whatever happens between the writing of a session and its run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.unit.runcast.watch.worlds import (
    CLAUDE,
    CLAUDE_KEY,
    CODEX_CHILD_KEY,
    CODEX_KEY,
    DATA,
    World,
    expected,
    wanted,
)

TRANSCRIPT = DATA / "claude" / "projects" / "-w-app" / f"{CLAUDE}.jsonl"
DAY = Path("codex", "sessions", "2026", "11", "26")
ROLLOUTS = sorted((DATA / DAY).iterdir())

Step = tuple[str, int]
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""Shrinking would take minutes: each example is a whole life."""
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "round", "kill", "restart", "tear", "replace"]),
        st.integers(1, 4000),
    ),
    max_size=12,
)


def torn(world: World, key: str, size: int) -> None:
    """A crash left the spool with some bytes less."""
    spool = world.runs / key / "spool.jsonl"
    if spool.exists():
        content = spool.read_bytes()
        last = content.rstrip(b"\n").rfind(b"\n") + 1
        spool.write_bytes(content[: max(len(content) - size, last)])


def live(world: World, file: Path, content: bytes, key: str, steps: list[Step], agent: str) -> None:
    """Writes a session bit by bit, while watchers come, work and die."""
    watcher = world.watcher(agent)
    written = 0
    for what, size in [*steps, ("write", len(content)), ("restart", 1)]:
        if what == "write":
            world.write(file, content[written : written + size])
            written = min(written + size, len(content))
        elif what == "replace" and file.exists():
            other = file.with_suffix(".other")
            other.write_bytes(content[:written])
            other.rename(file)
        elif what == "tear":
            torn(world, key, size)
            watcher = world.watcher(agent)
        elif what == "kill":
            watcher = world.watcher(agent)
        elif what == "restart":
            watcher.close()
            watcher = world.watcher(agent)
        world.rounds(watcher, 3)
    world.rounds(watcher, 12)


@settings(max_examples=15, deadline=None, phases=PHASES)
@given(steps=STEPS)
def test_claude_transcript_once(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as place:
        world = World(Path(place))
        content = TRANSCRIPT.read_bytes()
        live(world, world.transcript, content, CLAUDE_KEY, steps, "claude")
        want = expected("claude")
        assert world.entries(CLAUDE_KEY) == want["entries"]
        usage: dict[str, Any] = world.run(CLAUDE_KEY)["usage"]
        assert {name: usage[name] for name in want["usage"] if name != "by_model"} == {
            name: value for name, value in want["usage"].items() if name != "by_model"
        }
        assert world.run(CLAUDE_KEY)["attention"]["kind"] == "error"


@settings(max_examples=10, deadline=None, phases=PHASES)
@given(steps=STEPS, child=st.booleans())
def test_codex_rollout_once(steps: list[Step], child: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        world = World(Path(place))
        path = ROLLOUTS[child]
        key = CODEX_CHILD_KEY if child else CODEX_KEY
        live(world, world.home / DAY / path.name, path.read_bytes(), key, steps, "codex")
        want = expected("codex")
        assert world.entries(key) == wanted((want["child"] if child else want)["entries"])
        usage = world.run(key)["usage"]
        shown = (want["child"] if child else want)["usage"]
        assert usage["output_tokens"] == shown["output_tokens"]
