"""The gateways that we ship or show, as real processes before two hubs: they hash on the project, hold
nothing back, and let streams outlive a hub."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import jwt
import pytest
from tests.processes import Process
from tests.readers import Readers, reading
from tests.waiting import until, wait_for

pytestmark = [pytest.mark.anyio, pytest.mark.deployment]

DEPLOY = Path(__file__).parents[2] / "deploy"
SECRET = "a secret of thirty-two characters, at least"
STREAMS = 8


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def nginx(directory: Path, port: int, apis: list[str], hubs: list[str]) -> list[str]:
    shown = _filled((DEPLOY / "nginx.conf").read_text(), apis, hubs).replace(
        "listen 8000", f"listen 127.0.0.1:{port}"
    )
    paths = "".join(
        f"{name}_temp_path {directory}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (directory / "nginx.conf").write_text(
        f"daemon off; pid {directory}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off;\n{paths}{shown} }}\n"
    )
    return ["nginx", "-c", f"{directory}/nginx.conf", "-p", str(directory)]


def haproxy(directory: Path, port: int, apis: list[str], hubs: list[str]) -> list[str]:
    shown = _filled((DEPLOY / "haproxy.cfg").read_text(), apis, hubs)
    shown = shown.replace("maxconn 100000", "maxconn 500")
    # All of the few streams here: of so many, half would spill over.
    shown = shown.replace("hash-balance-factor 150", "hash-balance-factor 0")
    (directory / "haproxy.cfg").write_text(shown.replace("bind :8000", f"bind 127.0.0.1:{port}"))
    return ["haproxy", "-db", "-f", f"{directory}/haproxy.cfg"]


def caddy(directory: Path, port: int, apis: list[str], hubs: list[str]) -> list[str]:
    shown = (DEPLOY / "Caddyfile").read_text().replace("{$RUNCAST_SITE::8000}", f":{port}")
    for name, there in (("HUB:hub", hubs), ("API:api", apis)):
        dynamic = rf"dynamic a \{{\$RUNCAST_{name}\}} 8000 \{{.*?\}}"
        shown = re.sub(dynamic, f"to {' '.join(there)}", shown, flags=re.DOTALL)
    (directory / "Caddyfile").write_text(shown)
    return ["caddy", "run", "--config", f"{directory}/Caddyfile", "--adapter", "caddyfile"]


def _filled(text: str, apis: list[str], hubs: list[str]) -> str:
    for name, there in (("api", apis), ("hub", hubs)):
        for number in (1, 2):
            text = text.replace(f"{name}-{number}:8000", there[min(number, len(there)) - 1])
    return text


@contextlib.contextmanager
def running(directory: Path, command: list[str], port: int) -> Iterator[str]:
    """The gateway's address."""
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={"PATH": "/usr/sbin:/usr/bin:/bin:/usr/local/bin", "HOME": str(directory)},
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: _answers(url), "the gateway", (directory / "log").read_text)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/health").status_code == 200
    return False


@contextlib.contextmanager
def service(directory: Path, name: str, environ: dict[str, str]) -> Iterator[tuple[Process, str]]:
    """A running service, and its address without the scheme."""
    directory.mkdir()
    process = Process(directory, [name], environ)
    process.start()
    try:
        wait_for(lambda: "is running: " in process.said, "its address", lambda: process.said)
        yield process, process.said.partition("is running: http://")[2].split()[0]
    finally:
        process.cleanup()


@pytest.fixture
def directory() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="runcast-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.parametrize("gateway", [nginx, haproxy, caddy])
async def test_a_gateway_keeps_a_project_on_one_hub_until_that_dies(
    gateway: Callable[[Path, int, list[str], list[str]], list[str]],
    directory: Path,
    database_url: str,
    redis_url: str,
) -> None:
    environ = {
        "RUNCAST_DATABASE_URL": database_url,
        "RUNCAST_REDIS_URL": redis_url,
        "RUNCAST_PORT": "0",
        "RUNCAST_JWT_SECRET": SECRET,
        "RUNCAST_SSE_MAX_CONNECTIONS_PER_USER": "0",
        "RUNCAST_DATABASE_POOL_SIZE": "3",
    }
    token = jwt.encode({"sub": "ada", "role": "admin"}, SECRET, algorithm="HS256")
    headers = {"Authorization": f"Bearer {token}"}
    with (
        service(directory / "api", "api", environ) as (_, api),
        service(directory / "one", "hub", environ) as (one, first),
        service(directory / "two", "hub", environ) as (two, second),
    ):
        port = free_port()
        command = gateway(directory, port, [api], [first, second])
        with running(directory, command, port) as url:
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
                made = (await client.post("/projects", json={"name": "p"})).json()["id"]
                run = (await client.post(f"/projects/{made}/runs", json={})).json()["id"]

                async def hubs() -> list[str]:
                    found = (await client.get("/admin/connections")).json()["connections"]
                    return [each["hub"] for each in found]

                async def say(number: int) -> None:
                    body = {"stage": "s", "message": str(number)}
                    said = await client.post(f"/runs/{run}/progress", json=body)
                    assert said.status_code == 201, said.text

                def have(number: int) -> bool:
                    return all(len(ids) == number for ids in readers.positions)

                async def is_open() -> bool:
                    return len(await hubs()) == STREAMS

                readers = Readers(url, f"/projects/{made}/events", headers)
                async with reading(readers, STREAMS):
                    await until(is_open, "all streams")
                    assert len(set(await hubs())) == 1
                    for number in range(1, 6):
                        await say(number)
                        await until(lambda number=number: have(number), "an event, at once")

                    holder = (await hubs())[0]
                    doomed = one if await _has(first, headers, holder) else two
                    doomed.kill()
                    await say(6)
                    await until(lambda: have(6), "an event by the other hub")
                assert readers.other_answers == []
                for ids in readers.positions:
                    assert ids == sorted(set(ids))


async def _has(hub: str, headers: dict[str, str], name: str) -> bool:
    """Whether this is the hub of that name, by what it counts."""
    async with httpx.AsyncClient(base_url=f"http://{hub}", headers=headers) as client:
        text = (await client.get("/metrics")).text
    assert name
    return f"\nruncast_hub_connections {STREAMS}.0\n" in text
