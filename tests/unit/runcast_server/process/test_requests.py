"""What a request is known by, in logs and refusals, and how it is counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY
from starlette.types import Receive, Scope, Send
from tests.unit.runcast_server.process.test_root_app import client, service

from runcast_server.process import requests

pytestmark = pytest.mark.anyio

TRACE = "0af7651916cd43dd8448eb211c80319c"


def scope(*headers: tuple[bytes, bytes], method: str = "GET") -> Scope:
    return {"type": "http", "method": method, "headers": list(headers)}


@pytest.mark.parametrize(
    ("headers", "number"),
    [
        ([(b"x-request-id", b"build-7.3")], "build-7.3"),
        ([(b"traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode())], TRACE),
        (
            [
                (b"traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode()),
                (b"x-request-id", b"mine"),
            ],
            "mine",
        ),
    ],
)
def test_a_request_is_known_by_what_its_sender_calls_it(
    headers: list[tuple[bytes, bytes]], number: str
) -> None:
    assert requests.number(scope(*headers)) == number


@pytest.mark.parametrize(
    "header",
    [
        (b"x-request-id", b"a\nb"),
        (b"x-request-id", b""),
        (b"x-request-id", b"x" * 129),
        (b"x-request-id", "ü".encode()),
        (b"traceparent", b"00-abc-def-01"),
    ],
)
def test_anything_else_gets_a_number_of_its_own_and_keeps_it(header: tuple[bytes, bytes]) -> None:
    asked = scope(header)
    number = requests.number(asked)
    assert len(number) == 32
    assert requests.number(asked) == number


def test_log_lines_of_a_request_name_it() -> None:
    assert requests.noted(None, "", {"event": "before"}) == {"event": "before"}
    requests.begin(scope((b"x-request-id", b"seven")))
    assert requests.noted(None, "", {"event": "x"}) == {"event": "x", "request": "seven"}
    cleared: dict[str, Any] = {"method": "GET"}
    requests.begin(cleared)
    assert requests.noted(None, "", {"event": "x"}) == {"event": "x"}, "a stream's, long after"


def counted(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    return REGISTRY.get_sample_value("runcast_http_requests_total", labels) or 0.0


async def test_requests_are_counted_by_route_and_refusals_are_numbered() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = SimpleNamespace(path="/things/{thing}")
        status = 404 if scope["path"].endswith("/0") else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    before = counted("GET", "/things/{thing}", 200), counted("GET", "/things/{thing}", 404)
    async with client(service("api", "/things", app=app)) as asking:
        found = await asking.get("/things/1", headers={"X-Request-ID": "one"})
        lost = await asking.get("/things/0", headers={"X-Request-ID": "two"})
        nowhere = await asking.get("/elsewhere")
    assert "x-request-id" not in found.headers
    assert lost.headers["x-request-id"] == "two"
    assert len(nowhere.headers["x-request-id"]) == 32
    after = counted("GET", "/things/{thing}", 200), counted("GET", "/things/{thing}", 404)
    assert after == (before[0] + 1, before[1] + 1)
