"""Both clients have the same endpoints, and one core behind them."""

import inspect

import anyio
import httpx
import pytest

from runcast import AsyncClient, Client
from runcast.client.calls import Endpoint, Listing, Stream
from runcast.client.endpoints import Endpoints

NAMES = [
    name
    for name, value in vars(Endpoints).items()
    if isinstance(value, (Endpoint, Listing, Stream))
]


def answer(request: httpx.Request) -> httpx.Response:
    if request.url.path == "/runs":
        cursor = request.url.params.get("cursor")
        following = {None: "2", "2": "3", "3": None}[cursor]
        return httpx.Response(200, json={"runs": [{"id": cursor}], "next_cursor": following})
    return httpx.Response(
        200, json={"path": request.url.path, "auth": request.headers["Authorization"]}
    )


def blocking() -> Client:
    return Client("http://server", "rc_x", transport=httpx.MockTransport(answer))


def asynchronous() -> AsyncClient:
    return AsyncClient("http://server", "rc_x", transport=httpx.MockTransport(answer))


@pytest.mark.parametrize("name", NAMES)
def test_every_endpoint_is_on_both_clients(name: str) -> None:
    endpoint = vars(Endpoints)[name]
    for face in (blocking(), asynchronous()):
        assert inspect.signature(getattr(face, name)) == inspect.signature(endpoint._build)


def test_the_blocking_face_returns_results() -> None:
    with blocking() as client:
        assert client.get_run("r") == {"path": "/runs/r", "auth": "Bearer rc_x"}
        assert [run["id"] for run in client.iter_runs()] == [None, "2", "3"]


def test_the_asynchronous_face_returns_the_same() -> None:
    async def use() -> None:
        async with asynchronous() as client:
            assert await client.get_run("r") == {"path": "/runs/r", "auth": "Bearer rc_x"}
            assert [run["id"] async for run in client.iter_runs()] == [None, "2", "3"]

    anyio.run(use)
