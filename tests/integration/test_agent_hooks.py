"""Hooks of agents: what each line of the samples does, and what is answered in the agent's own words."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.rest import Rest, serving
from tests.integration.test_questions import key, person

pytestmark = pytest.mark.anyio

SAMPLES = Path(__file__).parents[1] / "data" / "agents"
SESSION = "6f0c2b1e-5a34-4d0e-9a77-0b6c1d2e3f40"
KEY = f"claude-{SESSION}"


def sample(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLES / name).read_text().splitlines()]


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


class Agent:
    """A program whose hooks run with a key of the project, with the role reporter."""

    def __init__(self, rest: Rest, headers: dict[str, str], program: str = "claude") -> None:
        self.rest, self.headers, self.program = rest, headers, program

    @classmethod
    async def of(cls, rest: Rest, program: str = "claude") -> Agent:
        return cls(rest, await key(rest, "reporter"), program)

    async def hook(self, payload: dict[str, Any], **query: Any) -> dict[str, Any]:
        path = f"/agents/{self.program}/hooks"
        answer = await self.rest.admin.post(path, json=payload, headers=self.headers, params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def event(self, name: str, **members: Any) -> dict[str, Any]:
        query = {each: members.pop(each) for each in ("hold", "sync") if each in members}
        return await self.hook({"session_id": SESSION, "hook_event_name": name} | members, **query)

    async def words(self, question: str, dialect: str = "claude-hook") -> Any:
        """What the hook prints for a question."""
        path = f"/questions/{question}"
        shown = await self.rest.admin.get(path, params={"as": dialect}, headers=self.headers)
        return shown.json()["agent_answer"]

    async def run(self, key: str = KEY) -> dict[str, Any]:
        shown = await self.rest.admin.get(f"/runs/{key}", params={"project": "demo"})
        assert shown.status_code == 200, shown.text
        found: dict[str, Any] = shown.json()
        return found

    async def standing(self, key: str = KEY) -> tuple[str, str | None]:
        run = await self.run(key)
        return run["status"], (run["attention"] or {}).get("kind")


async def answer(rest: Rest, headers: dict[str, str], question: str, **given: Any) -> None:
    path = f"/questions/{question}/answer"
    replied = await rest.admin.post(path, json=given, headers=headers)
    assert replied.status_code == 200, replied.text


async def state(rest: Rest, question: str) -> str:
    return str((await rest.admin.get(f"/questions/{question}")).json()["state"])


async def test_each_line_of_the_samples_gives_the_state_of_the_table(rest: Rest) -> None:
    agent = await Agent.of(rest)
    lines = sample("claude/hooks.jsonl")
    stands, asked = [], []
    for line in lines:
        said = await agent.hook(line, hold=1)
        asked.append(said.get("question_id"))
        stands.append(await agent.standing())
    assert stands == [
        ("awaiting_feedback", "idle"),
        ("running", None),
        ("awaiting_feedback", "permission"),
        ("running", None),
        ("running", None),
        ("running", None),
        ("awaiting_feedback", "question"),
        ("awaiting_feedback", "question"),
        ("running", None),
        ("awaiting_feedback", "error"),
        ("awaiting_feedback", "question"),
        ("completed", None),
    ]
    run = await agent.run()
    assert run["name"] == "Fix the login test"
    assert run["metadata"]["agent"]["cwd"] == "/w/app"
    permission, choice, form = (question for question in asked if question)
    assert await state(rest, permission) == "resolved_elsewhere", "it was given at the terminal"
    assert await state(rest, choice) == "resolved_elsewhere"
    assert await state(rest, form) == "cancelled"
    child = await agent.run(f"{KEY}.a1b2c3d4")
    assert (child["status"], child["parent_run_id"]) == ("completed", run["id"])
    assert child["result"] == "In app/auth.py, line 40."
    again = await agent.event("UserPromptSubmit", prompt="And now the docs")
    assert again == {}
    resumed = await agent.run(f"{KEY}.r2")
    assert (resumed["status"], resumed["metadata"]["agent"]["resumes"]) == ("running", KEY)
    log = await rest.admin.get(f"/runs/{run['id']}/logs")
    assert "prompt" in [entry["event_type"] for entry in log.json()["logs"]]


async def test_answers_are_the_agents_own_words_byte_for_byte(rest: Rest) -> None:
    agent, ana = await Agent.of(rest), await person(rest, "Ana", "editor")
    _, _, permission, _, _, _, choice, _, _, _, form, _ = sample("claude/hooks.jsonl")
    printed: list[Any] = []
    for line, given in (
        (permission, {"option": "allow"}),
        (permission, {"option": "allow_session"}),
        (permission, {"option": "deny", "text": "not on this machine"}),
        (choice, {"data": {"1": "UTC"}}),
        (form, {"data": {"stage": "dev"}}),
    ):
        question = (await agent.hook(line, hold=1))["question_id"]
        assert await agent.words(question) is None
        again = (await agent.hook(line, hold=1))["question_id"]
        assert again == question, "a hook that runs again while it is open asks nothing new"
        await answer(rest, ana, question, **given)
        printed.append(await agent.words(question))
    run = await agent.run()
    said = {"text": "please also update the changelog"}
    queued = await rest.admin.post(f"/runs/{run['id']}/say", json=said, headers=ana)
    assert queued.json()["state"] == "queued"
    stopped = await agent.event("Stop", last_assistant_message="Done.", background_tasks=[])
    assert await agent.standing() == ("running", None)
    nothing = await agent.event("Stop", last_assistant_message="Done.", background_tasks=[])
    await rest.admin.post(f"/runs/{run['id']}/cancel", headers=ana)
    printed += [await agent.event("PreToolUse", tool_name="Bash", tool_input={}), stopped, nothing]

    def canonical(values: list[Any]) -> list[str]:
        return [json.dumps(value, sort_keys=True) for value in values]

    assert canonical(printed) == canonical(sample("claude/hook-answers.jsonl"))
    types = [event["type"] for event in await rest.events(types="message:queued,message:delivered")]
    assert types == ["message:queued", "message:delivered"]


async def test_an_answer_counts_for_one_request_alone(rest: Rest) -> None:
    agent, ana = await Agent.of(rest), await person(rest, "Ana", "editor")
    ask: dict[str, Any] = {"tool_name": "Bash", "tool_input": {"command": "ls"}, "hold": 1}
    first = (await agent.event("PermissionRequest", **ask))["question_id"]
    await answer(rest, ana, first, option="allow")
    second = (await agent.event("PermissionRequest", **ask))["question_id"]
    assert second != first
    assert await agent.words(second) is None
    await agent.event("PostToolUse", tool_name="Bash", tool_input={"command": "pwd"})
    assert await state(rest, second) == "open", "another command"
    await agent.event("PermissionDenied", tool_name="Bash", tool_input={"command": "ls"})
    assert (await state(rest, second), await agent.words(second)) == ("resolved_elsewhere", {})


async def test_what_would_block_the_agent_is_held_only_while_its_owner_is_away(rest: Rest) -> None:
    codex = await Agent.of(rest, "codex")
    request, stop = sample("codex/hooks.jsonl")
    name = f"codex-{request['session_id']}"
    assert await codex.hook(request, hold=1) == {}
    assert await codex.standing(name) == ("awaiting_feedback", "permission")
    [question] = (await rest.admin.get("/questions?state=open")).json()["questions"]
    assert question["answerable"] is False
    assert await codex.hook(stop) == {}
    assert await codex.standing(name) == ("awaiting_feedback", "idle")
    assert (await rest.admin.put("/auth/me/away", json={"away": True})).json()["away"] is True
    held = (await codex.hook(request, hold=1))["question_id"]
    option = {"option": "deny", "text": "no", "via": "cli"}
    await rest.admin.post(f"/questions/{held}/answer", json=option)
    words = await codex.words(held, "codex-hook")
    decision = words["hookSpecificOutput"]["decision"]
    assert decision.keys() == {"behavior", "message"}
    [notified] = sample("codex/notify.jsonl")
    run = await codex.run(f"codex-{notified['thread-id']}")
    await rest.admin.post(f"/runs/{run['id']}/say", json={"text": "and the docs"})
    assert await codex.hook(notified) == {}, "no one reads what it prints: the message waits"
    assert (await codex.hook(stop))["reason"].endswith("and the docs")
    assert (await rest.admin.put("/auth/me/away", json={"away": False})).json()["since"] is None


@pytest.mark.parametrize("program", ["claude", "codex", "qwen"])
async def test_a_cancelled_session_stops_at_its_next_permission(rest: Rest, program: str) -> None:
    agent = await Agent.of(rest, program)
    await agent.event("UserPromptSubmit", prompt="go")
    run = await agent.run(f"{program}-{SESSION}")
    await rest.admin.post(f"/runs/{run['id']}/cancel")
    said = await agent.event("PermissionRequest", tool_name="Bash", tool_input={"command": "ls"})
    if program == "claude":
        assert said["continue"] is False
    else:
        assert said["hookSpecificOutput"]["decision"]["behavior"] == "deny"
    gone_on = await rest.admin.get(f"/runs/{program}-{SESSION}.r2", params={"project": "demo"})
    assert gone_on.status_code == 404
    await agent.event("UserPromptSubmit", prompt="go on")
    asked = await agent.event("PermissionRequest", tool_name="Bash", tool_input={"command": "ls"})
    assert asked == {}
    assert await agent.standing(f"{program}-{SESSION}.r2") == ("awaiting_feedback", "permission")


async def test_secrets_stay_out_of_the_log_and_are_whole_in_what_is_approved(rest: Rest) -> None:
    agent = await Agent.of(rest)
    token = "gh" + "p_" + "a1B2" * 9
    await agent.event("UserPromptSubmit", prompt=f"Use {token}")
    given = {"tool_name": "Bash", "tool_input": {"command": f"curl -H {token}"}}
    asked = (await agent.event("PermissionRequest", **given, hold=1))["question_id"]
    question = (await rest.admin.get(f"/questions/{asked}")).json()
    assert token in question["body"], "what is approved is what is read"
    await agent.event("PostToolUse", **given)
    await agent.event("Stop", last_assistant_message=f"I used {token}.")
    run = await agent.run()
    log = (await rest.admin.get(f"/runs/{run['id']}/logs")).json()["logs"]
    assert run["name"] == "Use [redacted]"
    assert [line["message"] for line in log] == [
        "Use [redacted]",
        "Bash: curl -H [redacted]",
        "I used [redacted].",
    ]
    assert token not in json.dumps(run)


async def test_qwen_has_the_events_of_claude_and_tells_its_model_more(rest: Rest) -> None:
    qwen = await Agent.of(rest, "qwen")
    name = f"qwen-{SESSION}"
    stands: list[Any] = []

    async def event(name_of: str, **members: Any) -> dict[str, Any]:
        said = await qwen.event(name_of, **members)
        stands.append(await qwen.standing(name))
        return said

    shell = {"tool_name": "run_shell_command", "tool_input": {"command": "pytest -q"}}
    asking = {"tool_name": "ask_user_question", "tool_input": {
        "questions": [{"question": "Which?", "options": [{"label": "A"}, {"label": "B"}]}]}}  # fmt: skip
    await rest.admin.put("/auth/me/away", json={"away": True})
    await event("SessionStart", source="startup")
    await event("UserPromptSubmit", prompt="Fix it\n<context>", submitted_prompt="Fix it")
    held = (await event("PermissionRequest", **shell, hold=1))["question_id"]
    await answer(rest, {}, held, option="allow")
    assert (await qwen.words(held))["hookSpecificOutput"]["decision"] == {"behavior": "allow"}
    await event("PostToolUse", **shell)
    await event("UserPromptSubmit", prompt="result of the tool")
    assert await event("PermissionRequest", **asking, hold=1) == {}, "it can't be answered here"
    await event("PostToolUse", **asking)
    await event("Stop", last_assistant_message="Done.")
    await event("UserPromptSubmit", prompt="And the docs")
    await event("StopFailure", error="rate_limit")
    await event("SessionEnd", reason="other")
    assert [kind or status for status, kind in stands] == [
        "idle", "running", "permission", "running", "running", "question", "running", "idle", "running",
        "error", "completed",
    ]  # fmt: skip
    run = await qwen.run(name)
    log = (await rest.admin.get(f"/runs/{run['id']}/logs")).json()["logs"]
    assert [line["message"] for line in log if line["event_type"] == "prompt"] == [
        "Fix it",
        "And the docs",
    ]
    await rest.admin.put("/auth/me/away", json={"away": False})


async def test_other_agents_are_understood(rest: Rest) -> None:
    gemini = await Agent.of(rest, "gemini")
    tool, after = sample("gemini/hooks.jsonl")
    name = f"gemini-{tool['session_id']}"
    await gemini.hook(tool)
    assert await gemini.standing(name) == ("awaiting_feedback", "permission")
    await gemini.hook(after)
    assert await gemini.standing(name) == ("awaiting_feedback", "idle")
    opencode = await Agent.of(rest, "opencode")
    stands: list[Any] = []
    for event in sample("opencode/events.jsonl")[1:]:
        await opencode.hook(event, hold=1)
        stands.append(await opencode.standing("opencode-ses_1"))
    assert [kind for _, kind in stands] == [
        None, None, None, None, "permission", None, None, "question", "question", "question", "idle",
    ]  # fmt: skip
    assert (await opencode.run("opencode-ses_1"))["name"] == "Fix the login test"


async def test_copilot_and_cursor_tell_what_they_do(rest: Rest) -> None:
    copilot = await Agent.of(rest, "copilot")
    stands: list[Any] = []
    for event, members in (
        ("sessionStart", {"cwd": "/w/app", "source": "new"}),
        ("userPromptSubmitted", {"prompt": "Fix the login test"}),
        ("postToolUse", {"toolName": "bash", "toolArgs": '{"command": "pytest -q"}',
                         "toolResult": {"resultType": "failure"}}),
        ("errorOccurred", {"error": {"name": "Net", "message": "again"}, "recoverable": True}),
        ("notification", {"hook_event_name": "Notification", "notification_type": "permission_prompt",
                          "message": "bash"}),
        ("postToolUseFailure", {"toolName": "bash", "toolArgs": {"command": "ls"}, "error": "no"}),
        ("errorOccurred", {"error": {"name": "Quota", "message": "limit reached"}}),
        ("agentStop", {}),
        ("sessionEnd", {"reason": "complete"}),
        ("tomorrow", {"toolArgs": 7}),
    ):  # fmt: skip
        await copilot.hook({"sessionId": "c1", "timestamp": 1} | members, event=event)
        stands.append(await copilot.standing("copilot-c1"))
    assert stands == [
        ("awaiting_feedback", "idle"), ("running", None), ("running", None), ("running", None),
        ("awaiting_feedback", "permission"), ("running", None),
        ("awaiting_feedback", "error"), ("awaiting_feedback", "idle"), ("completed", None),
        ("completed", None),
    ]  # fmt: skip
    run = await copilot.run("copilot-c1")
    log = (await rest.admin.get(f"/runs/{run['id']}/logs")).json()["logs"]
    assert [(entry["event_type"], entry["level"]) for entry in log] == [
        ("prompt", "info"), ("tool_result", "error"), ("error", "error"), ("tool_result", "error"),
        ("error", "error"),
    ]  # fmt: skip
    cursor = await Agent.of(rest, "cursor")
    stands = []
    for event, members in (
        ("beforeSubmitPrompt", {"prompt": "Go", "workspace_roots": ["/w/app"]}),
        ("stop", {"status": "error"}),
        ("afterAgentResponse", {"text": "All done."}),
        ("stop", {"status": "completed"}),
    ):
        await cursor.hook({"conversation_id": "k", "hook_event_name": event} | members)
        stands.append(await cursor.standing("cursor-k"))
    assert [kind for _, kind in stands] == [None, "error", "error", "idle"]
    await rest.admin.post(
        f"/runs/{(await cursor.run('cursor-k'))['id']}/say", json={"text": "go on"}
    )
    over = {"conversation_id": "k", "hook_event_name": "stop"}
    assert await cursor.hook(over | {"status": "aborted"}) == {}, "you have stopped it"
    assert (await cursor.hook(over | {"status": "completed"}))["followup_message"].endswith("go on")
    assert (await cursor.run("cursor-k"))["metadata"]["agent"]["cwd"] == "/w/app"


async def test_cursor_is_stopped_and_fails_as_it_says(rest: Rest) -> None:
    cursor = await Agent.of(rest, "cursor")
    begun = {"conversation_id": "c", "hook_event_name": "beforeSubmitPrompt", "prompt": "Go"}
    await cursor.hook(begun)
    tool = {"conversation_id": "c", "hook_event_name": "preToolUse", "tool_name": "Shell"}
    assert await cursor.hook(tool) == {}, "no opinion"
    await rest.admin.post(f"/runs/{(await cursor.run('cursor-c'))['id']}/cancel")
    refused = await cursor.hook(tool)
    assert refused["permission"] == "deny"
    assert refused["agent_message"] == refused["user_message"]
    await cursor.hook(begun)
    ended = {"session_id": "other", "reason": "error", "error_message": "no quota"}
    await cursor.hook(ended | {"conversation_id": "c", "hook_event_name": "sessionEnd"})
    again = await cursor.run("cursor-c.r2")
    assert (again["status"], again["error"]) == ("failed", "no quota")


async def test_an_agent_that_was_started_in_a_run_is_found_there(rest: Rest) -> None:
    agent = await Agent.of(rest)

    async def command(**fields: Any) -> str:
        made = await rest.admin.post("/projects/demo/runs", json={"status": "running"} | fields)
        return str(made.json()["id"])

    about = {"agent": {"program": "claude"}}
    outer = await command(agent_type="WORKER", metadata=about)
    prompt = {"hook_event_name": "UserPromptSubmit", "prompt": "go"}
    await agent.hook({"session_id": "own"} | prompt, within=outer)
    assert (await agent.run("claude-own"))["id"] == outer
    await agent.hook({"session_id": "own", "hook_event_name": "SessionEnd"}, within=outer)
    assert await agent.standing("claude-own") == ("running", None), "the command ends it"
    await agent.hook({"session_id": "second"} | prompt, within=outer)
    second = await agent.run("claude-second")
    assert second["parent_run_id"] == outer
    await agent.hook({"session_id": "own", "agent_id": "a"} | prompt, within=outer)
    assert (await agent.run("claude-own.a"))["parent_run_id"] == outer
    await rest.project("other")
    foreign = await rest.admin.post("/projects/other/runs", json={"metadata": about})
    await agent.hook({"session_id": "third"} | prompt, within=foreign.json()["id"])
    third = await agent.run("claude-third")
    assert third["parent_run_id"] is None, "a run of another project is none of its"


async def test_bad_hooks_are_refused_or_harmless(rest: Rest) -> None:
    agent = await Agent.of(rest)
    for session in ("../x", "x" * 10_000, "🤖/../..", "."):
        await agent.hook({"session_id": session, "hook_event_name": "UserPromptSubmit"})
    page = await rest.admin.get("/projects/demo/runs")
    keys = [run["key"] for run in page.json()["runs"]]
    assert len(set(keys)) == 4
    assert all("/" not in key and len(key) <= 128 and key.strip(".") for key in keys)
    for payload in ({}, {"session_id": 7}, {"session_id": ""}):
        refused = await rest.admin.post("/agents/claude/hooks", json=payload, headers=agent.headers)
        assert refused.status_code == 422
    unknown = await rest.admin.post("/agents/nobody/hooks", json={}, headers=agent.headers)
    assert unknown.status_code == 404
    odd: list[dict[str, Any]] = [
        {"hook_event_name": "Tomorrow"},
        {"hook_event_name": 7},
        {"hook_event_name": "PermissionRequest", "tool_name": 7, "tool_input": "x"},
        {
            "hook_event_name": "PermissionRequest",
            "tool_name": "AskUserQuestion",
            "tool_input": {"questions": 1},
        },
        {
            "hook_event_name": "PermissionRequest",
            "tool_name": "T",
            "permission_suggestions": [1, {"rules": [2]}],
        },
        {"hook_event_name": "Elicitation", "requested_schema": []},
        {"hook_event_name": "Notification", "notification_type": ["x"]},
        {"hook_event_name": "Stop", "background_tasks": "many", "last_assistant_message": "\x00"},
        {
            "hook_event_name": "PermissionRequest",
            "tool_name": "B",
            "tool_input": {"command": "y" * 300_000},
        },
    ]
    for payload in odd:
        await agent.hook({"session_id": SESSION} | payload, hold=1)
    [large] = (await rest.admin.get("/questions?state=open")).json()["questions"]
    assert large["answerable"] is False, "what can't be shown whole can't be approved here"


async def test_what_cannot_be_asked_is_a_notice(rest: Rest) -> None:
    agent = await Agent.of(rest)
    await agent.event("SessionStart")
    named = {"mcp_server_name": "s", "message": "a\x00b"}
    for number, schema in enumerate(
        ({"title": "x" * 300_000}, {"type": "object", "title": "a\x00"})
    ):
        members = named | {"requested_schema": schema, "prompt_id": str(number)}
        said = await agent.event("Elicitation", hold=1, **members)
        assert bool(said) is bool(number), said
    choice = {"question": "Which\x00?", "options": [{"label": "\x00a"}, {"label": "b"}]}
    used = {"tool_name": "AskUserQuestion", "tool_input": {"questions": [choice]}}
    await agent.event("PermissionRequest", hold=1, **used)
    run = await agent.run()
    found = (await rest.admin.get("/questions", params={"run": run["id"]})).json()["questions"]
    assert {each["kind"] for each in found} >= {"notice", "form"}
    assert any("Which␀?" in str(each) for each in found)


async def test_a_hook_leaves_questions_of_others_open(rest: Rest) -> None:
    agent = await Agent.of(rest)
    await agent.event("UserPromptSubmit", prompt="go")
    run = (await agent.run())["id"]
    asked = {"kind": "choice", "title": "Go on?", "options": [{"id": "y", "label": "y"}]}
    made = await rest.admin.post(f"/runs/{run}/questions", json=asked | {"via": "budget"})
    own = await agent.event(
        "PermissionRequest", hold=1, tool_name="Bash", tool_input={"command": "ls"}
    )
    for event in ("UserPromptSubmit", "Stop"):
        await agent.event(event)
        assert await state(rest, made.json()["id"]) == "open", event
    assert await state(rest, own["question_id"]) == "resolved_elsewhere"
    assert await agent.standing() == ("awaiting_feedback", "question")


async def test_what_a_watcher_reads_is_not_told_by_hooks_too(rest: Rest) -> None:
    agent = await Agent.of(rest)
    plain = dict(agent.headers)
    agent.headers = plain | {"X-Runcast-Watched": "1"}
    await agent.event("UserPromptSubmit", prompt="Fix the login test")
    await agent.event("Stop", last_assistant_message="Done.")
    run = await agent.run()
    assert (run["status"], run["attention"]["kind"]) == ("awaiting_feedback", "idle")
    page = await rest.admin.get(f"/runs/{run['id']}/logs", headers=plain)
    assert page.json()["logs"] == []
    agent.headers = plain
    await agent.event("UserPromptSubmit", prompt="And the others")
    page = await rest.admin.get(f"/runs/{run['id']}/logs", headers=plain)
    assert [each["message"] for each in page.json()["logs"]] == ["And the others"]
