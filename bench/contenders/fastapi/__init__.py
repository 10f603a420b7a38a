"""FastAPI with sse-starlette and Redis pub/sub: what most people write first."""

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from bench.contenders.contender import Job, Running
from bench.contenders.serving import free_port, scratch, serving
from bench.machine import CLIENT_CPU
from redis import Redis

from runcast_server.embedded.valkey import binary as valkey_binary


class RedisPublisher:
    """Publishes to Redis, pipelined in bursts."""

    def __init__(self, port: int) -> None:
        self._redis = Redis(port=port)

    def publish(self, channel: int, payload: str) -> None:
        self._redis.publish(f"c{channel}", payload)

    def burst(self, channel: int, payloads: Iterable[str]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for payload in payloads:
            pipeline.publish(f"c{channel}", payload)
        pipeline.execute()


class Fastapi:
    name = "fastapi"
    title = "FastAPI, sse-starlette"
    is_peer = True

    def versions(self) -> str:
        named = ("fastapi", "sse-starlette", "uvicorn", "uvloop", "redis")
        return ", ".join(f"{name} {version(name)}" for name in named)

    @contextlib.contextmanager
    def start(self, job: Job) -> Iterator[Running]:
        port, redis_port = free_port(), free_port()
        store = [
            str(valkey_binary()),
            "--port",
            str(redis_port),
            "--save",
            "",
            "--loglevel",
            "warning",
        ]
        environment = {
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}",
            "HEARTBEAT_SECONDS": str(job.heartbeat_seconds),
        }
        command = [sys.executable, "-m", "uvicorn", "server:app", "--port", str(port)]
        command += ["--app-dir", str(Path(__file__).parent)]
        command += ["--log-level", "warning", "--no-access-log", "--backlog", "4096"]
        with (
            scratch() as stored,
            serving(store, redis_port, directory=stored, cpu=CLIENT_CPU) as valkey,
            scratch() as directory,
            serving(command, port, directory=directory, environment=environment) as pid,
        ):
            yield Running(port, [pid], RedisPublisher(redis_port), _path, stores=[valkey])


def _path(channels: Sequence[int]) -> str:
    return "/events?channels=" + ",".join(map(str, channels))
