"""Clients that others wrote follow a run, are cut off, and go on without loss or repeat."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from tests import browser
from tests.commands import node
from tests.cutting import Cutting, cutting
from tests.processes import Up
from tests.waiting import wait_for

from runcast import Client
from runcast._support.ids import uuid7

CLIENTS = Path(__file__).parents[1] / "clients"
LINES = 60
CUTS = (15, 35)


COMMANDS = {
    "curl": lambda: [sys.executable, str(CLIENTS / "curl_client.py")],
    "curl --compressed": lambda: [sys.executable, str(CLIENTS / "curl_client.py")],
    "httpx-sse": lambda: [sys.executable, str(CLIENTS / "httpx_sse_client.py")],
    "aiohttp-sse-client": lambda: [sys.executable, str(CLIENTS / "aiohttp_client.py")],
    "npm eventsource": lambda: [node(), str(CLIENTS / "eventsource.mjs")],
    "npm launchdarkly-eventsource": lambda: [node(), str(CLIENTS / "launchdarkly.mjs")],
}


OPTIONS = {"curl --compressed": ["--compressed"]}
CODINGS = {
    "curl --compressed": "gzip",
    "httpx-sse": "gzip",
    "aiohttp-sse-client": "gzip",
    "npm eventsource": "gzip",
}
"""What those that ask for it are sent."""


@pytest.fixture
def proxy(local_server: Up) -> Iterator[Cutting]:
    with cutting(local_server.url) as made:
        yield made


@pytest.fixture
def run_id(client: Client) -> str:
    slug = f"sse-{str(uuid7())[-12:]}"
    client.create_project(slug, slug=slug)
    return str(client.create_run(slug, status="running")["id"])


def say_and_cut(client: Client, run_id: str, proxy: Cutting, seen: list[str]) -> None:
    """Says lines, and cuts the client off when it has some of them, and again."""
    for number in range(LINES):
        client.add_log(run_id, message=f"line {number}")
        if number in CUTS:
            wait_for(
                lambda number=number: len(seen) >= number - 3, f"{number} lines", lambda: repr(seen)
            )
            proxy.cut()
    wait_for(lambda: len(seen) >= LINES, "all lines", lambda: repr(seen))


def coding(client: Client, run_id: str) -> str | None:
    """The coding of the stream that shows this run."""
    project_id = client.get_run(run_id)["project_id"]
    newest_first = [
        connection["coding"]
        for connection in client.list_connections()["connections"]
        if connection["project_id"] == project_id
    ]
    return newest_first[0] if newest_first else "none is open"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_client_goes_on_where_it_was(
    name: str, client: Client, run_id: str, proxy: Cutting, local_server: Up
) -> None:
    seen: list[str] = []
    url = f"{proxy.url}/runs/{run_id}/stream?last_event_id=0"
    with subprocess.Popen(
        [*COMMANDS[name](), url, local_server.credentials["token"], *OPTIONS.get(name, [])],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=lambda: seen.extend(iter(process.stdout.readline, "")))
        reader.start()
        try:
            say_and_cut(client, run_id, proxy, seen)
            assert coding(client, run_id) == CODINGS.get(name)
        finally:
            process.kill()
            reader.join(10)
    assert [line.split(" ", 1)[1].rstrip() for line in seen] == [f"line {n}" for n in range(LINES)]
    ids = [int(line.split()[0]) for line in seen]
    assert ids == sorted(set(ids))
    assert proxy.connections > len(CUTS)


IN_A_PAGE = """
(url) => {
  window.seen = [];
  const source = new EventSource(url);
  source.addEventListener("agent:log", (event) => {
    window.seen.push(`${event.lastEventId} ${JSON.parse(event.data).line}`);
  });
}
"""


@pytest.mark.browser
def test_a_browsers_own_eventsource_goes_on_where_it_was(
    client: Client, run_id: str, proxy: Cutting
) -> None:
    project = client.get_run(run_id)["project_id"]
    ticket = client.create_stream_ticket(project)["ticket"]
    url = f"{proxy.url}/projects/{project}/events?subscribe_logs=all&ticket={ticket}"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=browser.chromium(), args=["--no-sandbox"]
        )
        page = chromium.new_page(bypass_csp=True)
        page.goto(f"{proxy.url}/health")
        page.evaluate(IN_A_PAGE, url)
        wait_for(lambda: bool(client.list_connections()["connections"]), "the page's stream")
        assert coding(client, run_id) == "gzip"

        def seen() -> list[str]:
            found: list[str] = page.evaluate("window.seen")
            return found

        for number in range(LINES):
            client.add_log(run_id, message=f"line {number}")
            if number in CUTS:
                wait_for(lambda number=number: len(seen()) >= number - 3, f"{number} lines")
                proxy.cut()
        wait_for(lambda: len(seen()) >= LINES, "all lines", lambda: repr(seen()))
        assert [line.split(" ", 1)[1] for line in seen()] == [f"line {n}" for n in range(LINES)]
        chromium.close()
