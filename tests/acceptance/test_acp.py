"""`runcast acp` between an editor and its agent, at a real server."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import orjson
import pytest
from tests.commands import RUNCAST
from tests.processes import Up
from tests.waiting import wait_for

SAMPLE = Path(__file__).parents[1] / "data" / "agents" / "acp" / "agent-to-client.jsonl"
AGENT = """
import json, sys
say = lambda m: print(json.dumps(m), flush=True)
heard = lambda m: say({"jsonrpc": "2.0", "method": "stub/heard", "params": m})
for line in sys.stdin:
    asked = json.loads(line)
    match asked.get("method"):
        case "session/new":
            say({"jsonrpc": "2.0", "id": asked["id"], "result": {"sessionId": "s1"}})
        case "session/prompt":
            for told in map(json.loads, open(sys.argv[1])):
                say(told if "method" in told else told | {"id": asked["id"]})
                if told.get("method") == "session/request_permission":
                    heard(json.loads(sys.stdin.readline()))
        case method:
            heard(asked)
"""
ECHO = """
import os
while data := os.read(0, 7919):
    while data:
        data = data[os.write(1, data):]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up.at(tmp_path_factory.mktemp("acp"))
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


class Editor:
    """Speaks to an agent through `runcast acp`."""

    def __init__(self, environ: dict[str, str], *options: str) -> None:
        agent = [sys.executable, "-c", AGENT, str(SAMPLE)]
        self.process = subprocess.Popen(
            [RUNCAST, "acp", *options, "--", *agent],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def say(self, **message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(orjson.dumps({"jsonrpc": "2.0", **message}) + b"\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        heard: dict[str, Any] = orjson.loads(self.process.stdout.readline())
        return heard

    def until_permission(self) -> dict[str, Any]:
        self.say(id=1, method="session/new", params={"cwd": "/w", "mcpServers": []})
        self.hear()
        return self.until_next_permission()

    def until_next_permission(self) -> dict[str, Any]:
        """The agent's request has the same number each time."""
        prompt = [{"type": "text", "text": "run the tests"}]
        self.say(id=2, method="session/prompt", params={"sessionId": "s1", "prompt": prompt})
        while (heard := self.hear()).get("method") != "session/request_permission":
            pass
        return heard

    def choose(self, request: Any, option: str) -> None:
        self.say(id=request, result={"outcome": {"outcome": "selected", "optionId": option}})

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(30) == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        with self.process:
            pass


def get(server: Up, path: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}{path}", headers=server.headers).json()
    return found


def open_question(server: Up, project: str) -> dict[str, Any]:
    path = f"/questions?state=open&project={project}"
    wait_for(lambda: get(server, path).get("questions"), "a question")
    found: dict[str, Any] = get(server, path)["questions"][0]
    return found


def made(server: Up, slug: str) -> str:
    body = {"slug": slug, "name": slug}
    httpx.post(f"{server.url}/projects", json=body, headers=server.headers).raise_for_status()
    return slug


def test_a_permission_is_a_question_that_the_editor_closes(
    server: Up, environ: dict[str, str]
) -> None:
    project = made(server, "editor")
    with Editor(environ, "-p", project) as editor:
        _closes(server, project, editor)


def _closes(server: Up, project: str, editor: Editor) -> None:
    asked = editor.until_permission()
    question = open_question(server, project)
    assert (question["kind"], question["answerable"]) == ("permission", False)
    run = f"/runs/{question['run_id']}"
    assert get(server, run)["attention"]["kind"] == "permission"
    editor.choose(asked["id"], "reject-once")
    assert editor.hear()["params"]["result"]["outcome"]["optionId"] == "reject-once"
    wait_for(lambda: (get(server, run)["attention"] or {}).get("kind") == "idle", "the turn's end")
    assert get(server, f"/questions/{question['id']}")["state"] == "resolved_elsewhere"
    editor.end()
    ended = get(server, run)
    assert (ended["status"], ended["key"], ended["name"]) == (
        "completed",
        "acp-s1",
        "run the tests",
    )
    kinds = [entry["event_type"] for entry in get(server, f"{run}/logs")["logs"]]
    assert kinds == ["prompt", "tool"]
    assert ended["usage"]["cost_usd"] == 0.045


def test_the_first_answer_wins_where_people_may_answer(server: Up, environ: dict[str, str]) -> None:
    project = made(server, "anywhere")
    with Editor(environ, "-p", project, "--answers") as editor:
        _answered_twice(server, project, editor)


def _answered_twice(server: Up, project: str, editor: Editor) -> None:
    asked = editor.until_permission()
    question = open_question(server, project)
    answer = httpx.post(
        f"{server.url}/questions/{question['id']}/answer",
        json={"option": "allow-once"},
        headers=server.headers,
    )
    assert answer.status_code == 200
    heard = editor.hear()["params"]
    assert (heard["id"], heard["result"]["outcome"]["optionId"]) == (asked["id"], "allow-once")
    editor.choose(asked["id"], "reject-once")  # too late: the agent must not hear it
    editor.say(method="stub/last", params={})
    while (heard := editor.hear()).get("method") != "stub/heard":
        pass
    assert heard["params"]["method"] == "stub/last"
    _answered_in_turns(server, project, editor)
    editor.end()


def _answered_in_turns(server: Up, project: str, editor: Editor) -> None:
    """Each response is heard, though the agent counts its requests from the beginning again."""
    path = f"/questions?project={project}"
    for by_editor in (True, False, True):
        asked = editor.until_next_permission()
        if by_editor:
            editor.choose(asked["id"], "reject-once")
        else:
            wait_for(lambda: len(get(server, path)["questions"]) == 3, "the third question")
            question = max(each["id"] for each in get(server, path)["questions"])
            httpx.post(
                f"{server.url}/questions/{question}/answer",
                json={"option": "allow-once"},
                headers=server.headers,
            ).raise_for_status()
        outcome = editor.hear()["params"]["result"]["outcome"]
        assert outcome["optionId"] == ("reject-once" if by_editor else "allow-once")


def test_any_signal_is_passed_on(environ: dict[str, str]) -> None:
    agent = """
import signal, sys
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(3))
print("ready", flush=True)
signal.pause()
"""
    with subprocess.Popen(
        [RUNCAST, "acp", "--", sys.executable, "-c", agent],
        env=environ | {"RUNCAST_URL": "http://127.0.0.1:1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGUSR1)
        assert process.wait(60) == 3


def test_every_byte_is_passed_on_at_any_size(environ: dict[str, str], tmp_path: Path) -> None:
    """100 MB through an agent that answers with what it hears, most of it no messages at all."""
    source = tmp_path / "source"
    block = b"".join(os.urandom(997) + bytes([ending]) for ending in range(128)) + b"\n\n\r\n"
    with source.open("wb") as file:
        for _ in range(100_000_000 // len(block)):
            file.write(block)
    with (
        source.open("rb") as inlet,
        subprocess.Popen(
            [RUNCAST, "acp", "--", sys.executable, "-c", ECHO],
            env=environ | {"RUNCAST_URL": "http://127.0.0.1:1"},
            stdin=inlet,
            stdout=subprocess.PIPE,
        ) as process,
    ):
        assert process.stdout is not None
        passed = hashlib.sha256()
        while data := process.stdout.read(1_000_000):
            passed.update(data)
        assert process.wait(30) == 0
    with source.open("rb") as file:
        assert passed.digest() == hashlib.file_digest(file, "sha256").digest()
