"""`runcast up`, as a person meets it: started, stopped, killed, started twice, started badly."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis
from tests.commands import runcast
from tests.processes import Process, Up
from tests.urls import in_database
from tests.waiting import wait_for

# What the contract promises, with room for a machine that has other things to do.


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short of path; whatever was started for it is ended, its embedded servers included."""
    made = Path(tempfile.mkdtemp(prefix="runcast-test-"))
    yield made
    for pid in serving(made):
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def up(directory: Path) -> Iterator[Up]:
    made = Up.at(directory)
    yield made
    made.cleanup()


def serving(directory: Path) -> list[int]:
    """Process ids of embedded servers that run on this directory's data."""
    listed = subprocess.run(
        ["ps", "-eww", "-o", "pid=,command="], capture_output=True, text=True, check=True
    )
    return [
        int(line.split()[0])
        for line in listed.stdout.splitlines()
        if str(directory) in line and ("postgres -D" in line or "valkey-server" in line)
    ]


def refused(directory: Path, *arguments: str, **environ: str) -> str:
    """What a start that can't succeed says; it has exit code 1 and shows no traceback."""
    process = Process(directory, list(arguments), environ)
    process.start()
    assert process.ended() == 1, process.said
    assert "Traceback" not in process.said
    return process.said


def test_it_says_where_it_is_and_stops_cleanly(up: Up) -> None:
    up.start_ready()
    assert f"{up.url}/ui/" in up.said
    assert str(up.data) in up.said
    with up.client() as client:
        assert client.post("/projects", json={"name": "first"}).status_code == 201
    assert len(serving(up.directory)) == 2

    assert up.stop() == 0
    assert serving(up.directory) == []


def test_ctrl_c_ends_open_streams_and_exits_with_0(up: Up) -> None:
    up.start_ready()
    with up.client() as client:
        project = client.post("/projects", json={"name": "watched"}).json()["id"]
        with client.stream("GET", f"/projects/{project}/events") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "event: connected"
            up.signal(signal.SIGINT)
            assert 'data: {"reason":"shutdown"}' in list(lines)
        assert up.ended() == 0
    assert serving(up.directory) == []


def test_a_second_start_on_the_same_data_names_the_first(up: Up) -> None:
    up.start_ready()
    said = refused(up.directory, "up", "--port", "0")
    assert f"already running on {up.data}: {up.url}" in said
    assert up.is_ready()


def test_a_busy_port_is_explained(directory: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refused(directory, "up", "--port", port)
    assert f"port {port}: Address already in use" in said
    assert "--port" in said
    assert serving(directory) == []


def test_after_a_kill_it_recovers_by_itself(up: Up) -> None:
    up.start_ready()
    before = up.credentials
    with up.client() as client:
        project = client.post("/projects", json={"name": "kept"}).json()["id"]
    up.kill()
    assert len(serving(up.directory)) == 2

    up.start_ready()
    assert up.credentials["token"] == before["token"]
    assert up.credentials["redis_url"] == before["redis_url"]
    with up.client() as client:
        assert client.get(f"/projects/{project}").json()["name"] == "kept"
    assert up.stop() == 0
    assert serving(up.directory) == []


def test_the_local_key_is_an_administrators_and_private(up: Up) -> None:
    up.start_ready()
    assert (up.data / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert httpx.get(f"{up.url}/projects").status_code == 401
    assert httpx.get(f"{up.url}/metrics", headers=up.headers).status_code == 200


def test_the_link_that_it_prints_signs_in_once(up: Up) -> None:
    up.start_ready()
    token = up.said.partition(f"{up.url}/ui/sign-in#token=")[2].split()[0]
    with httpx.Client(base_url=up.url) as browser:
        first = browser.post("/auth/login-link", json={"token": token})
        assert first.status_code == 200, first.text
        assert browser.get("/auth/me").status_code == 200
        assert httpx.post(f"{up.url}/auth/login-link", json={"token": token}).status_code == 401


def test_an_embedded_server_that_dies_is_started_again(up: Up) -> None:
    up.start_ready()
    with redis.Redis.from_url(up.credentials["redis_url"]) as client:
        before = serving(up.directory)
        assert len(before) == 2
        for pid in before:
            os.kill(pid, signal.SIGKILL)

        def answers() -> bool:
            try:
                return bool(client.ping()) and up.is_ready()
            except redis.RedisError:
                return False

        wait_for(answers, "both to be back", lambda: up.said)
    with up.client() as api:
        assert api.get("/projects").status_code == 200


def test_sigterm_while_it_starts_leaves_nothing_behind(up: Up) -> None:
    up.start()
    wait_for(lambda: serving(up.directory) != [], "an embedded server", lambda: up.said)
    assert up.stop() in (0, 130)
    assert serving(up.directory) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RUNCAST_PORT", "eight"),
        ("RUNCAST_DATABASE_URL", "sqlite:///x"),
        ("RUNCAST_TAIL_POLL_MS", "-1"),
    ],
)
def test_a_setting_that_cannot_be_parsed_is_named(directory: Path, name: str, value: str) -> None:
    said = refused(directory, "up", **{name: value})
    assert f"runcast: {name}: " in said
    assert not (directory / ".runcast").exists()


def test_absent_servers_are_awaited_and_then_given_up(directory: Path) -> None:
    said = refused(
        directory,
        "up",
        "--database-url",
        "postgresql://nobody@127.0.0.1:1/db",
        "--redis-url",
        "redis://127.0.0.1:1/0",
        RUNCAST_START_WAIT_S="1",
        RUNCAST_PORT="0",
    )
    assert "waiting for Postgres at 127.0.0.1:1" in said
    assert "Postgres at 127.0.0.1:1 can't be used, after 1 s of waiting" in said


def test_it_runs_on_servers_of_ones_own(directory: Path, postgres_url: str, redis_url: str) -> None:
    """Of two hosts that the URL names the first is dead; the database isn't there yet."""
    url = in_database(postgres_url, "of_ones_own")
    url = url.replace("host=", f"target_session_attrs=read-write&host={directory}/nowhere,")
    up = Up.at(directory, "--database-url", url, "--redis-url", redis_url)
    try:
        up.start_ready()
        assert serving(directory) == []
        with up.client() as client:
            assert client.post("/projects", json={"name": "there"}).status_code == 201
        assert up.stop() == 0
    finally:
        up.cleanup()


def test_what_was_backed_up_while_it_runs_is_restored_elsewhere(up: Up) -> None:
    up.start_ready()
    for wrong in (("backup", "x", "--data", "nowhere"), ("restore", "x", "--data", "nowhere")):
        assert runcast(up.directory, *wrong).code == 1
    assert not (up.directory / "nowhere").exists()
    ran = runcast(up.directory, "backup", "copy")
    assert ran.code == 0, ran.err.decode()
    into_running = runcast(up.directory, "restore", "copy")
    assert (into_running.code, b"is already running" in into_running.err) == (1, True)
    assert up.stop() == 0
    restored = runcast(up.directory, "restore", "copy", "--data", "elsewhere/.runcast")
    assert restored.code == 0, restored.err.decode()
    assert b"all is as it was" in restored.out
    assert serving(up.directory) == []
