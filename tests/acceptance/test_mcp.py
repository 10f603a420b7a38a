"""The Model Context Protocol, by the official client: agents report, look at neighbours and ask people."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client as McpClient
from mcp import MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from tests.commands import RUNCAST
from tests.processes import Up
from tests.waiting import until

from runcast import Client, errors
from runcast._support.ids import uuid7
from runcast.mcp import tools

NAMES = {
    "report",
    "runs",
    "log",
    "search",
    "wait",
    "ask_human",
    "answer_wait",
    "artifact",
    "permission_prompt",
}


@pytest.fixture
def project(client: Client) -> str:
    slug = f"mcp-{str(uuid7())[-12:]}"
    client.create_project(slug, slug=slug)
    return slug


@pytest.fixture
def key(client: Client, project: str) -> str:
    """A key of an agent: it reports to this project alone."""
    return str(client.create_key(project, name="agent", role="reporter")["token"])


@asynccontextmanager
async def agent(url: str, key: str, mode: str = "auto") -> AsyncIterator[McpClient]:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=70) as http:
        transport = streamable_http_client(f"{url}/mcp", http_client=http)
        async with McpClient(transport, mode=mode) as made:  # type: ignore[arg-type]
            yield made


async def called(agent: McpClient, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await agent.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return dict(result.structured_content or {})


async def refused(agent: McpClient, tool: str, **arguments: Any) -> str:
    result = await agent.call_tool(tool, arguments)
    assert result.is_error
    return str(getattr(result.content[0], "text", ""))


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "HEAD"])
def test_no_stream_is_opened_that_nothing_would_come_on(
    method: str, local_server: Up, key: str
) -> None:
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
    with httpx.Client(timeout=10.0) as http:
        answer = http.request(method, f"{local_server.url}/mcp", headers=headers)
    assert answer.status_code == 405


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_clients_of_both_eras_list_nine_tools_and_call_each(
    mode: str, local_server: Up, client: Client, project: str, key: str
) -> None:
    async def session() -> None:
        async with agent(local_server.url, key, mode) as mcp:
            assert {tool.name for tool in (await mcp.list_tools()).tools} == NAMES
            made = await called(mcp, "report", message="began", step="work", percent=5)
            run = made["run"]
            assert client.get_run(run)["key"].startswith("mcp-")
            again = await called(mcp, "report", message="a line", level="warning")
            assert again["run"] == run
            assert run in [each["run"] for each in (await called(mcp, "runs"))["runs"]]
            shown = await called(mcp, "log", tail=10)
            assert [line["text"] for line in shown["lines"]] == ["a line"]
            found = await called(mcp, "search", q="LINE")
            assert [(each["run"], each["line"]) for each in found["matches"]] == [(run, 1)]
            kept = await called(mcp, "artifact", step="out", content={"n": 1})
            assert kept["version"] == 1
            assert (await called(mcp, "artifact", step="out"))["content"] == {"n": 1}
            waited = await called(mcp, "wait", run=run, **{"for": "end"}, timeout_s=0)
            assert waited["met"] is False
            asked = await called(
                mcp, "ask_human", question="Go on?", options=["yes", "no"], wait_s=0
            )
            assert asked["state"] == "open"
            client.answer_question(asked["question_id"], option="yes")
            closed = await called(mcp, "answer_wait", question_id=asked["question_id"])
            assert (closed["state"], closed["answer"]) == ("answered", "yes")
            ended = await called(mcp, "report", status="completed", result={"ok": True})
            assert ended["status"] == "completed"

    asyncio.run(session())


def test_a_caller_whose_run_has_ended_goes_on_in_the_next_one(
    local_server: Up, client: Client, project: str, key: str
) -> None:
    async def session() -> None:
        async with agent(local_server.url, key) as mcp:
            first = (await called(mcp, "report", message="one"))["run"]
            await called(mcp, "report", status="completed")
            # Reading, and saying the same again, begin nothing.
            assert (await called(mcp, "report", status="completed"))["run"] == first
            assert (await called(mcp, "log"))["lines"][0]["text"] == "one"
            second = (await called(mcp, "report", message="two"))["run"]
            assert second != first
            assert client.get_run(second)["key"] == client.get_run(first)["key"] + ".r2"
            assert (await called(mcp, "ask_human", question="?", wait_s=0))["state"] == "open"
            client.cancel_run(second)
            assert (await called(mcp, "report"))["cancelled"] is True
            late = await called(mcp, "report", message="said too late")
            assert (late["run"], late["cancelled"]) == (second, True)
            third = (await called(mcp, "report", status="running", message="three"))["run"]
            assert client.get_run(third)["key"].endswith(".r3")

    asyncio.run(session())


def test_a_person_answers_while_the_agent_waits_and_talks_to_it(
    local_server: Up, client: Client, project: str, key: str
) -> None:
    async def session() -> None:
        async with agent(local_server.url, key) as mcp:
            run = (await called(mcp, "report", message="hello"))["run"]
            client.say(run, "look at the tests, too")
            assert "look at the tests, too" in (await called(mcp, "report"))["messages"][0]
            assert (await called(mcp, "report"))["messages"] == []
            asking = asyncio.create_task(called(mcp, "ask_human", question="Which?", wait_s=45))
            await until(lambda: bool(questions(client, project)), 30)
            client.answer_question(questions(client, project)[0]["id"], text="the blue one")
            assert (await asking)["answer"] == "the blue one"
            client.cancel_run(run)
            assert (await called(mcp, "report"))["cancelled"] is True

    asyncio.run(session())


def questions(client: Client, project: str) -> list[dict[str, Any]]:
    return list(client.list_questions(project=project, state="open")["questions"])


@pytest.mark.parametrize("answer", ["allow", "deny"])
def test_a_permission_is_asked_for_and_told_as_claude_code_reads_it(
    answer: str, local_server: Up, client: Client, project: str, key: str
) -> None:
    async def session() -> None:
        async with agent(local_server.url, key) as mcp:
            wanted = {"tool_name": "Bash", "input": {"command": "git push"}, "tool_use_id": "t5"}
            asking = asyncio.create_task(mcp.call_tool("permission_prompt", wanted))
            await until(lambda: bool(questions(client, project)), 30)
            text = {"text": "wait for CI"} if answer == "deny" else {}
            client.answer_question(questions(client, project)[0]["id"], option=answer, **text)
            told = json.loads(getattr((await asking).content[0], "text", ""))
            assert told["behavior"] == answer
            if answer == "allow":
                assert told["updatedInput"] == {"command": "git push"}
            else:
                assert told["message"].endswith("in Runcast: wait for CI")

    asyncio.run(session())


def test_a_permission_that_the_agent_no_longer_waits_for_is_taken_back(
    local_server: Up, client: Client, project: str, key: str
) -> None:
    async def session() -> None:
        async with agent(local_server.url, key) as mcp:
            wanted = {"tool_name": "Bash", "input": {"command": "git push"}}
            asking = asyncio.create_task(mcp.call_tool("permission_prompt", wanted))
            await until(lambda: bool(questions(client, project)), 30)
            asking.cancel()
            await until(lambda: not questions(client, project), 30)

    asyncio.run(session())


def test_a_neighbours_run_is_waited_for_and_its_long_log_comes_in_small_pieces(
    local_server: Up, client: Client, project: str, key: str
) -> None:
    run = client.create_run(project, key="neighbour", status="running")["id"]
    texts = [f"{number} {'x' * 600}" for number in range(5_000)]
    texts[4_000] = "the failing line: E42"
    for start in range(0, 5_000, 500):
        client.add_logs(run, [{"message": text} for text in texts[start : start + 500]])

    async def session() -> None:
        async with agent(local_server.url, key) as mcp:
            shown = await called(mcp, "log", run="neighbour", tail=1_000, max_bytes=1_000_000)
            assert len(json.dumps(shown)) < 40_000
            assert (shown["last"], shown["more_before"], shown["more_after"]) == (
                5_000,
                True,
                False,
            )
            found = await called(mcp, "search", run="neighbour", q="e42")
            assert [match["line"] for match in found["matches"]] == [4_001]
            here = await called(mcp, "log", run="neighbour", after=3_999, tail=3)
            assert [line["line"] for line in here["lines"]] == [4_000, 4_001, 4_002]
            everywhere = await called(mcp, "search", q="x", limit=5)
            assert (len(everywhere["matches"]), everywhere["more"]) == (5, True)
            waiting = asyncio.create_task(
                called(mcp, "wait", run="neighbour", **{"for": "text"}, text="now", timeout_s=45)
            )
            await asyncio.sleep(0)
            while not waiting.done():
                client.add_log(run, message="and now")
                await asyncio.wait([waiting], timeout=0.5)
            assert waiting.result()["line"] > 5_000
            client.update_run(run, status="failed", error="E42")
            ended = await called(mcp, "wait", run="neighbour", **{"for": "end"})
            assert (ended["met"], ended["status"]) == (True, "failed")

    asyncio.run(session())


def test_a_key_reaches_its_own_project_alone(
    local_server: Up, client: Client, project: str, key: str
) -> None:
    other = f"other-{project}"
    client.create_project(other, slug=other)
    run = client.create_run(other, status="running")["id"]
    question = client.ask(run, title="secret?", kind="text")["id"]

    async def session() -> None:
        async with agent(local_server.url, key) as mcp:
            for tool, arguments in (
                ("report", {"run": run, "message": "x"}),
                ("log", {"run": run}),
                ("search", {"run": run, "q": "x"}),
                ("wait", {"run": run, "for": "end"}),
                ("artifact", {"run": run}),
                ("ask_human", {"run": run, "question": "?"}),
                ("answer_wait", {"question_id": question}),
            ):
                assert await refused(mcp, tool, **arguments)
            assert (await called(mcp, "runs"))["runs"] == []
            assert (await called(mcp, "search", q="x"))["matches"] == []

    asyncio.run(session())


def test_odd_arguments_are_refused_in_words(local_server: Up, key: str) -> None:
    async def session() -> None:
        async with agent(local_server.url, key) as mcp:
            assert await refused(mcp, "report", percent="many")
            assert await refused(mcp, "wait", run="none", **{"for": "text"})
            assert await refused(mcp, "search", q="(", regex=True, run="none")
            assert await refused(mcp, "answer_wait", question_id="../../admin/audit")
            assert await refused(mcp, "nonsense")
            with pytest.raises(MCPError, match="no run 'none'"):
                await mcp.read_resource("runcast://run/none")
            await called(mcp, "artifact", step="s\0" * 200, content="kept")
            assert (await called(mcp, "artifact", step="s\0" * 200))["content"] == "kept"
            made = await called(mcp, "report", message="\0" + "é" * 100_000, level="x" * 500)
            assert (await called(mcp, "log", run=made["run"], tail=-5, max_bytes=-1))["lines"]

    asyncio.run(session())


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ([], "batches"),
        ("text", "object"),
        *(({"method": "ping", "id": i}, "id:") for i in (None, 1.5, [], True)),
    ],
)
def test_no_message_is_taken_for_another_one(
    message: Any, why: str, local_server: Up, key: str
) -> None:
    headers = {"Authorization": f"Bearer {key}", "Accept": "application/json, text/event-stream"}
    answer = httpx.post(f"{local_server.url}/mcp", json=message, headers=headers)
    assert answer.status_code == 400
    assert why in answer.json()["error"]["message"]


def test_strangers_are_refused_at_both_addresses(local_server: Up) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    for path in ("/mcp", "/mcp/"):
        for headers in ({}, {"Authorization": "Bearer rc_wrong"}):
            answer = httpx.post(f"{local_server.url}{path}", json=body, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
    token = local_server.credentials["token"]
    huge = httpx.post(
        f"{local_server.url}/mcp",
        content=b"[" * 2_000_000,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    assert huge.status_code == 413


def test_the_same_tools_over_stdin(local_server: Up, client: Client, project: str) -> None:
    run = client.create_run(project, status="running")["id"]
    program = StdioServerParameters(
        command=sys.executable,
        args=["-c", "from runcast.cli import main; main()", "mcp", "--project", project],
        env={
            "RUNCAST_URL": local_server.url,
            "RUNCAST_TOKEN": local_server.credentials["token"],
            "RUNCAST_RUN_ID": run,
        },
    )

    async def session() -> None:
        async with McpClient(program) as mcp:
            assert {tool.name for tool in (await mcp.list_tools()).tools} == NAMES
            assert (await called(mcp, "report", message="from a program"))["run"] == run
            shown = await mcp.read_resource(f"runcast://run/{run}/log")
            assert getattr(shown.contents[0], "text", "").endswith("from a program")

    asyncio.run(session())


def test_all_descriptions_together_are_short(local_server: Up, key: str) -> None:
    """Agents pay for them in each conversation. A token is about four characters."""

    async def described() -> str:
        async with agent(local_server.url, key) as mcp:
            listed = (await mcp.list_tools()).tools
            return tools.INSTRUCTIONS + "".join(tool.description or "" for tool in listed)

    assert len(asyncio.run(described())) / 4 < 1_500


def test_connecting_makes_a_key_that_only_reports_and_calls_the_agents_own_command(
    local_server: Up, client: Client, project: str, tmp_path: Path
) -> None:
    claude = tmp_path / "bin" / "claude"
    claude.parent.mkdir()
    claude.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$HOME/called"\n')
    claude.chmod(0o755)
    environ = {
        "HOME": str(tmp_path),
        "PATH": f"{claude.parent}:{os.environ['PATH']}",
        "RUNCAST_URL": local_server.url,
        "RUNCAST_TOKEN": local_server.credentials["token"],
    }
    command = [RUNCAST, "connect", "claude", "--mcp", "--project", project]
    subprocess.run(command, env=environ, check=True, timeout=60)
    called_with = (tmp_path / "called").read_text().split("\n")
    assert called_with[:4] == ["mcp", "add", "--scope", "user"]
    server = called_with[called_with.index("--") + 1 : -1]
    assert server[1:] == ["mcp", "--project", project]
    # The program finds server and key by itself: nothing secret is in the agent's configuration.
    program = StdioServerParameters(command=server[0], args=server[1:], env={"HOME": str(tmp_path)})

    async def session() -> None:
        async with McpClient(program) as mcp:
            run = (await called(mcp, "report", message="hello"))["run"]
            assert client.get_run(run)["project_id"] == client.get_project(project)["id"]

    asyncio.run(session())
    known = json.loads((tmp_path / ".config" / "runcast" / "agents.json").read_text())
    with Client(known["url"], known["token"]) as reporter, pytest.raises(errors.Forbidden):
        reporter.say(client.list_runs(project)["runs"][0]["id"], "a key that reports says nothing")
