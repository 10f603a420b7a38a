"""Records that are cut, mixed up, of another version or hostile: no reader stops, and none says a permission
that no record names."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runcast.agents.claude import ClaudeReader
from runcast.agents.cline import ClineReader, usage_of
from runcast.agents.codex import CodexReader
from runcast.agents.copilot import CopilotReader
from runcast.agents.cursor import CursorReader
from runcast.agents.gemini import GeminiReader
from runcast.agents.goose import GooseReader
from runcast.agents.mini_swe import MiniSweReader
from runcast.agents.opencode import OpencodeReader
from runcast.agents.openhands import OpenHandsReader
from runcast.agents.qwen import QwenReader
from runcast.agents.said import AttentionKind, Ended, Entry, Reader, State

Json = dict[str, Any]
DATA = Path(__file__).parents[3] / "data" / "agents"
EXAMPLES = int(os.environ.get("RUNCAST_FUZZ_CASES", "40"))
CLAUDE = "6f0c2b1e-5a34-4d0e-9a77-0b6c1d2e3f40"
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError, RecursionError)
"""What a caller of a reader counts, and passes over."""


def samples(program: str, pattern: str = "*.jsonl") -> list[Any]:
    """The records of a sample, but for a last one that is still being written."""
    found: list[Any] = []
    for path in sorted((DATA / program).rglob(pattern)):
        found += [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
    return found


SHELL = {"command": "pytest -q"}
PARTS = [
    {"type": "text", "text": "Hm.", "id": "a", "time": {"start": 1, "end": 2}},
    {"type": "tool", "callID": "c", "tool": "bash", "state": {"status": "running", "input": SHELL}},
    {"type": "step-finish", "id": "b", "reason": "stop", "cost": 1, "tokens": {"input": 4}},
]
GIVEN: dict[str, tuple[Callable[[], Reader], list[Any], frozenset[str]]] = {
    "claude": (
        lambda: ClaudeReader(f"claude-{CLAUDE}", CLAUDE),
        samples("claude", "*f40.jsonl"),
        frozenset(),
    ),
    "codex": (CodexReader, samples("codex", "rollout*.jsonl"), frozenset()),
    "gemini": (GeminiReader, samples("gemini"), frozenset()),
    "qwen": (QwenReader, samples("qwen"), frozenset()),
    "cursor": (
        CursorReader,
        [
            {"role": "assistant", "message": {"content": [{"type": "tool_use", "name": "Shell"}]}},
            {"role": "user", "message": {"content": [{"type": "text", "text": "Go"}]}},
            {"type": "turn_ended"},
        ],
        frozenset(),
    ),
    "copilot": (CopilotReader, samples("copilot"), frozenset({"permission.requested"})),
    "opencode": (
        OpencodeReader,
        [{"part": part, "role": "assistant", "model": "m", "ts": "2026"} for part in PARTS],
        frozenset(),
    ),
    "cline": (
        ClineReader,
        [
            {"ts": 1, "type": "say", "say": "task", "text": "Go", "modelInfo": {"modelId": "m"}},
            {"ts": 2, "type": "ask", "ask": "command", "text": "pytest"},
            {"ts": 3, "type": "say", "say": "command_output", "text": "ok"},
            {"ts": 4, "type": "say", "say": "api_req_started", "text": '{"tokensIn": 5}'},
            {"usage": {"m": [1, 2, 3, 4, 1, 0.5]}},
        ],
        frozenset({"ask"}),
    ),
    "goose": (
        GooseReader,
        [
            {"role": "user", "content": [{"type": "text", "text": "Go"}], "ts": "2026"},
            {
                "role": "assistant",
                "content": [
                    {"type": "toolRequest", "id": "c", "toolCall": {"value": {"name": "shell"}}},
                    {"type": "actionRequired", "data": {"actionType": "toolConfirmation"}},
                    {"type": "toolResponse", "id": "c", "toolResult": {"value": {"content": []}}},
                ],
            },
            {"session": {"accumulated_input_tokens": 5, "model_config_json": "{}"}},
        ],
        frozenset({"actionRequired", "toolConfirmationRequest"}),
    ),
    "openhands": (
        OpenHandsReader,
        [
            {"kind": "MessageEvent", "source": "user", "llm_message": {"content": "Go"}},
            {"kind": "ActionEvent", "tool_name": "t", "tool_call_id": "1", "action": SHELL},
            {"state": {"execution_status": "waiting_for_confirmation"}},
        ],
        frozenset({"waiting_for_confirmation"}),
    ),
    "mini-swe": (
        MiniSweReader,
        [{"role": "user", "content": "Go"}, {"info": {"model_stats": {"api_calls": 1}}}],
        frozenset(),
    ),
}
odd = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "x", "\x1b[2J", "\x00", "9" * 400, "2026-11-26T08:00:00Z", "tool", "-"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "id", "text", "x", "content"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)


def changed(value: Any, data: st.DataObject, depth: int = 0) -> Any:
    """The value with something in it left out, replaced or added."""
    what = data.draw(st.sampled_from(["keep", "keep", "replace", "inside", "inside", "drop"]))
    if what == "keep" or depth > 6:
        return value
    if what == "replace" or not isinstance(value, dict | list) or not value:
        return data.draw(odd)
    if isinstance(value, list):
        place = data.draw(st.integers(0, len(value) - 1))
        inner = [] if what == "drop" else [changed(value[place], data, depth + 1)]
        return [*value[:place], *inner, *value[place + 1 :]]
    name = data.draw(st.sampled_from(sorted(value)))
    rest = {key: each for key, each in value.items() if key != name}
    return rest if what == "drop" else rest | {name: changed(value[name], data, depth + 1)}


def well_formed(said: Any, record: Any, names: frozenset[str]) -> None:
    if isinstance(said, Entry):
        assert isinstance(said.message, str)
        assert len(orjson.dumps(said.payload, default=str)) < 200_000
    elif isinstance(said, State):
        assert said.kind is None or said.kind in get_args(AttentionKind)
        if said.kind == "permission":
            text = json.dumps(record)
            assert any(name in text for name in names), text
    elif isinstance(said, Ended):
        assert said.status in ("completed", "failed")


@pytest.mark.parametrize("program", sorted(GIVEN))
@settings(max_examples=EXAMPLES, deadline=None)
@given(data=st.data())
def test_no_record_stops_a_reader(program: str, data: st.DataObject) -> None:
    make, records, names = GIVEN[program]
    reader = make()
    chosen = data.draw(st.lists(st.sampled_from(range(len(records))), min_size=1, max_size=6))
    given_records = [changed(records[place], data) for place in chosen]
    for record in given_records:
        try:
            told = reader.read(record)
        except UNREADABLE:
            continue
        for each in told:
            well_formed(each, record, names)
    usage = reader.tally.usage()
    assert all(usage[name] >= 0 for name in ("input_tokens", "output_tokens", "requests"))
    if program == "cline":
        usage_of(given_records)


@pytest.mark.parametrize("program", sorted(GIVEN))
def test_the_samples_are_understood(program: str) -> None:
    """The fuzz begins with records that say something."""
    make, records, _ = GIVEN[program]
    reader = make()
    assert sum(len(reader.read(record)) for record in records if isinstance(record, dict)) >= 2
