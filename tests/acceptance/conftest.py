"""A server for the tests of SDK and CLI: one `runcast up` for all of them."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import Up

from runcast import Client


@pytest.fixture(scope="session")
def local_server() -> Iterator[Up]:
    """A real server, shared: tests keep apart by their projects."""
    directory = Path(tempfile.mkdtemp(prefix="runcast-test-"))
    up = Up.at(directory, RUNCAST_RUN_HEARTBEAT_S="1")
    try:
        yield up.start_ready()
    finally:
        up.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def client(local_server: Up) -> Iterator[Client]:
    """An administrator's client of it."""
    with Client(local_server.url, local_server.credentials["token"]) as made:
        yield made


@pytest.fixture
def server_environ(local_server: Up) -> dict[str, str]:
    """What makes a program find it."""
    return {
        "RUNCAST_URL": local_server.url,
        "RUNCAST_TOKEN": local_server.credentials["token"],
    }
