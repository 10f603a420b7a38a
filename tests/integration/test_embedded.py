"""The embedded servers: started, found again after a kill, ended in order."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis

from runcast_server.embedded import EmbeddedError, Postgres, Valkey
from runcast_server.process import all_in_one
from runcast_server.process.all_in_one import kept_running
from tests.servers import FAST_POSTGRES
from tests.waiting import until

# A program that starts both servers, says so, and waits to be killed.
HOLDER = """
import pathlib, sys, time
from runcast_server.embedded import Postgres, Valkey
data = pathlib.Path(sys.argv[1])
Postgres(data).start()
Valkey(data).start()
print("started", flush=True)
time.sleep(600)
"""


@pytest.fixture
def data() -> Iterator[Path]:
    """A directory with a short path; whatever still runs in it is ended."""
    directory = Path(tempfile.mkdtemp(prefix="runcast-test-"))
    yield directory
    end_all(directory)
    shutil.rmtree(directory, ignore_errors=True)


def end_all(data: Path) -> None:
    for pid_file in (data / "postgres" / "postmaster.pid", data / "valkey" / "pid"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)


def valkey_client(server: Valkey) -> redis.Redis:
    return redis.Redis.from_url(server.url)


def value(server: Postgres, statement: str) -> object:
    async def fetch() -> object:
        connection = await asyncpg.connect(server.url_of("postgres"))
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(fetch())


def test_postgres_keeps_its_data_over_a_stop(data: Path) -> None:
    first = Postgres(data, extra=FAST_POSTGRES)
    first.start()
    value(first, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert value(first, "SHOW synchronous_commit") == "on"
    assert value(first, "SHOW listen_addresses") == ""
    first.stop(5)
    assert not first.alive()

    second = Postgres(data, extra=FAST_POSTGRES)
    second.start()
    assert value(second, "SELECT answer FROM kept") == 42
    second.stop(5)


def test_a_stop_does_not_wait_for_open_transactions(data: Path) -> None:
    server = Postgres(data, extra=FAST_POSTGRES)
    server.start()

    async def stop_while_one_is_open() -> None:
        connection = await asyncpg.connect(server.url_of("postgres"))
        await connection.execute("BEGIN")
        stopping = asyncio.create_task(asyncio.to_thread(server.stop, 100))
        await until(connection.is_closed, "the server to end the transaction")
        await stopping

    asyncio.run(stop_while_one_is_open())
    assert not server.alive()


def test_valkey_keeps_its_data_and_its_address_over_a_stop(data: Path) -> None:
    first = Valkey(data)
    first.start()
    with valkey_client(first) as client:
        client.set("kept", "42")
        assert client.config_get("appendonly") == {"appendonly": "yes"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("min-string-size-avoid-copy-reply") == {
            "min-string-size-avoid-copy-reply": "2147483647"
        }
    address = first.worker_url
    first.stop(5)

    second = Valkey(data)
    second.start()
    assert second.worker_url == address
    with redis.Redis.from_url(second.port_url) as client:
        assert client.get("kept") == b"42"
    second.stop(5)


def test_workers_need_the_password(data: Path) -> None:
    server = Valkey(data)
    server.start()
    with (
        redis.Redis.from_url(server.worker_url.replace(server.worker_password, "guess")) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()
    with redis.Redis.from_url(server.worker_url) as worker:
        assert worker.xadd("runcast:ingest", {"m": "{}"})
        for command in (
            ("FLUSHALL",),
            ("CONFIG", "GET", "*"),
            ("KEYS", "*"),
            ("EVAL", "return 1", "0"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                worker.execute_command(*command)
    for private in ("password", "worker-password", "valkey.conf"):
        assert (data / "valkey" / private).stat().st_mode & 0o077 == 0
    server.stop(5)


def test_servers_whose_parent_was_killed_are_adopted(data: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(data)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "started\n"
    parent.kill()
    parent.wait()
    parent.stdout.close()
    before = (data / "postgres" / "postmaster.pid").read_text().split()[0]

    postgres, valkey = Postgres(data), Valkey(data)
    postgres.start()
    valkey.start()
    assert (data / "postgres" / "postmaster.pid").read_text().split()[0] == before
    assert value(postgres, "SELECT 1") == 1
    with valkey_client(valkey) as client:
        assert client.ping()
    postgres.stop(5)
    valkey.stop(5)
    assert not postgres.alive()
    assert not valkey.alive()


def test_servers_that_were_killed_start_again(data: Path) -> None:
    for _ in range(2):
        postgres, valkey = Postgres(data, extra=FAST_POSTGRES), Valkey(data)
        postgres.start()
        valkey.start()
        assert value(postgres, "SELECT 1") == 1
        end_all(data)
        postgres.stop(5)
        valkey.stop(5)


def test_a_process_number_that_was_given_to_another_program_is_not_adopted(
    data: Path,
) -> None:
    server = Postgres(data, extra=FAST_POSTGRES)
    server.start()
    server.stop(5)
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    written = f"{other.pid}\n{data}/postgres\n1\n5432\n{data}/postgres\n\n1 1\nready\n"
    (data / "postgres" / "postmaster.pid").write_text(written)
    (data / "valkey").mkdir()
    (data / "valkey" / "pid").write_text(str(other.pid))
    valkey = Valkey(data)
    server.start()
    valkey.start()
    assert value(server, "SELECT 1") == 1
    assert other.poll() is None
    server.stop(5)
    valkey.stop(5)
    assert other.poll() is None
    other.kill()
    other.wait()


def test_a_directory_that_was_moved_under_its_server_gets_no_second_one(data: Path) -> None:
    there, here = data / "there", data / "here"
    there.mkdir()
    server = Postgres(there, extra=FAST_POSTGRES)
    server.start()
    there.rename(here)
    with pytest.raises(EmbeddedError, match="may still be using"):
        Postgres(here, extra=FAST_POSTGRES).start()
    assert server.alive()
    server.stop(5)


def test_a_path_that_is_too_long_for_sockets_will_do(data: Path) -> None:
    deep = data / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    postgres, valkey = Postgres(deep, extra=FAST_POSTGRES), Valkey(deep)
    try:
        postgres.start()
        valkey.start()
        assert value(postgres, "SELECT 1") == 1
        with valkey_client(valkey) as client:
            assert client.ping()
    finally:
        postgres.stop(5)
        valkey.stop(5)
        for directory in (postgres.sockets, valkey.socket.parent):
            assert directory.stat().st_mode & 0o077 == 0
            shutil.rmtree(directory)


def test_data_of_another_postgres_is_refused_and_left_alone(data: Path) -> None:
    (data / "postgres").mkdir()
    (data / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedError, match="made by Postgres 16"):
        Postgres(data).start()
    assert [path.name for path in (data / "postgres").iterdir()] == ["PG_VERSION"]


def test_a_server_that_cannot_start_says_why(data: Path) -> None:
    with pytest.raises(
        EmbeddedError, match=r"(?s)Postgres did not start.*shared_buffers"
    ) as raised:
        Postgres(data, extra={"shared_buffers": "-1"}).start()
    assert str(data / "postgres.log") in str(raised.value)
    with pytest.raises(EmbeddedError, match=r"(?s)Valkey did not start.*maxmemory-policy"):
        Valkey(data, extra={"maxmemory-policy": "nonsense"}).start()


def test_a_server_that_could_not_be_started_at_first_is_started_when_it_can(data: Path) -> None:
    """A full disk ends Postgres, and fails the first starts too, with an error of the system."""
    server = Postgres(data, FAST_POSTGRES)
    server.start()
    settings = data / "postgres" / "runcast.conf"
    before = settings.read_text()
    failed: list[BaseException] = []
    start = server.start

    def noted() -> None:
        try:
            start()
        except OSError as error:
            failed.append(error)
            raise

    server.start = noted  # type: ignore[method-assign]

    async def fill_and_make_room() -> None:
        obstacle = data / "postgres" / "runcast.conf.new"
        async with kept_running([server]):
            obstacle.mkdir()
            pid = int((data / "postgres" / "postmaster.pid").read_text().split()[0])
            os.kill(pid, signal.SIGQUIT)
            await until(lambda: not server.alive(), "Postgres to end")
            await until(lambda: failed, "a start that fails")
            assert settings.read_text() == before
            obstacle.rmdir()
            await until(server.alive, "Postgres to be started again")
            await until(lambda: server._postmaster()[1] == "ready", "it to be ready")

    asyncio.run(fill_and_make_room())
    server.stop(10)


def test_a_server_that_lives_and_takes_no_connections_is_started_again(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a Postgres whose disk was full while it recovered."""
    monkeypatch.setattr(all_in_one, "ASK_SECONDS", 0.0)
    monkeypatch.setattr(all_in_one, "SILENT_SECONDS", 0.5)
    server = Postgres(data, FAST_POSTGRES)
    server.start()
    assert server.answers()
    first, _ = server._postmaster()
    answers = server.answers
    server.answers = lambda: server._postmaster()[0] != first and answers()  # type: ignore[method-assign]

    async def wait_for_another() -> None:
        async with kept_running([server]):
            await until(server.answers, "another to take connections")

    asyncio.run(wait_for_another())
    server.stop(10)


def test_a_server_that_ends_while_it_is_adopted_is_started(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner was just stopping it when another start found it."""
    left = Postgres(data, FAST_POSTGRES)
    left.start()
    again = Postgres(data, FAST_POSTGRES)
    looked = again._postmaster

    looks = 0

    def ends_at_the_second_look() -> tuple[int | None, str]:
        nonlocal looks
        looks += 1
        pid, status = looked()
        if looks == 2:
            left.stop(10)
            status = "stopping"
        return pid, status

    monkeypatch.setattr(again, "_postmaster", ends_at_the_second_look)
    again.start()
    assert again.answers()
    again.stop(10)
