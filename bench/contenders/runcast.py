"""Runcast as people start it, `runcast up`, end to end: each event is authenticated, committed to Postgres,
numbered, published through Valkey and filtered. Single events come by POST, bursts as the tailer sends
lines. And the same with two hub processes beside an API.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import httpx
import redis
from bench.contenders.contender import Job, Running
from bench.contenders.publishers import HttpPublisher, post
from bench.contenders.serving import STOP_SECONDS, free_port, scratch, serving
from bench.machine import CLIENT_CPU, SERVER_CPU, pin
from bench.server import server, stores_in

from runcast_server.embedded import Postgres, Valkey

LINES_PER_MESSAGE = 1_000
RUNCAST = str(Path(sys.executable).with_name("runcast"))
UNLIMITED = {
    "RUNCAST_SSE_MAX_CONNECTIONS_PER_USER": "0",
    "RUNCAST_SSE_MAX_CONNECTIONS_PER_KEY": "0",
}


class Board:
    """The projects and runs that a job needs. Channels are projects with a run each; where filters are
    asked for, they are the runs of one project."""

    def __init__(self, http: httpx.Client, job: Job) -> None:
        self._filters = job.filters > 0
        self.runs: list[str] = []
        with ThreadPoolExecutor(8) as threads:
            if self._filters:
                self._project(http, 0)
                self.runs += threads.map(lambda _: self._run(http, 0), range(job.filters + 1))
                return
            list(threads.map(lambda number: self._project(http, number), range(job.channels)))
            self.runs += threads.map(lambda number: self._run(http, number), range(job.channels))

    def _project(self, http: httpx.Client, number: int) -> None:
        slug = f"c{number}"
        http.post("/projects", json={"name": slug, "slug": slug}).raise_for_status()

    def _run(self, http: httpx.Client, number: int) -> str:
        answer = http.post(f"/projects/c{number}/runs", json={"status": "running"})
        return str(answer.raise_for_status().json()["id"])

    def path(self, channels: Sequence[int]) -> str:
        if not self._filters:
            return f"/projects/c{channels[0]}/events?subscribe_logs=all"
        return "/projects/c0/events?subscribe_logs=" + ",".join(self.runs[one] for one in channels)


class Lines:
    """Publishes single lines by POST, bursts on the ingest stream."""

    def __init__(self, port: int, token: str, redis_url: str, runs: Sequence[str]) -> None:
        def render(channel: int, payload: str) -> bytes:
            body = json.dumps({"message": payload}).encode()
            head = ("Content-Type: application/json", f"Authorization: Bearer {token}")
            return post(port, f"/runs/{runs[channel]}/logs", body, *head)

        self._http = HttpPublisher(port, render)
        self._redis = redis.Redis.from_url(redis_url)
        self._runs = runs
        self._sent: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])

    def publish(self, channel: int, payload: str) -> None:
        self._http.publish(channel, payload)

    def burst(self, channel: int, payloads: Iterable[str]) -> None:
        sent = self._sent[channel]
        given = list(payloads)
        for first in range(0, len(given), LINES_PER_MESSAGE):
            lines = given[first : first + LINES_PER_MESSAGE]
            message = {
                "type": "lines",
                "run_id": self._runs[channel],
                "source": "burst",
                "generation": 1,
                "first_line": sent[0] + 1,
                "first_offset": sent[1],
                "lines": lines,
            }
            self._redis.xadd("runcast:ingest", {"m": json.dumps(message)})
            sent[0] += len(lines)
            sent[1] += sum(len(line) + 1 for line in lines)


def _replay() -> str:
    # Event 1 is the run's creation.
    return "/projects/c0/events?subscribe_logs=all&last_event_id=1"


class Runcast:
    name = "runcast"
    title = "Runcast"
    is_peer = False

    def versions(self) -> str:
        return f"runcast {version('runcast')}, uvicorn {version('uvicorn')}, uvloop {version('uvloop')}"

    @contextlib.contextmanager
    def start(self, job: Job) -> Iterator[Running]:
        beat = str(job.heartbeat_seconds)
        with server(RUNCAST_SSE_HEARTBEAT_INTERVAL_S=beat) as one:
            with one.http() as http:
                board = Board(http, job)
            publisher = Lines(one.port, one.token, one.redis_url, board.runs)
            yield Running(
                one.port,
                [one.pid],
                publisher,
                board.path,
                token=one.token,
                stores=one.stores,
                replay=_replay,
            )


class RuncastHubs:
    """Two hubs share the server's core; the API runs beside the stores."""

    name = "runcast-hubs"
    title = "Runcast, two hubs"
    is_peer = False
    hubs = 2

    def versions(self) -> str:
        return Runcast().versions()

    @contextlib.contextmanager
    def start(self, job: Job) -> Iterator[Running]:
        with contextlib.ExitStack() as stack:
            directory = stack.enter_context(scratch())
            postgres, valkey = self._stores(stack, directory / "stores")
            stores = stores_in(directory)
            for store in stores:
                pin(store, CLIENT_CPU)
            environment = {
                **UNLIMITED,
                "RUNCAST_DATABASE_URL": postgres.url,
                "RUNCAST_REDIS_URL": valkey.url,
                "RUNCAST_SSE_HEARTBEAT_INTERVAL_S": str(job.heartbeat_seconds),
            }
            token = _migrated(directory, environment)
            api_port, api = _service(stack, directory, "api", environment, CLIENT_CPU)
            hubs = [
                _service(stack, directory, "hub", environment, SERVER_CPU) for _ in range(self.hubs)
            ]
            headers = {"Authorization": f"Bearer {token}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{api_port}", headers=headers) as http:
                board = Board(http, job)
            yield Running(
                hubs[0][0],
                [pid for _, pid in hubs],
                Lines(api_port, token, valkey.worker_url, board.runs),
                board.path,
                token=token,
                stores=[api, *stores],
                replay=_replay,
                more_ports=[port for port, _ in hubs[1:]],
            )

    def _stores(self, stack: contextlib.ExitStack, directory: Path) -> tuple[Postgres, Valkey]:
        directory.mkdir()
        postgres, valkey = Postgres(directory), Valkey(directory)
        for store in (postgres, valkey):
            store.start()
            stack.callback(store.stop, STOP_SECONDS)
        return postgres, valkey


def _migrated(directory: Path, environment: Mapping[str, str]) -> str:
    """Applies the schema; the administrator's token."""
    subprocess.run(
        [RUNCAST, "migrate"],
        cwd=directory,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
    )
    credentials = json.loads((directory / ".runcast/credentials.json").read_text())
    return str(credentials["token"])


def _service(
    stack: contextlib.ExitStack,
    directory: Path,
    name: str,
    environment: Mapping[str, str],
    cpu: int,
) -> tuple[int, int]:
    """A process of one service: its port and its pid."""
    port = free_port()
    own = directory / f"{name}-{port}"
    own.mkdir()
    command = [RUNCAST, name, "--port", str(port)]
    running = serving(command, port, directory=own, environment=environment, cpu=cpu)
    return port, stack.enter_context(running)
