"""The recipes of `docs/recipes.md`, each tried as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.torture.programs import free_port
from tests.waiting import wait_for

from runcast import Client

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "recipes.md").read_text()
PROJECT = "recipes"


@pytest.fixture
def environ(client: Client, server_environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    if all(project["slug"] != PROJECT for project in client.list_projects()["projects"]):
        client.create_project(PROJECT)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    more = {"RUNCAST_PROJECT": PROJECT, "RUNCAST_RUNS_DIR": str(tmp_path), "PATH": path}
    return os.environ | server_environ | more


def block(heading: str) -> str:
    """The first block of code below a heading."""
    found = re.search(rf"## {re.escape(heading)}\n.*?```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, heading
    return found[1]


def shell(script: str, environ: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euc", script], env=environ, cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def runs_of(client: Client, **query: Any) -> dict[str, dict[str, Any]]:
    runs = client.list_runs(PROJECT, limit=100, **query)["runs"]
    return {run["name"]: run for run in runs}


def test_frameworks_report_by_opentelemetry(client: Client, environ: dict[str, str]) -> None:
    assert shell(block("A framework's agents, by OpenTelemetry"), environ) == "sent: 2 traces\n"
    found = runs_of(client)
    triage, refunds = found["triage"], found["refunds"]
    assert (triage["status"], triage["key"]) == ("completed", "agents-ticket-17")
    assert triage["usage"]["cost_usd"] == pytest.approx(900 * 3e-6 + 40 * 15e-6)
    assert refunds["parent_run_id"] == triage["id"]
    assert (found["LangGraph"]["status"], found["LangGraph"]["error"]) == (
        "failed",
        "a node failed",
    )
    assert found["LangGraph"]["usage"]["input_tokens"] == 1200


def test_a_step_of_github_actions(client: Client, environ: dict[str, str]) -> None:
    script = block("A step of GitHub Actions").partition("run: |\n")[2]
    commands = [line.strip() for line in script.splitlines() if "pip install" not in line]
    assert "GNU Make" in shell("\n".join(commands), environ)
    wait_for(
        lambda: any(run["status"] == "completed" for run in runs_of(client, q="make").values()),
        "the step's run",
    )


@pytest.fixture
def slack() -> Iterator[tuple[str, list[str]]]:
    """Something that takes texts as Slack does: its address, and what it got."""
    said: list[str] = []

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            said.append(json.loads(body)["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/services/x", said
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_question_and_a_failure_are_said_in_slack(
    client: Client, environ: dict[str, str], slack: tuple[str, list[str]]
) -> None:
    url, said = slack
    port = free_port()
    environ |= {"HOOK_URL": f"http://127.0.0.1:{port}/", "PORT": str(port)}
    made = json.loads(shell(block("A workflow tool (n8n, Zapier, Make)"), environ))
    environ |= {"WEBHOOK_SECRET": made["secret"], "SLACK_URL": url}
    receiver = subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "slack.py")],
        env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert receiver.stdout is not None
        assert receiver.stdout.readline().startswith("listening")
        run = client.create_run(PROJECT, status="running")["id"]
        client.ask(run, kind="text", title="Which table?")
        client.update_run(run, status="failed", error="e")
        wait_for(lambda: len(said) == 2, "both texts")
        assert sorted(text.split(":")[0].split(".")[0] for text in said) == [
            "A run failed",
            "An agent asks",
        ]
        assert any(f"/ui/runs/{run}" in text for text in said)
    finally:
        receiver.terminate()
        receiver.communicate()


def test_the_status_line_is_one_line(environ: dict[str, str]) -> None:
    command = re.search(r"#\((.*?)\)", block("tmux's status line"))
    assert command is not None
    said = shell(command[1], environ)
    assert said.count("\n") <= 1
