"""Centrifugo, built from its released Go module: its memory engine with history, one-way SSE."""

import contextlib
import json
import secrets
from collections.abc import Iterator, Sequence
from urllib.parse import quote

import httpx
from bench.contenders.contender import Job, Running
from bench.contenders.publishers import HttpPublisher, post
from bench.contenders.serving import free_port, go_program, scratch, serving

MODULE = "github.com/centrifugal/centrifugo/v6"
VERSION = "v6.9.6"
HISTORY = 2_000


class Centrifugo:
    name = "centrifugo"
    title = "Centrifugo"
    is_peer = True

    def versions(self) -> str:
        go_program("centrifugo", MODULE, VERSION)
        return f"{MODULE} {VERSION}, memory engine"

    @contextlib.contextmanager
    def start(self, job: Job) -> Iterator[Running]:
        program, port, key = (
            go_program("centrifugo", MODULE, VERSION),
            free_port(),
            secrets.token_hex(),
        )

        def render(channel: int, payload: str) -> bytes:
            body = json.dumps({"channel": f"c{channel}", "data": {"line": payload}}).encode()
            return post(port, "/api/publish", body, f"X-API-Key: {key}")

        def replay() -> str:
            asked = httpx.post(
                f"http://127.0.0.1:{port}/api/history",
                json={"channel": "c0"},
                headers={"X-API-Key": key},
            ).json()
            since = {"recover": True, "offset": 0, "epoch": asked["result"]["epoch"]}
            return _connect({"c0": since})

        with scratch() as directory:
            configuration = directory / "config.json"
            configuration.write_text(json.dumps(_configuration(port, key, job)))
            command = [program, "-c", str(configuration)]
            with serving(command, port, directory=directory) as pid:
                yield Running(
                    port, [pid], HttpPublisher(port, render), _path, replay=replay, window=1500
                )


def _configuration(port: int, key: str, job: Job) -> dict[str, object]:
    return {
        "http_server": {"address": "127.0.0.1", "port": str(port)},
        "http_api": {"key": key},
        "log": {"level": "error"},
        "uni_sse": {"enabled": True},
        "client": {
            "insecure": True,
            "ping_interval": f"{job.heartbeat_seconds}s",
            "pong_timeout": f"{max(1, job.heartbeat_seconds // 3)}s",
            "queue_max_size": 4 << 20,
            "recovery_max_publication_limit": HISTORY,
        },
        "channel": {
            "without_namespace": {
                "history_size": HISTORY,
                "history_ttl": "3600s",
                "force_recovery": True,
                "allow_subscribe_for_client": True,
                "allow_subscribe_for_anonymous": True,
            }
        },
    }


def _path(channels: Sequence[int]) -> str:
    return _connect({f"c{channel}": {} for channel in channels})


def _connect(subscriptions: dict[str, dict[str, object]]) -> str:
    asked = json.dumps({"subs": subscriptions}, separators=(",", ":"))
    return f"/connection/uni_sse?cf_connect={quote(asked)}"
