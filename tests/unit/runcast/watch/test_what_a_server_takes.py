"""Whatever records hold, each message that the watcher writes is one that a server takes."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.unit.runcast.agents.test_hostile_records import GIVEN, changed
from tests.unit.runcast.watch.worlds import CLAUDE, CLAUDE_KEY, World

from runcast._recording.run_directory import RunDirectory
from runcast_api.logs import entries
from runcast_api.runs.progress import ProgressNew
from runcast_api.runs.schemas import RunNew, RunPatch

Json = dict[str, Any]
EXAMPLES = int(os.environ.get("RUNCAST_FUZZ_CASES", "25"))
NOW = "2026-11-26T08:00:00.000Z"
PLACES = {
    "claude": f"projects/-w-app/{CLAUDE}.jsonl",
    "qwen": "projects/p/chats/s.jsonl",
    "copilot": "session-state/s/events.jsonl",
    "cursor": "projects/p/agent-transcripts/s/s.jsonl",
}
"""Where a session of each agent lies whose name doesn't depend on its records."""


def taken(spool: list[Json], directory: RunDirectory) -> None:
    """Raises what a server would refuse."""
    made = directory.read_run()
    kept = ("key", "name", "phase", "steps", "status", "agent_type", "agent_name", "metadata")
    RunNew.model_validate({name: made[name] for name in kept if made[name] is not None})
    for message in spool:
        data = message["data"]
        if message["type"] == "agent:log":
            entry = entries.entry_of(data, "data")
            entries.encode(entry, NOW, entries.ENTRY_BYTES, "data", source="session")
        elif message["type"] == "run:progress":
            ProgressNew.model_validate(data)
        else:
            RunPatch.model_validate(data)


def written(program: str, content: bytes) -> int:
    """The number of runs that a file of this content becomes."""
    with tempfile.TemporaryDirectory() as place:
        world = World(Path(place))
        world.idle_close_seconds = 0.0
        world.write(world.home / program / PLACES[program], content)
        watcher = world.watcher(program)
        world.rounds(watcher, 3)
        watcher.close()
        keys = world.run_keys() if world.runs.exists() else []
        for key in keys:
            taken(world.spool(key), RunDirectory(world.runs / key))
        return len(keys)


@pytest.mark.parametrize("program", sorted(PLACES))
def test_the_samples_become_runs(program: str) -> None:
    records = GIVEN[program][1]
    assert written(program, b"".join(orjson.dumps(each) + b"\n" for each in records)) == 1


@pytest.mark.parametrize("program", sorted(PLACES))
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_odd_records_make_messages_that_a_server_takes(program: str, data: st.DataObject) -> None:
    records = GIVEN[program][1]
    chosen = data.draw(st.lists(st.sampled_from(range(len(records))), min_size=1, max_size=5))
    written(
        program, b"".join(json.dumps(changed(records[n], data)).encode() + b"\n" for n in chosen)
    )


odd_times: st.SearchStrategy[Any] = (
    st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.text(max_size=5)
    | st.lists(st.none(), max_size=1)
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(at=odd_times)
@example(at=1_795_680_000_000)
@example(at="1795680000")
@example(at="2026-11-26T08:00:00")
@example(at="0001-01-01T00:00:00+14:00")
@example(at="9999-12-31T23:59:59-14:00")
@example(at="2026-W48-4")
@example(at="2026-11-26T08:00:00.123456789Z")
def test_a_session_with_odd_times_arrives(at: Any) -> None:
    with tempfile.TemporaryDirectory() as place:
        world = World(Path(place))
        for kind, content in (("user", "Go"), ("assistant", "Done.")):
            message = {"role": kind, "content": content, "stop_reason": "end_turn"}
            record = {"type": kind, "sessionId": CLAUDE, "timestamp": at, "message": message}
            world.write(world.transcript, orjson.dumps(record) + b"\n")
        world.rounds(world.watcher("claude"), 3)
        assert [each["message"] for each in world.entries(CLAUDE_KEY)] == ["Go", "Done."]
        taken(world.spool(CLAUDE_KEY), RunDirectory(world.runs / CLAUDE_KEY))
