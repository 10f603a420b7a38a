"""Node.js with better-sse, fetched from npm."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.contenders.contender import Job, Running
from bench.contenders.publishers import HttpPublisher, post
from bench.contenders.serving import CACHE, fetched, free_port, program, scratch, serving

HERE = Path(__file__).parent
FILES = ("package.json", "server.js")


class Node:
    name = "node"
    title = "Node, better-sse"
    is_peer = True

    def versions(self) -> str:
        self._installed()
        asked = subprocess.run([program("node"), "--version"], capture_output=True, text=True)
        wanted = json.loads((HERE / "package.json").read_text())["dependencies"]["better-sse"]
        return f"Node {asked.stdout.strip()}, better-sse {wanted}"

    def _installed(self) -> Path:
        """The server with its dependency beside it. Raises `NotHere`."""
        directory = CACHE / "node"
        directory.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copy(HERE / name, directory / name)
        if not (directory / "node_modules/better-sse").exists():
            fetched([program("npm"), "install", "--no-audit", "--no-fund", "--silent"], directory)
        return directory

    @contextlib.contextmanager
    def start(self, job: Job) -> Iterator[Running]:
        server, port = self._installed() / "server.js", free_port()
        command = [program("node"), str(server), str(port), str(job.heartbeat_seconds)]
        with scratch() as directory, serving(command, port, directory=directory) as pid:
            publisher = HttpPublisher(
                port, lambda channel, payload: post(port, f"/publish/{channel}", payload.encode())
            )
            yield Running(port, [pid], publisher, _path)


def _path(channels: Sequence[int]) -> str:
    return "/events?channels=" + ",".join(map(str, channels))
