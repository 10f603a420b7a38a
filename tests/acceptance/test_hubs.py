"""Two hub processes as one service: limits over both, and what is left of one that was killed."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest
import redis
from tests.processes import Process
from tests.waiting import wait_for

SECRET = "a secret of thirty-two characters, at least"
LEASE_END_SECONDS = 30.0
PROMISED_SECONDS = 15


@pytest.fixture
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="runcast-test-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def service(directory: Path, name: str, environ: dict[str, str]) -> Iterator[tuple[Process, str]]:
    """A running service and its address."""
    directory.mkdir()
    process = Process(directory, [name], environ)
    process.start()
    try:
        wait_for(lambda: "is running: " in process.said, "its address", lambda: process.said)
        url = process.said.partition("is running: ")[2].split()[0]
        wait_for(
            lambda: httpx.get(f"{url}/ready").status_code == 200, "readiness", lambda: process.said
        )
        yield process, url
    finally:
        process.cleanup()


def lease_seconds(redis_url: str) -> int:
    """For how long at most an entry of any hub counts from now on."""
    with redis.Redis.from_url(redis_url) as client:
        now, _ = client.time()
        entries = [
            entry for key in client.scan_iter("runcast:lease:*") for entry in client.hvals(key)
        ]
        return max(int(entry.partition(b":")[2]) - now for entry in entries)


def status(url: str, headers: dict[str, str]) -> int:
    with httpx.stream("GET", url, headers=headers, timeout=20) as response:
        return response.status_code


def test_the_sixth_stream_is_refused_until_a_killed_hub_s_leases_end(
    directory: Path, database_url: str, redis_url: str
) -> None:
    environ = {
        "RUNCAST_DATABASE_URL": database_url,
        "RUNCAST_REDIS_URL": redis_url,
        "RUNCAST_PORT": "0",
        "RUNCAST_JWT_SECRET": SECRET,
    }
    headers = {"Authorization": f"Bearer {jwt.encode({'sub': 'ada'}, SECRET, algorithm='HS256')}"}
    with (
        service(directory / "api", "api", environ) as (_, api),
        service(directory / "one", "hub", environ) as (doomed, one),
        service(directory / "two", "hub", environ) as (_, two),
        contextlib.ExitStack() as streams,
    ):
        made = httpx.post(f"{api}/projects", json={"name": "p"}, headers=headers)
        assert made.status_code == 201, made.text
        path = f"/projects/{made.json()['id']}/events"
        for hub in (one, one, one, two, two):
            response = streams.enter_context(
                httpx.stream("GET", hub + path, headers=headers, timeout=60)
            )
            assert response.status_code == 200
        refused = httpx.get(two + path, headers=headers)
        assert refused.status_code == 429
        assert refused.headers["retry-after"]
        assert refused.headers["content-type"] == "application/problem+json"
        assert status(one + path, headers) == 429

        doomed.kill()
        assert lease_seconds(redis_url) <= PROMISED_SECONDS
        assert status(two + path, headers) == 429
        wait_for(
            lambda: status(two + path, headers) == 200,
            "the dead hub's leases to end",
            seconds=LEASE_END_SECONDS,
        )
