"""`runcast watch` against a real server: sessions that grow while watchers are killed arrive once."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.commands import RUNCAST
from tests.processes import Process, Up
from tests.waiting import wait_for

Json = dict[str, Any]

DATA = Path(__file__).parents[1] / "data" / "agents"
SESSION = "6f0c2b1e-5a34-4d0e-9a77-0b6c1d2e3f40"
KILLS = 4
_NUMBERS = itertools.count(1)


@pytest.fixture
def http(local_server: Up) -> Iterator[httpx.Client]:
    with local_server.client() as client:
        yield client


@pytest.fixture
def project(http: httpx.Client) -> str:
    slug = f"watch-{next(_NUMBERS)}"
    http.post("/projects", json={"name": slug, "slug": slug}).raise_for_status()
    return slug


def watch(directory: Path, environ: dict[str, str], project: str, *more: str) -> Process:
    """A watcher of the home beneath a directory, which sends by itself."""
    arguments = ["watch", "claude", "--since", "all", "-p", project]
    arguments += ["--path", f"claude={directory / 'claude'}", *more]
    return Process(directory, arguments, {"XDG_CONFIG_HOME": str(directory / "config"), **environ})


def seen(http: httpx.Client, project: str, key: str) -> list[str]:
    """The messages of a run; none where it isn't there yet."""
    answer = http.get(f"/runs/{key}/logs", params={"project": project, "limit": 1000})
    return [] if answer.status_code == 404 else [each["message"] for each in answer.json()["logs"]]


def record(number: int) -> bytes:
    whole = {
        "type": "user",
        "uuid": f"u{number}",
        "sessionId": SESSION,
        "timestamp": f"2026-11-26T09:00:{number % 60:02}.000Z",
        "message": {"role": "user", "content": f"say {number}"},
    }
    return json.dumps(whole).encode() + b"\n"


def append(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(content)


def test_each_entry_once_over_kills_and_two_ways_to_the_server(
    tmp_path: Path,
    http: httpx.Client,
    server_environ: dict[str, str],
    project: str,
    local_server: Up,
) -> None:
    """Half of the time the server's own tailer feeds the runs: the watchers write into its directory."""
    transcript = tmp_path / "claude" / "projects" / "-w" / f"{SESSION}.jsonl"
    runs = local_server.directory / "runs"
    key = f"claude-{SESSION}"
    written: list[str] = []

    def arrived(watcher: Process, what: str) -> None:
        wait_for(lambda: len(seen(http, project, key)) >= len(written), what, lambda: watcher.said)

    for life in range(KILLS):
        watcher = watch(tmp_path, server_environ, project, "--runs-dir", str(runs))
        watcher.start()
        try:
            for _ in range(5):
                line = record(len(written))
                append(transcript, line[:20])
                append(transcript, line[20:])
                written.append(f"say {len(written)}")
            if life % 2 == 0:
                arrived(watcher, "the entries")
        finally:
            watcher.kill()
    last = watch(tmp_path, server_environ, project, "--runs-dir", str(runs))
    last.start()
    try:
        arrived(last, "the entries")
        append(transcript, record(len(written)))
        written.append(f"say {len(written)}")
        arrived(last, "the last one")
        assert last.stop() == 0
    finally:
        last.cleanup()
    assert seen(http, project, key) == written
    assert rejects(http) == []


def rejects(http: httpx.Client) -> list[Json]:
    found: list[Json] = http.get("/admin/ingest/rejects").json()["rejects"]
    return [each for each in found if "claude-" in json.dumps(each)]


def test_history_becomes_a_tree_with_usage(
    tmp_path: Path, http: httpx.Client, server_environ: dict[str, str], project: str
) -> None:
    shutil.copytree(DATA / "claude", tmp_path / "claude", copy_function=shutil.copyfile)
    environ = os.environ | server_environ
    command = [RUNCAST, *watch(tmp_path, {}, project, "--once").arguments]
    for _ in range(2):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    key = f"claude-{SESSION}"
    want = json.loads((DATA / "expected-claude.json").read_bytes())
    assert seen(http, project, key) == [each["message"] for each in want["entries"]]
    run = http.get(f"/runs/{key}", params={"project": project}).json()
    assert (run["name"], run["steps"], run["agent_type"]) == ("Fix login test", [], "SESSION")
    assert run["usage"]["output_tokens"] == want["usage"]["output_tokens"]
    assert run["usage"]["cost_by"] == "estimate"
    assert run["usage_total"]["requests"] == want["usage"]["requests"] + 1
    [child] = http.get(f"/runs/{run['id']}/children").json()["runs"]
    assert (child["key"], child["status"]) == (want["child"]["key"], "completed")
    assert child["name"] == want["child"]["name"]


def test_session_that_a_hook_reported_first_is_the_same_run(
    tmp_path: Path, http: httpx.Client, server_environ: dict[str, str], project: str
) -> None:
    key = f"claude-{SESSION}"
    body = {"key": key, "steps": [], "status": "running"}
    made = http.post(f"/projects/{project}/runs", json=body).json()
    append(tmp_path / "claude" / "projects" / "-w" / f"{SESSION}.jsonl", record(0))
    command = [RUNCAST, *watch(tmp_path, {}, project, "--once").arguments]
    subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | server_environ,
        timeout=60,
        check=True,
        capture_output=True,
    )
    run = http.get(f"/runs/{key}", params={"project": project}).json()
    assert run["id"] == made["id"]
    assert (run["name"], seen(http, project, key)) == ("say 0", ["say 0"])


def test_pattern_that_is_none_is_named(tmp_path: Path) -> None:
    command = [RUNCAST, "watch", "--list", "--path", f"claude={tmp_path}", "claude"]
    environ = os.environ | {"RUNCAST_REDACT": "good\n(bad"}
    done = subprocess.run(
        command, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "RUNCAST_REDACT" in done.stderr
    assert "(bad" in done.stderr


def asking() -> bytes:
    """A session that asks its person something."""
    call = [{"type": "tool_use", "id": "t", "name": "AskUserQuestion"}]
    call[0] |= {"input": {"questions": [{"question": "Which?"}]}}  # type: ignore[dict-item]
    whole = {
        "type": "assistant",
        "uuid": "a",
        "sessionId": SESSION,
        "timestamp": "2026-11-26T09:00:00.000Z",
        "message": {"role": "assistant", "content": call},
    }
    return record(0) + json.dumps(whole).encode() + b"\n"


def test_inbox_says_where_a_session_waits_that_asks_nothing_here(
    tmp_path: Path, server_environ: dict[str, str], project: str
) -> None:
    append(tmp_path / "claude" / "projects" / "-w" / f"{SESSION}.jsonl", asking())
    environ = os.environ | server_environ
    said = ""
    for command in (watch(tmp_path, {}, project, "--once").arguments, ["inbox", "-p", project]):
        said = subprocess.run(
            [RUNCAST, *command],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
    host = os.uname().nodename.partition(".")[0]
    assert said == f"▲ question say 0: Which? (answer it at {host})\n"


def test_status_says_who_waits(tmp_path: Path, server_environ: dict[str, str]) -> None:
    append(tmp_path / "claude" / "projects" / "-w" / f"{SESSION}.jsonl", asking())
    watcher = watch(tmp_path, server_environ, "default", "--offline")
    watcher.start()
    try:
        said = _status(tmp_path)
        wait_for(lambda: said() == "1 needs you (say 0)\n", "the status", said)
    finally:
        watcher.cleanup()
    assert said() == "not watching\n"


def _status(directory: Path) -> Callable[[], str]:
    def said() -> str:
        command = [RUNCAST, "watch", "--status"]
        return subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=60, check=True
        ).stdout

    return said


AGENT = """
import json, pathlib, sys, time
session, transcript, seen = sys.argv[1:]
said = {"type": "user", "uuid": "u1", "sessionId": session, "message": {"role": "user", "content": "Go"}}
pathlib.Path(transcript).write_text(json.dumps(said) + "\\n")
while not pathlib.Path(seen).exists():
    time.sleep(0.02)
print(json.dumps({"type": "system", "subtype": "init", "session_id": session, "model": "m"}), flush=True)
end = {"type": "result", "subtype": "success", "is_error": False, "session_id": session, "result": "Done."}
print(json.dumps(end), flush=True)
"""
"""Begins its session, and says which one it is once the watcher has seen it."""


def test_session_under_exec_is_one_run_though_the_watcher_sees_it_first(
    tmp_path: Path, http: httpx.Client, server_environ: dict[str, str], project: str
) -> None:
    projects = tmp_path / "claude" / "projects" / "-w"
    projects.mkdir(parents=True)
    seen_it, memory = tmp_path / "seen", tmp_path / "runs" / ".watch.json"
    watcher = watch(tmp_path, server_environ, project)
    watcher.start()
    given = [SESSION, str(projects / f"{SESSION}.jsonl"), str(seen_it)]
    command = [
        RUNCAST,
        "exec",
        "-q",
        "-p",
        project,
        "--run",
        "nightly",
        "--",
        "python3",
        "-c",
        AGENT,
    ]
    try:
        wait_for((tmp_path / "runs" / ".watch.lock").exists, "the watcher", lambda: watcher.said)
        with subprocess.Popen(
            command + given, cwd=tmp_path, env=os.environ | server_environ, stdout=subprocess.PIPE
        ) as running:
            wait_for(lambda: memory.exists() and SESSION in memory.read_text(), "a look at it")
            seen_it.touch()
            assert running.communicate(timeout=60)[0].count(b"\n") == 2
        append(projects / "later.jsonl", record(1).replace(SESSION.encode(), b"later"))
        wait_for(lambda: seen(http, project, "claude-later") == ["say 1"], "a later session")
    finally:
        watcher.cleanup()
    assert not (tmp_path / "runs" / f"claude-{SESSION}").exists()
    run = http.get(f"/runs/claude-{SESSION}", params={"project": project}).json()
    assert (run["key"], run["status"]) == ("nightly", "completed")
