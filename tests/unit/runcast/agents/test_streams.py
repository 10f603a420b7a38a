"""What agents print as JSON, read as what they say: each sample, however it is cut; and all other output."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runcast.agents.streams import dialects, programs, reading
from runcast.agents.streams.reading import Heard, Reading
from runcast.agents.streams.said import About, Began, Entry, Over, Used, Waits

SAMPLES = Path(__file__).parents[3] / "data" / "agents"
STREAMS = {
    "claude": "claude/stream.jsonl",
    "codex": "codex/exec.jsonl",
    "gemini": "gemini/stream.jsonl",
    "cursor": "cursor/stream.jsonl",
    "opencode": "opencode/run.jsonl",
}
EXPECTED: dict[str, list[tuple[str, str, str]]] = {
    "claude": [
        ("say", "info", "I run the test first."),
        ("tool", "info", "Agent: Find the token check"),
        ("tool", "info", "Grep: token"),
        ("notice", "warning", "Retry 1 of 10: 529 overloaded"),
        ("notice", "warning", "Permission to use Bash was denied"),
        ("error", "error", "error_max_turns: Reached maximum number of turns (3)"),
    ],
    "codex": [
        ("tool", "info", "shell: bash -lc 'pytest -q'"),
        ("tool_result", "error", "1 failed\n"),
        ("plan", "info", "0 of 1 done"),
        ("tool", "info", "apply_patch: app/auth.py"),
        ("tool_result", "info", "completed"),
        ("say", "info", "Fixed."),
    ],
    "gemini": [
        ("prompt", "info", "Fix the login test"),
        ("tool", "info", "run_shell_command: pytest -q"),
        ("tool_result", "error", "1 failed"),
        ("say", "info", "One test fails."),
    ],
    "cursor": [
        ("tool", "info", "shell: pytest -q"),
        ("tool_result", "error", "1 failed"),
        ("say", "info", "One test fails."),
    ],
    "opencode": [
        ("tool", "info", "bash: pytest -q"),
        ("tool_result", "error", "1 failed"),
        ("say", "info", "One test fails."),
        ("error", "error", "ProviderAuthError: no key"),
    ],
}
USED: dict[str, tuple[int, ...]] = {
    "claude": (12, 155, 56700, 1800, 3),
    "codex": (3000, 320, 17000, 0, 1),
    "gemini": (1200, 72, 17000, 0, 2),
    "opencode": (8, 115, 37500, 1200, 2),
}
ERRORS = {
    "claude": "error_max_turns: Reached maximum number of turns (3)",
    "opencode": "ProviderAuthError: no key",
}


def sample(program: str) -> bytes:
    return (SAMPLES / STREAMS[program]).read_bytes()


def heard(pieces: Iterable[bytes], choice: str = "auto") -> list[Heard]:
    """What pieces of output say; neighbouring lines as one list, as they may come apart."""
    read = Reading(["agent"], choice)
    found: list[Heard] = []
    for each in (*(said for piece in pieces for said in read.feed(piece)), *read.finish()):
        if isinstance(each, list) and found and isinstance(found[-1], list):
            found[-1] = found[-1] + each
        else:
            found.append(each)
    return found


def entries(said: Iterable[Heard]) -> list[tuple[str, str, str]]:
    return [(e.event_type, e.level, e.message) for e in said if isinstance(e, Entry)]


def lines(said: Iterable[Heard]) -> list[str]:
    return [line for each in said if isinstance(each, list) for line in each]


@pytest.mark.parametrize("program", STREAMS)
def test_each_sample_becomes_entries_usage_and_an_end(program: str) -> None:
    said = heard([sample(program)])
    assert entries(said) == EXPECTED[program]
    assert lines(said) == []
    used = [each.usage for each in said if isinstance(each, Used)]
    if program in USED:
        names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
        assert tuple(used[-1][name] for name in (*names, "requests")) == USED[program]
    [over] = [each for each in said if isinstance(each, Over) and each.child is None]
    assert over.error == ERRORS.get(program)
    assert [each.program for each in said if isinstance(each, About)][-1] == program


def test_costs_are_the_agents_own_and_a_sub_agent_is_a_run_of_its_own() -> None:
    said = heard([sample("claude")])
    [*_, used] = [each.usage for each in said if isinstance(each, Used)]
    assert (used["cost_usd"], used["cost_by"], used["context_window"]) == (0.1234, "agent", 200_000)
    [began] = [each for each in said if isinstance(each, Began)]
    assert (began.name, began.agent_id, began.agent_name) == (
        "Find the token check",
        "a1b2c3d4",
        "Explore",
    )
    children = {each.message: each.child for each in said if isinstance(each, Entry)}
    assert children["Grep: token"] == began.child
    assert children["I run the test first."] is None
    [*_, of_opencode] = [
        each.usage for each in heard([sample("opencode")]) if isinstance(each, Used)
    ]
    assert of_opencode["cost_usd"] == pytest.approx(0.03)


@pytest.mark.parametrize("program", STREAMS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_how_the_output_is_cut_changes_nothing(program: str, data: st.DataObject) -> None:
    whole = sample(program)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=30)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert entries(heard(pieces)) == EXPECTED[program]
    ones = [whole[place : place + 1] for place in range(len(whole))]
    if data.draw(st.integers(0, 10)) == 0:
        assert entries(heard(ones)) == EXPECTED[program]


def test_what_is_no_record_stays_a_line() -> None:
    plain = b'{"level": "info"}\n{"type": "system"}\nnot json\nlast'
    assert heard([plain]) == [['{"level": "info"}', '{"type": "system"}', "not json", "last"]]
    assert heard([sample("claude")], "none") == [sample("claude").decode().splitlines()]
    assert heard([b"\n\n10%\r20%\r", b"\n{\n"]) == [["", "", "20%", "{"]]
    mixed = heard([b"\n" + sample("codex").replace(b"\n", b"\r\nwarning: slow\r\n")])
    assert entries(mixed) == EXPECTED["codex"]
    assert lines(mixed) == ["", *["warning: slow"] * 8]
    late = heard([b"npm warn\n", sample("claude")], "claude")
    assert (entries(late), lines(late)) == (EXPECTED["claude"], ["npm warn"])


def test_a_dialect_that_was_taken_wrongly_is_given_up() -> None:
    first = b'{"type":"thread.started","thread_id":"t"}\n'
    other = [json.dumps({"type": "mine", "n": n}) for n in range(30)]
    said = heard([first, "\n".join(other).encode(), b"\n"])
    assert lines(said) == other, "nothing of it is lost"
    few = heard([first, "\n".join(other[:5]).encode(), b"\n", sample("codex")])
    assert entries(few) == EXPECTED["codex"]


def test_large_records_are_read_whole_and_shown_with_head_and_tail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "a" * 3_000_000 + "end"
    records = [
        {"type": "system", "subtype": "init", "session_id": "s", "model": "m"},
        {"type": "assistant", "message": {"content": [
            {"type": "tool_use", "id": "1", "name": "Bash", "input": {"command": text}}]}},
        {"type": "user", "message": {"content": [
            {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": text},
             {"type": "image", "source": {"media_type": "image/png", "data": "A" * 16_460}}]}]}},
        {"type": "assistant", "message": {"content": [{"type": "text", "text": "after"}]}},
    ]  # fmt: skip
    stream = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    tool, result, say = [each for each in heard([stream]) if isinstance(each, Entry)]
    assert tool.payload is not None
    assert tool.payload["cut"] is True
    assert len(json.dumps(tool.payload)) < 20_000
    assert result.message.startswith("aaa")
    assert "bytes left out" in result.message
    assert result.message.endswith("[image image/png, 12,345 bytes]")
    assert len(result.message) < 9_000
    assert say.message == "after"
    monkeypatch.setattr(reading, "RECORD_BYTES", 1_000_000)
    said = heard([stream])
    assert [each[0] for each in entries(said)] == ["notice", "notice", "say"]


def test_a_permission_is_waited_for_until_something_else_comes() -> None:
    asked = {
        "type": "control_request",
        "request_id": "1",
        "request": {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}},
    }
    init = {"type": "system", "subtype": "init", "session_id": "s"}
    done = {"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "1"}]}}
    stream = "".join(json.dumps(each) + "\n" for each in (init, asked, done)).encode()
    waits = [(each.kind, each.summary) for each in heard([stream]) if isinstance(each, Waits)]
    assert waits == [("permission", "Bash: ls"), (None, "")]


ODD: list[Any] = [None, 7, -1, 1e400, "x", [], [1], {}, {"a": {"b": []}}, True, "\x00", "\ud800"]


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_record_stops_the_reading_and_none_says_permission_wrongly(data: st.DataObject) -> None:
    program = data.draw(st.sampled_from(sorted(STREAMS)))
    records = [json.loads(line) for line in sample(program).splitlines()]
    for record in records[1:]:
        if data.draw(st.booleans()):
            place: Any = record
            while isinstance(place, dict) and place:
                name = data.draw(st.sampled_from(sorted(place)))
                if not isinstance(place[name], dict) or data.draw(st.booleans()):
                    place[name] = data.draw(st.sampled_from(ODD))
                    break
                place = place[name]
    shuffled = [records[0], *data.draw(st.permutations(records[1:]))]
    stream = "".join(json.dumps(record) + "\n" for record in shuffled).encode()
    for each in heard([stream]):
        assert not isinstance(each, Waits)
        if isinstance(each, Entry):
            assert each.message is not None
            assert len(each.message.encode("utf-8", "replace")) < 100_000
        if isinstance(each, Used):
            counts = [each.usage[name] for name in ("input_tokens", "output_tokens", "requests")]
            assert all(0 <= count < 2**53 for count in counts)


def test_programs_and_models_are_known_by_the_command() -> None:
    assert programs.program_of(["/usr/bin/cursor-agent", "-p"]) == "cursor"
    assert programs.program_of(["python", "claude.py"]) is None
    assert programs.program_of([]) is None
    assert dialects.model_of(["codex", "exec", "-m", "gpt-6"]) == "gpt-6"
    assert dialects.model_of(["codex", "--model=gpt-6"]) == "gpt-6"
