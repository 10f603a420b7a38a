"""Readers of agents' records: the samples become exactly what is expected of them."""

import json
from pathlib import Path
from typing import Any

from runcast.agents.claude import ClaudeReader
from runcast.agents.codex import CodexReader
from runcast.agents.copilot import CopilotReader
from runcast.agents.gemini import GeminiReader
from runcast.agents.qwen import QwenReader
from runcast.agents.said import About, ChildOver, Ended, Entry, Reader, Said, State

DATA = Path(__file__).parents[3] / "data" / "agents"
CLAUDE = "6f0c2b1e-5a34-4d0e-9a77-0b6c1d2e3f40"
KEY = f"claude-{CLAUDE}"
PROJECT = DATA / "claude" / "projects" / "-w-app"
DAY = DATA / "codex" / "sessions" / "2026" / "11" / "26"


def records(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1] if line]


def read(reader: Reader, path: Path) -> list[Said]:
    return [said for record in records(path) for said in reader.read(record)]


def shown(said: list[Said]) -> list[dict[str, Any]]:
    """The entries as the expected files have them."""
    return [
        {"event_type": each.event_type, "level": each.level, "message": each.message}
        | ({"payload": each.payload} if each.payload else {})
        for each in said
        if isinstance(each, Entry)
    ]


def facts(said: list[Said]) -> tuple[dict[str, Any], str | None]:
    found: dict[str, Any] = {}
    name = None
    for each in said:
        if isinstance(each, About):
            found |= each.facts
            name = each.name or name
    return found, name


def expected(name: str) -> Any:
    return json.loads((DATA / f"expected-{name}.json").read_bytes())


def with_levels(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"level": "info"} | entry for entry in entries]


def test_claude_transcript() -> None:
    want = expected("claude")
    reader = ClaudeReader(KEY, CLAUDE)
    said = read(reader, PROJECT / f"{CLAUDE}.jsonl")
    assert shown(said) == want["entries"]
    states = [each for each in said if isinstance(each, State)]
    over_time = [
        {"kind": each.kind, "summary": each.summary} if each.kind else None for each in states
    ]
    for got, wanted in zip(over_time, want["attention_over_time"], strict=True):
        assert (got and {name: got[name] for name in wanted}) == wanted
    usage = reader.tally.usage()
    assert {name: usage[name] for name in want["usage"] if name != "by_model"} == {
        name: value for name, value in want["usage"].items() if name != "by_model"
    }
    [(model, counts)] = usage["by_model"].items()
    assert want["usage"]["by_model"] == {
        model: {name: counts[name] for name in want["usage"]["by_model"][model]}
    }
    known, name = facts(said)
    agent = want["run"]["metadata"]["agent"]
    assert known == {each: agent[each] for each in known}
    assert known["model"] == agent["model"]
    assert name == want["run"]["name"]
    assert sorted(reader.unknown) == sorted(want["skipped"]["unknown_type"])
    assert reader.skipped["duplicate_uuid"] == want["skipped"]["duplicate_uuid"]
    [over] = [each for each in said if isinstance(each, ChildOver)]
    assert (over.agent_id, over.status) == ("a1b2c3d4", "completed")


def test_claude_sub_agent() -> None:
    want = expected("claude")["child"]
    reader = ClaudeReader(KEY, CLAUDE, is_subagent=True)
    said = read(reader, PROJECT / CLAUDE / "subagents" / "agent-a1b2c3d4.jsonl")
    assert shown(said) == with_levels(want["entries"])
    usage = reader.tally.usage()
    assert {name: usage[name] for name in want["usage"]} == want["usage"]


def test_codex_rollout() -> None:
    want = expected("codex")
    reader = CodexReader()
    said = read(reader, next(DAY.glob("*0a.jsonl")))
    assert shown(said) == with_levels(want["entries"])
    assert [each.kind for each in said if isinstance(each, State)] == [None, "idle", "idle"]
    known, name = facts(said)
    agent = want["run"]["metadata"]["agent"]
    assert known == {each: agent[each] for each in agent if each != "program"}
    assert name == want["run"]["name"]
    assert_codex_usage(reader, want["usage"])


def test_codex_sub_agent_leaves_out_what_was_copied() -> None:
    want = expected("codex")["child"]
    reader = CodexReader()
    said = read(reader, next(DAY.glob("*0b.jsonl")))
    assert shown(said) == with_levels(want["entries"])
    assert facts(said)[1] == want["name"]
    assert_codex_usage(reader, want["usage"])


def assert_codex_usage(reader: CodexReader, want: dict[str, int]) -> None:
    usage = reader.tally.usage()
    cached = want["cached_input_tokens_of_them"]
    assert usage["input_tokens"] == want["input_tokens"] - cached
    assert usage["cache_read_tokens"] == cached
    assert usage["output_tokens"] == want["output_tokens"]
    assert usage["reasoning_tokens"] == want["reasoning_tokens_of_them"]
    for name in ("context_tokens", "context_window"):
        if name in want:
            assert usage[name] == want[name]


def kinds(said: list[Said]) -> list[tuple[str, str, str]]:
    return [(e.event_type, e.level, e.message) for e in said if isinstance(e, Entry)]


def states(said: list[Said]) -> list[str | None]:
    return [each.kind for each in said if isinstance(each, State)]


def test_gemini_tells_a_message_that_comes_again_once() -> None:
    reader = GeminiReader()
    said = read(reader, next((DATA / "gemini").rglob("session-*.jsonl")))
    assert kinds(said) == [
        ("prompt", "info", "Fix the login test"),
        ("tool", "info", "run_shell_command: pytest -q"),
        ("tool_result", "error", "1 failed"),
        ("say", "info", "One test fails."),
        ("notice", "warning", "Went back to an earlier message"),
    ]
    assert "permission" not in states(said)
    assert states(said)[-1] == "idle"
    usage = reader.tally.usage()
    assert [usage[name] for name in ("input_tokens", "cache_read_tokens", "output_tokens")] == [
        1200,
        17000,
        112,
    ]
    assert usage["requests"] == 2


def test_qwen() -> None:
    reader = QwenReader()
    said = read(reader, next((DATA / "qwen").rglob("*.jsonl")))
    assert kinds(said) == [
        ("prompt", "info", "Fix the login test"),
        ("tool", "info", "run_shell_command: pytest -q"),
        ("tool_result", "error", "1 failed"),
    ]
    assert facts(said)[0]["model"] == "qwen3-coder-plus"
    usage = reader.tally.usage()
    assert [usage[name] for name in ("input_tokens", "cache_read_tokens", "output_tokens")] == [
        1000,
        8000,
        100,
    ]


def test_copilot_says_what_it_waits_for_and_that_it_ended() -> None:
    reader = CopilotReader()
    said = read(reader, next((DATA / "copilot").rglob("*.jsonl")))
    assert kinds(said) == [
        ("prompt", "info", "Fix the login test"),
        ("tool", "info", "bash: pytest -q"),
        ("tool_result", "error", "exit 1"),
        ("say", "info", "One test fails."),
    ]
    assert states(said) == [None, "permission", None, None, "idle"]
    assert said[-1] == Ended("completed")
    usage = reader.tally.usage()
    assert usage["by_model"] == {
        "gpt-5.6": {
            "input_tokens": 1000,
            "output_tokens": 72,
            "cache_read_tokens": 8000,
            "cache_write_tokens": 0,
            "reasoning_tokens": 0,
            "requests": 1,
        }
    }


def copilot(kind: str, **data: Any) -> dict[str, Any]:
    return {"type": kind, "data": data, "timestamp": "2026-11-26T10:00:00Z"}


def test_copilots_totals_of_every_model_count() -> None:
    reader = CopilotReader()
    metrics = {
        model: {"requests": {"count": 2}, "usage": {"inputTokens": tokens, "outputTokens": 1}}
        for model, tokens in (("main", 500), ("small", 30))
    }
    for record in (
        copilot("session.start", selectedModel="main"),
        copilot("assistant.message", messageId="m", outputTokens=9),
        copilot("session.shutdown", modelMetrics=metrics),
    ):
        reader.read(record)
    by_model = reader.tally.usage()["by_model"]
    assert {model: used["input_tokens"] for model, used in by_model.items()} == {
        "main": 500,
        "small": 30,
    }
    assert by_model["main"]["output_tokens"] == 1


def test_what_copilot_asked_before_it_was_killed_is_not_waited_for() -> None:
    for again in ([copilot("session.resume")], [copilot("session.start")], []):
        reader = CopilotReader()
        said: list[Said] = []
        for record in (
            copilot("permission.requested", requestId="r1"),
            *again,
            copilot("user.message", content="go on"),
            copilot("permission.requested", requestId="r2"),
            copilot("permission.completed", requestId="r2"),
        ):
            said += reader.read(record)
        resumed = ["idle"] if again and again[0]["type"] == "session.resume" else []
        assert states(said) == ["permission", *resumed, None, "permission", None]
        assert reader.unknown == {}


def test_copilot_that_resumed_is_idle_at_the_end_of_a_turn() -> None:
    reader = CopilotReader()
    reader.read(copilot("permission.requested", requestId="r1"))
    reader.read(copilot("session.resume"))
    assert states(reader.read(copilot("assistant.turn_end"))) == ["idle"]
