"""A loop in C with one `send` for each delivery: the limit of a server that doesn't batch. And the same
with many events a send, which is what the load client can take at most.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.contenders.contender import Job, Running
from bench.contenders.publishers import LinePublisher
from bench.contenders.serving import free_port, program, scratch, serving
from bench.server import compiled


class Loop:
    is_peer = False

    def __init__(self, *, sends_together: bool = False) -> None:
        self._flags = ["together"] if sends_together else []
        self.name = "loop-together" if sends_together else "loop"
        self.title = "C loop, 64 KB a send" if sends_together else "C loop"

    def versions(self) -> str:
        program("cc")
        return "bench/contenders/loop.c"

    @contextlib.contextmanager
    def start(self, job: Job) -> Iterator[Running]:
        port = free_port()
        command = [compiled(Path(__file__).with_suffix(".c")), str(port), *self._flags]
        with scratch() as directory, serving(command, port, directory=directory) as pid:
            yield Running(port, [pid], LinePublisher(port), path=_path)


def _path(channels: Sequence[int]) -> str:
    return "/" + ",".join(map(str, channels))
