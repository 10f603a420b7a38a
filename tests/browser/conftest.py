"""A real server, a real browser, and a person who is signed in."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests import browser as programs
from tests.browser.agent import Api
from tests.browser.watched import OpenPage, Watched
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET
from tests.processes import Up
from tests.waiting import DEADLINE_SECONDS

# What a page comes to show is waited for as long as everything else: a busy machine is slow, not wrong.
expect.set_options(timeout=1_000 * DEADLINE_SECONDS)

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever is here drives a browser."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests; each page has a profile of its own."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=programs.chromium(), args=list(ARGUMENTS)
        )
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def server() -> Iterator[Up]:
    """`runcast up` for all tests that don't stop it; they keep apart by their projects."""
    with _up() as up:
        yield up


@pytest.fixture
def mortal_server() -> Iterator[Up]:
    """One of a test's own, on a port that stays the same when it is started again."""
    with _up() as up:
        yield up


@pytest.fixture
def server_of_a_network() -> Iterator[Up]:
    """One that answers to a name of a local network, over plain http."""
    with _up(RUNCAST_ALLOWED_HOSTS="runcast.test") as up:
        yield up


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The address of an OpenID Connect provider on loopback."""
    command = [sys.executable, "-m", "tests.openid_provider", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


@pytest.fixture
def server_with_provider(provider: str) -> Iterator[Up]:
    """One whose people may sign in at the provider."""
    named = {"ISSUER": provider, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET}
    with _up(**{f"RUNCAST_OIDC_{name}": value for name, value in named.items()}) as up:
        yield up


@contextmanager
def _up(**environ: str) -> Iterator[Up]:
    directory = Path(tempfile.mkdtemp(prefix="runcast-browser-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = {"RUNCAST_PUBLIC_URL": f"http://127.0.0.1:{port}"}
    up = Up(directory, ["up", "--port", str(port)], {**address, **environ} if environ else {})
    try:
        yield up.start_ready()
    finally:
        up.cleanup()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def api(server: Up) -> Iterator[Api]:
    with Api.of(server) as made:
        yield made


@pytest.fixture
def mortal_api(mortal_server: Up) -> Iterator[Api]:
    with Api.of(mortal_server) as made:
        yield made


@pytest.fixture
def open_page(chromium: Browser, server: Up) -> Iterator[OpenPage]:
    """Opens a page as somebody with the administrator's key; at the end nothing went wrong in it."""
    opened: list[Watched] = []

    def make(path: str, *, at: Up = server, token: str | None = None, **context: Any) -> Watched:
        page = chromium.new_context(
            **{"viewport": {"width": 1280, "height": 800}, **context}
        ).new_page()
        page.add_init_script(
            f"sessionStorage.runcastSeen ??= sessionStorage['runcast.token']"
            f" = '{token or at.credentials['token']}'"
        )
        watched = Watched.over(page)
        opened.append(watched)
        page.goto(f"{at.url}/ui{path}")
        return watched

    yield make
    for watched in opened:
        watched.page.context.close()
    assert [complaint for watched in opened for complaint in watched.complaints] == []
