"""A loop in C with one `send` for each delivery: the limit of a server that doesn't batch."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bench.contenders.contender import Job, Running
from bench.contenders.publishers import LinePublisher
from bench.contenders.serving import free_port, program, scratch, serving
from bench.server import compiled


class Loop:
    name = "loop"
    title = "C loop"
    is_peer = False

    def versions(self) -> str:
        program("cc")
        return "bench/contenders/loop.c"

    @contextlib.contextmanager
    def start(self, job: Job) -> Iterator[Running]:
        port = free_port()
        command = [compiled(Path(__file__).with_suffix(".c")), str(port)]
        with scratch() as directory, serving(command, port, directory=directory) as pid:
            yield Running(port, [pid], LinePublisher(port), path=_path)


def _path(channels: list[int]) -> str:
    return "/" + ",".join(map(str, channels))
