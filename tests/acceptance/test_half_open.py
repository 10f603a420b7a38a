"""Clients that are gone without a word: their connection stands, and nothing comes back on it.

Where this user may make a network namespace, packets are really dropped; and everywhere a client's process
is stopped, so that its system acknowledges but takes nothing more. Either way the hub finds out by the
deadline that its listener sets, gives the place back, and the client resumes where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from tests.acceptance import namespaces
from tests.acceptance.faults import Stage, reading, running, stage
from tests.torture.cluster import Cluster
from tests.torture.faults import metric
from tests.torture.programs import state_of
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

WAYS = ["stopped", *(["dropped"] if namespaces.can_be_made() else [])]
"""Within which the hub must have noticed: its deadline, and some for timers and a busy machine."""
CLIENT = """
import socket, sys
host, port, request = sys.argv[1], int(sys.argv[2]), sys.argv[3]
link = socket.socket()
link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
link.connect((host, port))
link.sendall(request.encode())
while piece := link.recv(4096):
    for line in piece.decode().splitlines():
        if line.startswith("id: "):
            print(line[4:], flush=True)
print("end", flush=True)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running(
        apis=1,
        hubs=1,
        tailers=0,
        RUNCAST_HOST="0.0.0.0",
        RUNCAST_SSE_MAX_CONNECTIONS_PER_KEY="1",
    ) as cluster:
        yield cluster


@pytest.fixture
async def here(cluster: Cluster) -> AsyncIterator[Stage]:
    async with stage(cluster) as made:
        yield made


@contextlib.contextmanager
def client(here: Stage, way: str) -> Iterator[tuple[subprocess.Popen[str], Callable[[], None]]]:
    """A client of the project's stream, and how it vanishes."""
    port = here.cluster.hubs[0].port
    with contextlib.ExitStack() as stack:
        host, arguments = "127.0.0.1", [sys.executable, "-c", CLIENT]
        if way == "dropped":
            namespace = stack.enter_context(namespaces.made())
            host, arguments = namespace.here, namespace.command(arguments)
        request = (
            f"GET /projects/{here.project}/events?subscribe_logs=all HTTP/1.1\r\n"
            f"Host: {host}:{port}\r\nAuthorization: Bearer {here.cluster.token}\r\n\r\n"
        )
        process = stack.enter_context(
            subprocess.Popen(
                [*arguments, host, str(port), request], stdout=subprocess.PIPE, text=True
            )
        )
        stack.callback(process.kill)

        def stop() -> None:
            process.send_signal(signal.SIGSTOP)

        yield process, namespace.drop_everything if way == "dropped" else stop


@pytest.mark.parametrize("way", WAYS)
async def test_a_client_that_vanishes_is_noticed_and_gives_its_place_back(
    here: Stage, way: str
) -> None:
    [hub] = here.cluster.hubs
    url = f"{hub.url}/projects/{here.project}/events"
    with client(here, way) as (process, vanish):
        assert process.stdout is not None
        await here.write(1)
        seen = 0
        while seen < await here.head():
            seen = int(await asyncio.to_thread(process.stdout.readline))
        vanish()
        if way == "stopped":  # Its system acknowledges what comes, until its buffer is full.
            await until(lambda: state_of(process.pid) == "T", "the client stands still")
            await _fill(here)
        async with here.http.stream("GET", url) as refused:
            assert refused.status_code == 429, "its place is still taken"
        await until(lambda: _is_free(here), "the hub notices")
        await here.write(10)
        reader = here.reader(hubs=[hub])
        reader.position = seen
        async with reading(reader):
            await here.delivered()
        assert list(reader.history.ids) == list(range(seen + 1, await here.head() + 1))


async def _fill(here: Stage) -> None:
    """Two megabytes: more than both sockets take."""
    entries = [{"message": "x" * 20_000}] * 100
    answer = await here.http.post(
        f"{here.api.url}/runs/{here.run}/logs", content=json.dumps(entries)
    )
    assert answer.status_code == 201, answer.text


async def _is_free(here: Stage) -> bool:
    return await metric(here.cluster, here.cluster.hubs[0], "runcast_hub_connections") == 0
