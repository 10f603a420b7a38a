"""`runcast exec` with agents that print JSON: what people see of them at a real server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.commands import RUNCAST
from tests.processes import Up
from tests.waiting import wait_for

from runcast import Client

SAMPLES = Path(__file__).parents[1] / "data" / "agents"
CLAUDE = SAMPLES / "claude" / "stream.jsonl"
SESSION = "6f0c2b1e-5a34-4d0e-9a77-0b6c1d2e3f40"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up.at(tmp_path_factory.mktemp("exec"))
    try:
        yield up.start_ready()
    finally:
        up.cleanup()


@pytest.fixture
def environ(server: Up, tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNCAST_")}
    return kept | {
        "RUNCAST_URL": server.url,
        "RUNCAST_TOKEN": server.credentials["token"],
        "RUNCAST_RUNS_DIR": str(tmp_path / "runs"),
    }


@pytest.fixture
def client(server: Up) -> Iterator[Client]:
    with Client(server.url, server.credentials["token"]) as made:
        yield made


def ran(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [RUNCAST, "exec", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, timeout=60, check=False)


def get(server: Up, path: str, **query: Any) -> dict[str, Any]:
    shown = httpx.get(f"{server.url}{path}", params=query, headers=server.headers)
    assert shown.status_code == 200, shown.text
    found: dict[str, Any] = shown.json()
    return found


def test_a_failed_agent_is_a_failed_run_though_its_process_ends_well(
    server: Up, environ: dict[str, str]
) -> None:
    ended = ran(environ, "--run", "fix", "--", "cat", str(CLAUDE))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, CLAUDE.read_bytes(), b"")
    run = get(server, "/runs/fix", project="default")
    assert run["status"] == "failed"
    assert run["error"] == "error_max_turns: Reached maximum number of turns (3)"
    assert run["result"] == {"exit_code": 0}
    assert run["metadata"]["agent"]["model"] == "claude-sonnet-5"
    assert run["aliases"] == [f"claude-{SESSION}"]
    assert (run["usage"]["cost_usd"], run["usage"]["output_tokens"]) == (0.1234, 155)
    log = get(server, "/runs/fix/logs", project="default")["logs"]
    assert [entry["event_type"] for entry in log] == ["say", "tool", "notice", "notice", "error"]
    [child] = get(server, "/runs/fix/children", project="default")["runs"]
    assert (child["name"], child["status"]) == ("Find the token check", "completed")
    assert child["key"] == f"claude-{SESSION}.a1b2c3d4"
    of_child = get(server, f"/runs/{child['id']}/logs")["logs"]
    assert [entry["message"] for entry in of_child] == ["Grep: token"]


def test_what_others_report_of_the_session_lands_in_the_commands_run(
    server: Up, environ: dict[str, str], client: Client, tmp_path: Path
) -> None:
    session = "0b6c1d2e-session"
    records = [
        {"type": "system", "subtype": "init", "session_id": session, "model": "m"},
        {"type": "assistant", "message": {"content": [{"type": "text", "text": "Working."}]}},
    ]
    program = f"""
import json, sys, time, pathlib
for record in {records!r}: print(json.dumps(record), flush=True)
while not pathlib.Path({str(tmp_path / "go")!r}).exists(): time.sleep(0.01)
"""
    script = tmp_path / "claude"
    script.write_text(f"#!{sys.executable}\n{program}")
    script.chmod(0o755)
    command = [RUNCAST, "exec", "--run", "hooked", "--", str(script)]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
    try:
        runs = {"project": "default", "q": "hooked"}
        wait_for(
            lambda: any(run["aliases"] for run in client.list_runs(**runs)["runs"]), "the session"
        )
        hook = {"session_id": session, "hook_event_name": "PermissionRequest"}
        hook |= {"tool_name": "Bash", "tool_input": {"command": "ls"}}
        said = httpx.post(
            f"{server.url}/agents/claude/hooks",
            params={"hold": 1, "project": "default"},
            json=hook,
            headers=server.headers,
        ).json()
        run = client.get_run("hooked", project="default")
        assert run["attention"]["question_id"] == said["question_id"]
        assert run["status"] == "awaiting_feedback"
        client.answer_question(said["question_id"], option="allow")
        over = hook | {"hook_event_name": "SessionEnd"}
        httpx.post(
            f"{server.url}/agents/claude/hooks",
            params={"project": "default"},
            json=over,
            headers=server.headers,
        )
        assert client.get_run("hooked", project="default")["status"] == "running"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
    finally:
        process.kill()
        process.wait()
    assert client.get_run("hooked", project="default")["status"] == "cancelled"


def test_a_session_that_is_resumed_is_another_run_under_its_next_name(
    environ: dict[str, str], client: Client
) -> None:
    lines = [
        {"type": "system", "subtype": "init", "session_id": "again", "model": "m"},
        {"type": "result", "subtype": "success", "is_error": False, "result": "Done."},
    ]
    text = "\n".join(map(json.dumps, lines))
    for run in ("one", "two"):
        assert ran(environ, "--run", run, "--", "printf", "%s\\n", text).returncode == 0
    assert client.get_run("one", project="default")["aliases"] == ["claude-again"]
    assert client.get_run("two", project="default")["aliases"] == ["claude-again.r2"]
    assert client.get_run("two", project="default")["status"] == "completed"


def test_an_unknown_agent_is_refused(environ: dict[str, str]) -> None:
    refused = ran(environ, "--agent", "hal", "--", "true")
    assert refused.returncode == 2
    assert b"hal" in refused.stderr
