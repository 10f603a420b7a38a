"""What editors and agents say to each other, as a run's record."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast.agents.acp import Asked, Conversation, Resolved
from runcast.agents.streams.said import Doing, Entry, Used, Waits
from runcast.cli.acp import _hearing

SAMPLE = Path(__file__).parents[3] / "data" / "agents" / "acp" / "agent-to-client.jsonl"


def update(kind: str, /, **members: Any) -> dict[str, Any]:
    told = {"sessionId": "s1", "update": {"sessionUpdate": kind, **members}}
    return {"jsonrpc": "2.0", "method": "session/update", "params": told}


def request(number: int, method: str, **given: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": given}


def said(conversation: Conversation, *messages: dict[str, Any]) -> list[Any]:
    return [heard.said for each in messages for heard in conversation.from_agent(each)]


def test_the_sample_is_a_tool_a_permission_its_usage_and_a_turn_that_is_over() -> None:
    conversation = Conversation()
    prompt = request(2, "session/prompt", sessionId="s1", prompt=[{"type": "text", "text": "go"}])
    began = [heard.said for heard in conversation.from_client(prompt)]
    assert began[0] == Waits(None)
    assert (began[1].event_type, began[1].message) == ("prompt", "go")
    tool, doing, asked, used, idle = said(
        conversation, *(orjson.loads(line) for line in SAMPLE.read_bytes().splitlines())
    )
    assert (tool.event_type, tool.message) == ("tool", "execute: pytest -q")
    assert doing == Doing("execute: pytest -q")
    assert isinstance(asked, Asked)
    assert (asked.request, asked.body, asked.call_id) == (5, "pytest -q", "call_1")
    assert [option["role"] for option in asked.options] == ["allow", "deny"]
    assert isinstance(used, Used)
    assert (used.usage["context_tokens"], used.usage["cost_usd"]) == (53_000, 0.045)
    assert idle == Waits("idle", "waits for a prompt")
    answer = {"id": 5, "result": {"outcome": {"outcome": "selected", "optionId": "allow-once"}}}
    assert [heard.said for heard in conversation.from_client(answer)] == [Resolved(5)]
    assert list(conversation.from_client(answer)) == []


def test_parts_of_a_message_are_one_entry_and_thoughts_another() -> None:
    parts = [
        update("agent_thought_chunk", content={"type": "text", "text": "Hm."}),
        update("agent_message_chunk", content={"type": "text", "text": "I'll "}),
        update("agent_message_chunk", content={"type": "text", "text": "run it."}),
        update("plan", entries=[{"content": "run", "status": "in_progress"}]),
    ]
    think, say, plan = said(Conversation(), *parts)
    assert (think.event_type, think.level, say.message) == ("think", "debug", "I'll run it.")
    assert plan.message == "0 of 1 done: run"


def test_a_result_has_its_text_and_whether_it_failed() -> None:
    text = {"type": "content", "content": {"type": "text", "text": "2 failed"}}
    begin = update("tool_call", toolCallId="a", title="Run tests", kind="execute", status="pending")
    end = update("tool_call_update", toolCallId="a", status="failed", content=[text])
    tool, _, result = said(Conversation(), begin, end)
    assert tool.message == "execute: Run tests"
    assert (result.level, result.message, result.payload["ok"]) == ("error", "2 failed", False)


def test_a_session_that_is_loaded_does_not_say_its_history_again() -> None:
    conversation = Conversation()
    list(conversation.from_client(request(1, "session/load", sessionId="s1", cwd="/w")))
    old = update("agent_message_chunk", content={"type": "text", "text": "old"})
    assert said(conversation, old, old) == []
    [notice] = said(conversation, {"id": 1, "result": None})
    assert notice.message == "Continues a session of 2 records"
    [entry] = said(conversation, old, update("plan", entries=[]))
    assert entry.message == "old"


@pytest.mark.parametrize("reason", ["max_tokens", "refusal", "cancelled"])
def test_a_turn_that_ends_in_another_way_says_how(reason: str) -> None:
    conversation = Conversation()
    list(conversation.from_client(request(9, "session/prompt", sessionId="s1", prompt=[])))
    notice, idle = said(conversation, {"id": 9, "result": {"stopReason": reason}})
    assert isinstance(notice, Entry)
    assert notice.message == f"The turn ended: {reason.replace('_', ' ')}"
    assert idle.kind == "idle"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
NAMES = (
    "sessionId", "update", "sessionUpdate", "content", "entries", "toolCall", "options", "title",
    "rawInput", "status", "toolCallId", "kind", "cost", "prompt", "stopReason", "outcome",
)  # fmt: skip
METHODS = st.sampled_from(
    ["initialize", "session/new", "session/load", "session/prompt", "session/update",
     "session/request_permission", "session/cancel"]
)  # fmt: skip


@given(st.lists(st.tuples(st.booleans(), st.fixed_dictionaries(
    {"params": st.dictionaries(st.sampled_from(NAMES), JSON) | JSON},
    optional={"id": st.integers(0, 3), "method": METHODS, "result": JSON, "error": JSON},
)), max_size=8))  # fmt: skip
def test_no_message_stops_it(messages: list[tuple[bool, dict[str, Any]]]) -> None:
    conversation = Conversation()
    for is_agent, message in messages:
        list((conversation.from_agent if is_agent else conversation.from_client)(message))
    list(conversation.finish())


def test_a_message_that_cannot_be_recorded_costs_no_other_one() -> None:
    taken: list[str] = []

    class Odd:
        conversation = Conversation()

        def take(self, heard: Any) -> None:
            if isinstance(heard.said, Entry):
                if heard.said.message == "odd":
                    raise RuntimeError("odd")
                taken.append(heard.said.message)

    hear = _hearing(Odd())  # type: ignore[arg-type]
    for text in ("one", "odd", "two"):
        prompt = request(
            2, "session/prompt", sessionId="s", prompt=[{"type": "text", "text": text}]
        )
        hear(False, orjson.dumps(prompt) + b"\n")
    assert taken == ["one", "two"]
