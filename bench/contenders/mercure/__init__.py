"""Mercure, built from its released Go module: with its history in Bolt, and without any."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlencode

import jwt
from bench.contenders.contender import Job, Running
from bench.contenders.publishers import HttpPublisher, post
from bench.contenders.serving import free_port, go_program, scratch, serving

MODULE = "github.com/dunglas/mercure"
VERSION = "v0.24.2"
KEY = "a-key-of-the-benchmark-32-bytes!"
HUB = "/.well-known/mercure"


class Mercure:
    is_peer = True

    def __init__(self, *, keeps_history: bool) -> None:
        self._keeps_history = keeps_history
        self.name = "mercure" if keeps_history else "mercure-local"
        self.title = "Mercure (Bolt)" if keeps_history else "Mercure (no history)"

    def versions(self) -> str:
        self._program()
        return f"{MODULE} {VERSION}, transport {'bolt' if self._keeps_history else 'local'}"

    def _program(self) -> str:
        return go_program("mercure", MODULE, VERSION, Path(__file__).with_name("main.go"))

    @contextlib.contextmanager
    def start(self, job: Job) -> Iterator[Running]:
        program, port = self._program(), free_port()
        token = jwt.encode({"mercure": {"publish": ["*"]}}, KEY, algorithm="HS256")

        def render(channel: int, payload: str) -> bytes:
            body = urlencode({"topic": f"c{channel}", "data": payload}).encode()
            form = "Content-Type: application/x-www-form-urlencoded"
            return post(port, HUB, body, form, f"Authorization: Bearer {token}")

        with scratch() as directory:
            command = [program, f"127.0.0.1:{port}", f"{job.heartbeat_seconds}s"]
            if self._keeps_history:
                command.append(str(directory / "history.db"))
            with serving(command, port, directory=directory) as pid:
                yield Running(
                    port,
                    [pid],
                    HttpPublisher(port, render),
                    _path,
                    replay=_replay if self._keeps_history else None,
                    window=800,
                )


def _path(channels: Sequence[int]) -> str:
    return f"{HUB}?{urlencode([('topic', f'c{channel}') for channel in channels])}"


def _replay() -> str:
    return f"{_path([0])}&lastEventID=earliest"
