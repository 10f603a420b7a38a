"""`runcast connect` and the program that it installs: real hooks against a real server."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.commands import RUNCAST
from tests.processes import Up
from tests.waiting import wait_for

from runcast import Client

ASK = {
    "session_id": "s1",
    "hook_event_name": "PermissionRequest",
    "tool_name": "Bash",
    "tool_input": {"command": "make deploy"},
}
OWN = json.dumps({"model": "opus", "hooks": {"Stop": [{"hooks": []}]}}, indent=4)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up.at(tmp_path_factory.mktemp("connect"))
    try:
        up.start_ready()
        up.arguments[up.arguments.index("--port") + 1] = str(httpx.URL(up.url).port)
        yield up
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


def call(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [RUNCAST, *arguments]
    return subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def hook(environ: dict[str, str], payload: Any, *flags: str) -> tuple[int, str, float]:
    """The exit code, what was printed, and how long it took."""
    program = Path(environ["XDG_CONFIG_HOME"]) / "runcast" / "runcast-hook"
    began = time.monotonic()
    ended = subprocess.run(
        [program, "claude", *flags],
        input=payload if isinstance(payload, bytes) else json.dumps(payload).encode(),
        env=environ,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.stderr == b"", ended.stderr
    return ended.returncode, ended.stdout.decode(), time.monotonic() - began


def test_connecting_twice_changes_nothing_and_removing_restores_the_file(
    environ: dict[str, str], tmp_path: Path
) -> None:
    settings = tmp_path / ".claude" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(OWN)
    shown = call(environ, "connect", "claude", "--print")
    assert "PermissionRequest" in shown.stdout
    assert settings.read_text() == OWN
    assert call(environ, "connect", "claude").returncode == 0
    once = settings.read_text()
    hooks = json.loads(once)["hooks"]
    assert hooks["Stop"][0] == {"hooks": []}, "your own come first, as they were"
    assert hooks["PermissionRequest"][0]["hooks"][0]["args"] == ["claude", "--hold"]
    assert "PreToolUse" not in hooks
    assert environ["RUNCAST_TOKEN"] not in once
    config = tmp_path / "config" / "runcast" / "agents.json"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    kept = config.read_text()
    assert call(environ, "connect", "claude").returncode == 0
    assert (settings.read_text(), config.read_text()) == (once, kept)
    config.write_text(kept.replace(json.loads(kept)["token"], "rc_gone"))
    assert call(environ, "connect", "claude").returncode == 0
    assert json.loads(config.read_text())["token"] not in ("rc_gone", json.loads(kept)["token"])
    assert call(environ, "connect", "claude", "--remove").returncode == 0
    assert settings.read_text() == OWN
    assert [path.name for path in settings.parent.iterdir()] == ["settings.json"]
    settings.write_text("{ not json")
    broken = call(environ, "connect", "claude")
    assert broken.returncode == 1
    assert settings.read_text() == "{ not json"
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    for agent in ("codex", "gemini", "opencode", "copilot", "qwen"):
        assert call(environ, "connect", agent).returncode == 0
        assert call(environ, "connect", agent, "--remove").returncode == 0
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
    plugin = tmp_path / "config" / "opencode" / "plugins" / "runcast.js"
    plugin.write_text("export const mine = 1;")
    assert call(environ, "connect", "opencode", "--remove").returncode == 1
    assert plugin.read_text() == "export const mine = 1;", "it isn't ours"
    assert call(environ, "connect", "hal").returncode == 2
    # Cursor's file has a version and entries of another form; some are yours.
    cursor = tmp_path / ".cursor" / "hooks.json"
    cursor.parent.mkdir()
    cursor.write_text('{"version": 1, "hooks": {"stop": [{"command": "./mine.sh"}]}}\n')
    own = cursor.read_text()
    assert call(environ, "connect", "cursor").returncode == 0
    entries = json.loads(cursor.read_text())["hooks"]["stop"]
    assert entries[0] == {"command": "./mine.sh"}
    assert entries[1]["command"].endswith("runcast-hook cursor")
    assert call(environ, "connect", "cursor", "--remove").returncode == 0
    assert cursor.read_text() == own


def test_a_permission_is_held_through_a_restart_and_answered_elsewhere(
    server: Up, environ: dict[str, str]
) -> None:
    assert call(environ, "connect", "claude").returncode == 0
    printed: list[tuple[int, str, float]] = []
    waiting = threading.Thread(target=lambda: printed.append(hook(environ, ASK, "--hold")))
    waiting.start()
    with Client(server.url, environ["RUNCAST_TOKEN"]) as client:
        wait_for(lambda: client.list_questions(state="open")["total"] == 1, "the question")
        server.stop()
        server.start_ready()
        [question] = client.list_questions(state="open")["questions"]
        assert question["body"] == "make deploy"
        config = Path(environ["XDG_CONFIG_HOME"]) / "runcast" / "agents.json"
        reporter = json.loads(config.read_text())["token"]
        path = f"{server.url}/questions/{question['id']}/answer"
        refused = httpx.post(
            path, json={"option": "allow"}, headers={"Authorization": f"Bearer {reporter}"}
        )
        assert refused.status_code == 403, "the agent's own key never answers"
        client.answer_question(question["id"], option="allow")
    waiting.join(60)
    [(code, said, _)] = printed
    decision = json.loads(said)["hookSpecificOutput"]["decision"]
    assert (code, decision) == (0, {"behavior": "allow"})


def test_a_hook_never_harms_the_agent(environ: dict[str, str], tmp_path: Path) -> None:
    assert call(environ, "connect", "claude").returncode == 0
    config = tmp_path / "config" / "runcast" / "agents.json"
    known = json.loads(config.read_text())
    assert hook(environ, b"not json")[:2] == (0, "")
    assert hook(environ, {"session_id": 7})[:2] == (0, "")
    large = ASK | {"hook_event_name": "PostToolUse", "tool_response": "x" * 5_000_000}
    assert hook(environ, large)[:2] == (0, "")
    with socket.socket() as silent, socket.socket() as closed:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        closed.bind(("127.0.0.1", 0))
        for place in (silent, closed):
            config.write_text(
                json.dumps(known | {"url": f"http://127.0.0.1:{place.getsockname()[1]}"})
            )
            for flags in ((), ("--hold",)):
                assert hook(environ, ASK, *flags)[:2] == (0, "")
    program = Path(environ["XDG_CONFIG_HOME"]) / "runcast" / "runcast-hook"
    with subprocess.Popen(
        [program, "claude"], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as unread:
        assert unread.wait(30) == 0, "an agent that leaves its end open"
        assert unread.stdout is not None
        assert unread.stdout.read() == b""
    config.write_text("{")
    assert hook(environ, ASK)[:2] == (0, "")
    config.unlink()
    assert hook(environ, ASK, "--hold")[:2] == (0, "")


def test_a_held_hook_ends_with_its_agent(server: Up, environ: dict[str, str]) -> None:
    assert call(environ, "connect", "claude").returncode == 0
    program = Path(environ["XDG_CONFIG_HOME"]) / "runcast" / "runcast-hook"
    ask = json.dumps(ASK | {"session_id": "s2"})
    script = f"printf '%s' '{ask}' | {program} claude --hold & echo $!; wait"
    with subprocess.Popen(
        ["sh", "-c", script], env=environ, stdout=subprocess.PIPE, text=True
    ) as agent:
        assert agent.stdout is not None
        held = int(agent.stdout.readline())
        with Client(server.url, environ["RUNCAST_TOKEN"]) as client:
            wait_for(lambda: client.list_questions(state="open")["total"] >= 1, "the question")
        agent.kill()
    wait_for(lambda: not Path(f"/proc/{held}").exists(), "the hook's end")
