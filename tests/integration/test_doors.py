"""The same right by every door: HTTP, MCP, hooks, telemetry, many changes at once.

Each credential of a project tries what is for others by each door. What it got isn't judged by the answers
alone but by what has changed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration import whole
from tests.integration.test_people import bearer
from tests.integration.test_reach import SECRET, credentials, everything, filled, furnish
from tests.integration.whole import Whole

pytestmark = pytest.mark.anyio

Attempt = tuple[str, str, Any]
_numbers = itertools.count(1)


def tool(name: str, **arguments: Any) -> Attempt:
    """A call of an MCP tool."""
    params = {"name": name, "arguments": arguments}
    call = {"jsonrpc": "2.0", "id": next(_numbers), "method": "tools/call", "params": params}
    return ("POST", "/mcp", call)


def record(**attributes: Any) -> dict[str, Any]:
    """Telemetry of one log record."""
    given = [{"key": name, "value": {"stringValue": text}} for name, text in attributes.items()]
    scope = {"scope": {"name": "com.anthropic.claude_code.events"}, "logRecords": [
        {"timeUnixNano": "0", "eventName": "claude_code.tool_decision", "attributes": given}]}  # fmt: skip
    about = [{"key": "service.name", "value": {"stringValue": "claude-code"}}]
    return {"resourceLogs": [{"resource": {"attributes": about}, "scopeLogs": [scope]}]}


COMMAND = {"command": "rm -rf build"}
ASKED = {
    "session_id": "s",
    "hook_event_name": "PermissionRequest",
    "tool_name": "Bash",
    "tool_input": COMMAND,
}
ANSWERS: tuple[Attempt, ...] = (
    ("POST", "/questions/{question}/answer", {"option": "allow"}),
    tool("answer", question_id="{question}", option="allow"),
    tool("answer_question", question="{question}", option="allow"),
    tool("permission_prompt", tool_name="Bash", input=COMMAND, answer={"option": "allow"}),
    ("POST", "/agents/claude/hooks?sync=true", ASKED | {"hook_event_name": "PostToolUse"}),
    ("POST", "/agents/claude/hooks", {"session_id": "s", "hook_event_name": "UserPromptSubmit"}),
    ("POST", "/v1/logs", record(decision="accept", tool_name="Bash", **{"session.id": "s"})),
    ("PATCH", "/runs/{run}", {"status": "running", "attention": None}),
    (
        "POST",
        "/projects/demo/runs/bulk",
        {"items": [{"op": "patch", "run": "{run}", "body": {"attention": None}}]},
    ),
    (
        "POST",
        "/runs/{run}/questions",
        {
            "id": "{question}",
            "kind": "text",
            "title": "t",
            "default": "allow",
            "on_expiry": "default",
            "expires_in_s": 1,
        },
    ),
    ("POST", "/questions/{question}/cancel", {"state": "answered"}),
)
"""Ways to answer a question that an agent's hook has asked."""

PEOPLES: tuple[Attempt, ...] = (
    ("DELETE", "/runs/{run}", None),
    ("POST", "/projects/demo/runs/bulk", {"items": [{"op": "delete", "run": "{run}"}]}),
    ("DELETE", "/artifacts/{artifact}", None),
    ("POST", "/runs/{run}/logs/redact", {"from_line": 1, "to_line": 1}),
    ("POST", "/runs/{run}/tail", {"path": "logs.txt"}),
    ("POST", "/runs/{run}/say", {"text": "forged"}),
    ("POST", "/runs/{run}/demo", {}),
    ("DELETE", "/tasks/{task}", None),
    ("POST", "/projects/demo/share-links", {}),
    ("POST", "/projects/demo/keys", {"name": "forged", "role": "viewer"}),
    ("POST", "/projects/demo/webhooks", {"url": "https://example.org", "types": ["*"]}),
    ("POST", "/invitations", {"email": "x@example.org", "project": "demo"}),
    ("PATCH", "/projects/demo", {"name": "forged"}),
    tool("say", run="{run}", text="forged"),
    tool("delete_run", run="{run}"),
)
"""What only editors and owners do."""

AGENTS: tuple[Attempt, ...] = (
    ("POST", "/projects/demo/runs", {"name": "forged"}),
    ("POST", "/projects/demo/runs/bulk", {"items": [{"op": "create", "body": {"name": "forged"}}]}),
    ("POST", "/projects/demo/runs/bulk", {"items": [{"op": "cancel", "run": "{run}"}]}),
    ("POST", "/runs/{run}/logs", {"message": "forged"}),
    ("POST", "/runs/{run}/cancel", {}),
    ("POST", "/runs/{run}/metrics", {"values": {"loss": 1}}),
    ("POST", "/runs/{run}/usage", {"requests": [{"id": "r", "model": "m"}]}),
    ("POST", "/runs/{run}/messages/take", {}),
    ("POST", "/runs/{run}/questions", {"kind": "text", "title": "forged"}),
    ("POST", "/runs/{run}/artifacts", {"step_name": "forged", "content": 1}),
    ("POST", "/projects/demo/tasks", {"title": "forged"}),
    ("POST", "/agents/claude/hooks", {"session_id": "forged", "hook_event_name": "SessionStart"}),
    ("POST", "/v1/logs", record(**{"session.id": "forged"})),
    ("POST", "/v1/traces?project=demo", {"resourceSpans": []}),
    tool("report", run="{run}", message="forged"),
    tool("report", message="forged"),
    tool("artifact", run="{run}", step="forged", content="forged"),
    tool("ask_human", run="{run}", question="forged", wait_s=0),
)
"""What reporters do, and viewers and holders of links don't."""


async def attempt(
    served: Whole, token: str, what: Attempt, things: dict[str, str], **query: str
) -> str:
    """What an attempt is answered; it is no error of ours."""
    method, path, body = what
    headers = bearer(token) | {"Accept": "application/json, text/event-stream"}
    answer = await served.client.request(
        method,
        path.format(**things),
        json=filled(body, things),
        headers=headers,
        params=query or None,
    )
    assert answer.status_code < 500, (what, answer.text)
    return answer.text


async def members(served: Whole, run: str) -> dict[str, str]:
    """A token of each kind that is good in the project, by its name."""
    keys, links = "/projects/demo/keys", "/projects/demo/share-links"
    found = {
        role: (await served.make(keys, {"name": role, "role": role}))["token"]
        for role in ("viewer", "reporter", "editor")
    }
    found["link"] = (await served.make(links, {}))["token"]
    found["link to the run"] = (await served.make(links, {"run_id": run}))["token"]
    return found


async def test_no_door_lets_an_agent_do_what_is_for_people(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Neither a question that it asked itself is answered, nor anything deleted, shared or said."""
    async with whole.serving(database_url, redis_url, tmp_path) as served:
        await served.make("/projects", {"name": "demo"})
        run = (await served.make("/projects/demo/runs", {"status": "running"}))["id"]
        tokens = await members(served, run)
        things = {"run": run}
        got = []
        for who, token in {name: tokens[name] for name in ("reporter", "editor", "link")}.items():
            for what in ANSWERS:
                fresh = COMMAND | {"n": next(_numbers)}
                hook = await attempt(
                    served,
                    tokens["reporter"],
                    ("POST", "/agents/claude/hooks?hold=true", ASKED | {"tool_input": fresh}),
                    things,
                )
                assert "question_id" in hook, (who, what, hook)
                things["question"] = json.loads(hook)["question_id"]
                asked = await served.make(f"/questions/{things['question']}", method="GET")
                things["run"] = asked["run_id"]
                within = asyncio.timeout(0.5)  # One of the tools waits for the answer.
                try:
                    async with within:
                        await attempt(served, token, what, things)
                except TimeoutError:
                    assert within.expired()
                question = await served.make(f"/questions/{things['question']}", method="GET")
                if question["answer"] is not None or question["state"] in ("answered", "expired"):
                    got.append((who, what))
        assert got == []
        assert (await served.make("/admin/audit?action=question_answered", method="GET"))[
            "entries"
        ] == []
        await no_one_but_editors(served, tokens, {"run": run})


async def no_one_but_editors(served: Whole, tokens: dict[str, str], things: dict[str, str]) -> None:
    run = things["run"]
    await served.make(f"/runs/{run}/logs", {"message": "the first line"})
    new = {"step_name": "idea", "content": 1}
    things["artifact"] = (await served.make(f"/runs/{run}/artifacts", new))["id"]
    things["task"] = (await served.make("/projects/demo/tasks", {"title": "t"}))["id"]
    before = await state(served, run)
    for who in ("reporter", "viewer", "link", "link to the run"):
        for what in (*PEOPLES, *(AGENTS if who != "reporter" else ())):
            await attempt(served, tokens[who], what, things)
    assert await state(served, run) == before


async def state(served: Whole, run: str) -> dict[str, Any]:
    """Everything that the attempts would change."""
    lists = ("runs", "tasks", "members", "keys", "share-links", "webhooks")
    found = {name: await served.make(f"/projects/demo/{name}", method="GET") for name in lists}
    for name in ("logs", "artifacts", "tail", "children"):
        found[name] = await served.make(f"/runs/{run}/{name}", method="GET")
    found["project"] = await served.make("/projects/demo", method="GET")
    found["invitations"] = await served.make("/invitations?project=demo", method="GET")
    found["questions"] = (await served.make("/questions?project=demo", method="GET"))["total"]
    for run_shown in found["runs"]["runs"]:
        del run_shown["updated_at"], run_shown["liveness"]
    for used in (*found["keys"]["keys"], *found["share-links"]["share_links"]):
        del used["last_used_at"]
    return found


TOOLS: tuple[Attempt, ...] = (
    tool("report", run="{run}", message="forged", status="failed", error="forged"),
    tool("runs", q="sk"),
    tool("log", run="{run}"),
    tool("log", run="theirs"),
    tool("search", q="sk", run="{run}"),
    tool("search", q="sk", regex=True),
    tool("wait", run="{run}", timeout_s=0, **{"for": "end"}),
    tool("ask_human", run="{run}", question="forged", wait_s=0),
    tool("answer_wait", question_id="{question}", wait_s=0),
    tool("artifact", run="{run}", step="idea"),
    tool("artifact", run="{run}", step="idea", content="forged"),
    tool("log", run="{run}/logs"),
    tool("log", run="../runs/{run}"),
    (
        "POST",
        "/mcp",
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "resources/read",
            "params": {"uri": "runcast://run/{run}"},
        },
    ),
    (
        "POST",
        "/mcp",
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "resources/read",
            "params": {"uri": "runcast://run/{run}/log"},
        },
    ),
)


async def test_by_mcp_a_key_reaches_what_it_reaches_by_http(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Each tool names another project's things, with each token that is good elsewhere."""
    async with whole.serving(database_url, redis_url, tmp_path) as served:
        things = await furnish(served, tmp_path / "runs")
        before = await everything(served, things)
        tokens = await credentials(served)
        for who in ("reporter", "owner", "link", "stranger"):
            told = await asyncio.gather(
                *(attempt(served, tokens[who], what, things, project="alpha") for what in TOOLS)
            )
            assert [what for what, text in zip(TOOLS, told, strict=True) if SECRET in text] == []
        assert await everything(served, things) == before
        admin = served.admin["Authorization"].removeprefix("Bearer ")
        seen = await attempt(served, admin, tool("log", run="{run}"), things)
        assert SECRET in seen, "the attempts are real ones"
