"""`runcast migrate`, `api`, `hub` and `tailer`, one by one, as containers run them."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.processes import Process
from tests.urls import in_database
from tests.waiting import wait_for


@pytest.fixture
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="runcast-test-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def environ(database_url: str, redis_url: str) -> dict[str, str]:
    return {
        "RUNCAST_DATABASE_URL": database_url,
        "RUNCAST_REDIS_URL": redis_url,
        "RUNCAST_PORT": "0",
    }


def url_of(process: Process) -> str:
    wait_for(
        lambda: "is running: " in process.said or process.has_ended,
        "its address",
        lambda: process.said,
    )
    assert not process.has_ended, process.said
    return process.said.partition("is running: ")[2].split()[0]


@pytest.mark.parametrize("name", ["api", "hub", "tailer"])
def test_each_is_ready_by_itself_and_stops_cleanly(
    directory: Path, database_url: str, redis_url: str, name: str
) -> None:
    migrated = Process(directory, ["migrate"], environ(database_url, redis_url))
    migrated.start()
    assert migrated.ended() == 0, migrated.said
    token = json.loads((directory / ".runcast" / "credentials.json").read_bytes())["token"]

    process = Process(directory, [name], environ(database_url, redis_url))
    process.start()
    try:
        url = url_of(process)
        wait_for(
            lambda: httpx.get(f"{url}/ready").status_code == 200, "readiness", lambda: process.said
        )
        assert httpx.get(f"{url}/health").json() == {"status": "ok"}
        assert (
            httpx.get(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"}).status_code
            == 200
        )
        assert process.stop() == 0
    finally:
        process.cleanup()


def test_a_service_waits_for_the_migrations(
    directory: Path, postgres_url: str, redis_url: str
) -> None:
    late = in_database(postgres_url, "migrated_late")
    process = Process(directory, ["hub"], environ(late, redis_url))
    process.start()
    try:
        wait_for(lambda: "run `runcast migrate`" in process.said, "a word", lambda: process.said)
        migrated = Process(directory, ["migrate"], environ(late, redis_url))
        migrated.start()
        assert migrated.ended() == 0, migrated.said
        assert url_of(process)
        assert process.stop() == 0
    finally:
        process.cleanup()


def test_a_service_without_its_servers_says_which_settings_it_needs(directory: Path) -> None:
    process = Process(directory, ["api"])
    process.start()
    assert process.ended() == 1
    assert "RUNCAST_DATABASE_URL and RUNCAST_REDIS_URL must be set" in process.said
    assert "Traceback" not in process.said
