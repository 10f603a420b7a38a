"""Twenty agents at once: who waits, who is first to answer, and nothing twice; stand-ins on a real server."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.commands import RUNCAST
from tests.processes import Up
from tests.waiting import wait_for

from runcast import Client, errors

STAND_IN = Path(__file__).parents[1] / "stand_ins" / "claude.py"
SESSIONS = 20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up.at(tmp_path_factory.mktemp("many"))
    try:
        yield up.start_ready()
    finally:
        up.cleanup()


@pytest.fixture
def environ(server: Up, tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNCAST_")}
    return kept | {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "RUNCAST_URL": server.url,
        "RUNCAST_TOKEN": server.credentials["token"],
    }


@pytest.fixture
def client(server: Up) -> Iterator[Client]:
    with Client(server.url, server.credentials["token"]) as made:
        yield made


@pytest.fixture
def hook(environ: dict[str, str]) -> str:
    """The hook's program, as `runcast connect` installs it."""
    subprocess.run([RUNCAST, "connect", "claude"], env=environ, check=True, capture_output=True)
    return str(Path(environ["XDG_CONFIG_HOME"]) / "runcast" / "runcast-hook")


class Sessions:
    """Stand-ins that run, and what they know."""

    def __init__(self, home: Path, hook: str, environ: dict[str, str], number: int) -> None:
        self.home = home
        self.names = [f"session-{n:02}" for n in range(number)]
        program = [sys.executable, "-IS", str(STAND_IN), str(home), hook]
        self.running = [
            subprocess.Popen([*program, name, str(n)], env=environ)
            for n, name in enumerate(self.names)
        ]

    def are_at(self, place: str) -> bool:
        return all((self.home / f"{name}.{place}").exists() for name in self.names)

    def end(self) -> dict[str, Any]:
        (self.home / "end").touch()
        wait_for(lambda: self.are_at("truth.json"), "the sessions' ends", seconds=90)
        return {n: json.loads((self.home / f"{n}.truth.json").read_text()) for n in self.names}

    def kill(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()


def answers(server: Up, client: Client, sessions: Sessions, question: dict[str, Any]) -> list[Any]:
    """Three at once: over HTTP, with the SDK, and at the terminal; what each was told."""
    chance = random.Random(question["body"])
    session = question["run"]
    together = threading.Barrier(3)

    def by_http() -> Any:
        together.wait()
        said = httpx.post(
            f"{server.url}/questions/{question['id']}/answer",
            json={"option": "deny", "via": "console"},
            headers=server.headers,
            timeout=60,
        )
        return said.status_code, said.json()

    def by_sdk() -> Any:
        together.wait()
        try:
            return 200, client.answer_question(question["id"], option="allow")
        except errors.Conflict:
            return 409, None

    def at_terminal() -> Any:
        together.wait()
        if chance.random() < 0.5:
            (sessions.home / f"{session}.terminal").touch()
        return None

    with ThreadPoolExecutor(3) as pool:
        return [each.result() for each in [pool.submit(f) for f in (by_http, by_sdk, at_terminal)]]


def test_twenty_sessions_at_once_and_the_first_answer_wins(
    server: Up, environ: dict[str, str], client: Client, hook: str, tmp_path: Path
) -> None:
    sessions = Sessions(tmp_path, hook, environ, SESSIONS)
    try:
        wait_for(lambda: sessions.are_at("waits"), "all to wait", seconds=90)
        wait_for(lambda: client.list_questions(state="open")["total"] == SESSIONS, "all questions")
        listed = client.list_questions(state="open", limit=100)["questions"]
        assert listed == sorted(listed, key=lambda q: (q["asked_at"], q["id"])), "oldest first"
        runs = client.list_runs("default", attention="permission", limit=100)["runs"]
        assert {run["status"] for run in runs} == {"awaiting_feedback"}
        by_id = {run["id"]: run["key"].removeprefix("claude-") for run in runs}
        assert sorted(by_id.values()) == sessions.names
        for question in listed:
            question["run"] = by_id[question["run_id"]]
            number = int(question["run"].removeprefix("session-"))
            assert question["body"] == f"deploy {number}"
        told = {q["run"]: answers(server, client, sessions, q) for q in listed}
        wait_for(lambda: sessions.are_at("idle"), "all to be idle", seconds=90)
        idle = client.list_runs("default", attention="idle", limit=100)["runs"]
        assert len(idle) == SESSIONS
        truth = sessions.end()
    finally:
        sessions.kill()
    for question in client.list_questions(limit=100)["questions"]:
        name = by_id[question["run_id"]]
        (http, of_http), (sdk, of_sdk), _ = told[name]
        winners = [said for code, said in ((http, of_http), (sdk, of_sdk)) if code == 200]
        assert {http, sdk} <= {200, 409}
        if question["state"] == "answered":
            [winner] = winners
            assert winner["answer"] == question["answer"]
        else:
            assert (question["state"], winners) == ("resolved_elsewhere", [])
        known = truth[name]
        if known["source"] == "hook":
            assert question["answer"]["option"] == known["behavior"]
        else:
            assert known["source"] == "terminal"
        if http == 409:
            assert of_http["question"] == question, "it says who was faster"
    ended = client.list_runs("default", limit=100)["runs"]
    assert {(run["status"], run["attention"]) for run in ended} == {("completed", None)}
    for run in ended:
        known = truth[run["key"].removeprefix("claude-")]
        log = [e for e in client.iter_logs(run["id"]) if e["event_type"] != "tool"]
        said = [
            f"{e['event_type']} {e['message']}" for e in log if e["event_type"] != "tool_result"
        ]
        assert said == [each for each in known["entries"] if not each.startswith("tool")]
        results = [each for each in log if each["event_type"] == "tool_result"]
        assert len(results) == known["entries"].count("tool_result done"), "none twice"


def test_an_answer_after_the_end_is_refused_and_harms_nothing(
    server: Up, client: Client, environ: dict[str, str], hook: str
) -> None:
    def call(event: str, *flags: str, **members: Any) -> subprocess.CompletedProcess[str]:
        given = {"session_id": "late", "hook_event_name": event} | members
        command, text = [hook, "claude", *flags], json.dumps(given)
        return subprocess.run(
            command, input=text, env=environ, capture_output=True, text=True, check=False
        )

    use = {"tool_name": "Bash", "tool_input": {"command": "ls"}}
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(call, "PermissionRequest", "--hold", **use)
        run = {"project": "default", "key": "claude-late"}

        def asked() -> list[Any]:
            found = client.list_runs(**run)["runs"]
            return found and client.list_questions(run=found[0]["id"])["questions"]

        wait_for(lambda: bool(asked()), "the question")
        [question] = asked()
        assert call("SessionEnd").returncode == 0
        ended = held.result(60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    with pytest.raises(errors.Conflict):
        client.answer_question(question["id"], option="allow")
    shown = client.get_question(question["id"])
    assert (shown["state"], shown["answer"]) == ("cancelled", None)
    assert client.get_run("claude-late", project="default")["status"] == "completed"


BURST = max(int(os.environ.get("RUNCAST_TEST_EXPLORE") or 0), 40)


def test_a_burst_of_hooks_never_harms_an_agent(
    environ: dict[str, str], hook: str, tmp_path: Path
) -> None:
    """A server that is away, and one that answers nonsense, is slow or breaks off."""
    config = tmp_path / "config" / "runcast" / "agents.json"
    known = json.loads(config.read_text())
    use = {"session_id": "burst", "hook_event_name": "PermissionRequest", "tool_name": "Bash"}
    with Nonsense() as nonsense:
        addresses = [f"http://127.0.0.1:{nonsense.port}", "http://127.0.0.1:9"]
        places = []
        for number, url in enumerate(addresses):
            place = tmp_path / f"agents-{number}.json"
            place.write_text(json.dumps(known | {"url": url}))
            places.append(str(place))

        def one(number: int) -> tuple[int, str, str]:
            flags = ["--hold"] if number % 2 else []
            ended = subprocess.run(
                [hook, "claude", *flags],
                input=json.dumps(use),
                env=environ | {"RUNCAST_AGENTS_CONFIG": places[number % 3 % 2]},
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            return ended.returncode, ended.stdout, ended.stderr

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(one, range(BURST))) == {(0, "", "")}


class Nonsense:
    """A server of every fault in turn."""

    ANSWERS = (
        b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{", b"garbage\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b'HTTP/1.1 401 No\r\nContent-Length: 19\r\n\r\n{"question_id": 123}',
        b"HTTP/1.1 302 Go\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
    )  # fmt: skip

    def __enter__(self) -> Nonsense:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _serve(self) -> None:
        for number in range(1_000_000):
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                try:
                    connection.recv(65536)
                    connection.sendall(self.ANSWERS[number % len(self.ANSWERS)])
                except OSError:
                    continue
