"""A program asks, a person answers with the command line: real processes on a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.commands import RUNCAST
from tests.processes import Up
from tests.waiting import until, wait_for

from runcast import AsyncRunTracker, Client, RunTracker

EXAMPLE = Path(__file__).parents[2] / "examples" / "asking.py"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up.at(tmp_path_factory.mktemp("asking"))
    try:
        up.start_ready()
        # A restarted server is found where it was.
        up.arguments[up.arguments.index("--port") + 1] = str(httpx.URL(up.url).port)
        yield up
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


def call(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [RUNCAST, *arguments]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


@contextlib.contextmanager
def killed(program: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ends the program whatever happens."""
    try:
        yield
    finally:
        program.kill()


def asked(client: Client, run: str) -> list[dict[str, Any]]:
    return [q for q in client.iter_questions(state="open") if q["title"] == run]


def test_the_example_asks_and_the_command_line_answers(
    environ: dict[str, str], client: Client
) -> None:
    command = [sys.executable, str(EXAMPLE), "--run", "cleaning"]
    with subprocess.Popen(command, env=environ) as agent, killed(agent):
        title = "Drop the old tables?"
        wait_for(lambda: asked(client, title), "the question")
        [question] = asked(client, title)
        shown = call(environ, "inbox")
        assert title in shown.stdout
        assert "orders_2019" in shown.stdout
        listed = json.loads(call(environ, "inbox", "--json").stdout)
        assert [each["id"] for each in listed["questions"]] == [question["id"]]
        assert client.get_run("cleaning", project="default")["status"] == "awaiting_feedback"
        wrong = call(environ, "answer", question["id"][:13], "perhaps")
        assert (wrong.returncode, "body.option" in wrong.stderr) == (6, True), wrong.stderr
        assert call(environ, "answer", question["id"][:13], "drop").returncode == 0
        assert agent.wait(30) == 0
    late = call(environ, "answer", question["id"], "keep")
    assert late.returncode == 6
    log = client.log_text(client.get_run("cleaning", project="default")["id"])
    assert "dropped orders_2020" in log


def test_ask_in_an_event_loop_waits_through_a_restart_of_the_server(
    server: Up, environ: dict[str, str], client: Client, tmp_path: Path
) -> None:
    async def agent() -> tuple[Any, str]:
        async with AsyncRunTracker(
            "loop", runs_dir=tmp_path, url=server.url, token=environ["RUNCAST_TOKEN"]
        ) as run:
            asking = asyncio.create_task(run.ask("Which stage?", schema=STAGES))
            await until(lambda: asked(client, "Which stage?"), "the question")
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start_ready)
            [question] = asked(client, "Which stage?")
            client.answer_question(question["id"], data={"stage": "dev"})
            answer = await asking
            return answer.value, answer.state

    assert asyncio.run(agent()) == ({"stage": "dev"}, "answered")


STAGES = {"type": "object", "properties": {"stage": {"type": "string", "enum": ["dev", "prod"]}}}


def test_without_a_server_ask_answers_at_once_and_the_question_is_sent_later(
    environ: dict[str, str], client: Client, tmp_path: Path
) -> None:
    for place in ({"offline": True}, {"url": "http://127.0.0.1:9", "token": "t"}):
        with RunTracker("alone", runs_dir=tmp_path, flush_seconds=0.1, **place) as run:  # type: ignore[arg-type]
            answer = run.ask("Is anybody there?", ["yes", "no"])
            assert (answer.state, answer.value) == ("unreachable", None)
            run.ask(object())  # type: ignore[arg-type]
    assert call(environ, "sync", str(tmp_path)).returncode == 0
    found = [each for each in client.iter_questions() if each["title"] == "Is anybody there?"]
    assert {each["state"] for each in found} == {"cancelled"}, "its run is over"
