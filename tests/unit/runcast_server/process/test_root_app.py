"""The one app of a process: which service answers, the probes, and the Host that is believed."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from runcast_server.auth.origins import with_added
from runcast_server.auth.principal import Authenticator, Principal, presented
from runcast_server.process import process
from runcast_server.process.root_app import Front
from runcast_server.service import Readiness, Service
from runcast_server.settings import ProcessSettings

pytestmark = pytest.mark.anyio


class Keys:
    """Two tokens: an administrator's and another."""

    async def read(self, token: str) -> Principal | None:
        known = {"admin": Principal("key:1", is_admin=True), "other": Principal("key:2")}
        return known.get(token)


def answering(text: str) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": text.encode()})

    return app


def service(
    name: str, path: str | None, readiness: Readiness | None = None, app: ASGIApp | None = None
) -> Service:
    @contextlib.asynccontextmanager
    async def running() -> AsyncIterator[None]:
        yield

    async def drain(seconds: float) -> None:
        pass

    async def ready() -> Readiness:
        return readiness or Readiness()

    def handles(scope: Scope) -> bool:
        return path is not None and str(scope["path"]).startswith(path)

    return Service(name, (app or answering(name)) if path else None, handles, running, drain, ready)


def client(*services: Service, host: str = "127.0.0.1", **settings: object) -> httpx.AsyncClient:
    front = Front(services, ProcessSettings(host=host, **settings), Authenticator(Keys()))
    return httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://127.0.0.1:8000")


async def test_the_first_service_that_handles_a_request_gets_it() -> None:
    async with client(
        service("hub", "/runs/1/stream"), service("tailer", None), service("api", "/runs")
    ) as http:
        assert (await http.get("/runs/1/stream")).text == "hub"
        assert (await http.get("/runs/1")).text == "api"
        missing = await http.get("/elsewhere")
    assert missing.status_code == 404
    assert missing.headers["content-type"] == "application/problem+json"
    assert missing.json()["type"] == "urn:runcast:problem:not-found"


async def test_a_stream_is_written_to_the_servers_own_send() -> None:
    seen: list[Send] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(send)

    async def send(message: object) -> None:
        pass

    async def receive() -> dict[str, object]:
        return {}

    streams = replace(service("hub", "/", app=app), has_streams=True)
    front = Front([streams], ProcessSettings(), Authenticator())
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
    await front(scope, receive, send)
    assert seen == [send]


async def test_health_needs_no_service() -> None:
    async with client() as http:
        assert (await http.get("/health")).json() == {"status": "ok"}


async def test_ready_names_what_is_degraded_and_stays_ready() -> None:
    async with client(service("hub", "/", Readiness(degraded={"redis": "away"}))) as http:
        answer = await http.get("/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "failing": {}, "degraded": {"redis": "away"}}


async def test_ready_fails_with_any_service_and_names_the_part() -> None:
    async with client(
        service("hub", "/", Readiness(degraded={"redis": "away"})),
        service("api", "/", Readiness(failing={"postgres": "away"})),
    ) as http:
        answer = await http.get("/ready")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["failing"] == {"postgres": "away"}


async def test_ready_fails_once_the_process_is_stopping() -> None:
    front = Front([], ProcessSettings(), Authenticator())
    front.stopping = True
    assert (await front.readiness()).failing == {"process": "stopping"}


@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("bad", 401), ("other", 403), ("admin", 200)]
)
async def test_metrics_are_an_administrators(token: str | None, status: int) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with client() as http:
        assert (await http.get("/metrics", headers=headers)).status_code == status


async def test_metrics_may_be_made_public() -> None:
    async with client(metrics_public=True) as http:
        answer = await http.get("/metrics")
    assert "# TYPE" in answer.text


@pytest.mark.parametrize(
    ("named", "status"),
    [
        ("localhost:8000", 200),
        ("127.0.0.1", 200),
        ("[::1]:8000", 200),
        ("LOCALHOST", 200),
        ("runs.example.org", 200),
        ("evil.example.com", 421),
        ("localhost.evil.example.com:8000", 421),
        ("", 421),
        ("[", 421),
    ],
)
async def test_on_this_machine_only_its_own_names_are_answered(named: str, status: int) -> None:
    async with client(public_url="https://runs.example.org") as http:
        assert (await http.get("/health", headers={"Host": named})).status_code == status


async def test_behind_a_gateway_any_name_is_answered_unless_there_is_a_list() -> None:
    async with client(host="0.0.0.0") as http:
        assert (await http.get("/health", headers={"Host": "anything"})).status_code == 200
    async with client(host="0.0.0.0", allowed_hosts=("here",)) as http:
        assert (await http.get("/health", headers={"Host": "anything"})).status_code == 421
        assert (await http.get("/health", headers={"Host": "here"})).status_code == 200


def everything() -> Service:
    """A service that answers with what it was sent, and gets no more than the front lets through."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        sent = dict(scope["headers"])
        headers = with_added(scope, [(b"x-cookie", sent.get(b"cookie", b"none"))])
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    return service("api", "/", app=app)


OWN = {"Origin": "http://127.0.0.1:8000"}
FOREIGN = {"Origin": "http://evil.test"}
OTHER_PORT = {"Origin": "http://127.0.0.1:3000"}
DASHBOARD = {"Origin": "https://dash.test"}
COOKIES = {"Cookie": "runcast_session=s; runcast_stream_ab=t"}


@pytest.mark.parametrize(
    ("headers", "cookie"),
    [
        ({}, "runcast_session=s; runcast_stream_ab=t"),
        (OWN, "runcast_session=s; runcast_stream_ab=t"),
        (FOREIGN, "none"),
        (OTHER_PORT, "none"),
        ({"Origin": "null"}, "none"),
        ({"Sec-Fetch-Site": "same-origin"}, "runcast_session=s; runcast_stream_ab=t"),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, "none"),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}, "none"),
        (
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
            "runcast_session=s; runcast_stream_ab=t",
        ),
        (DASHBOARD, "runcast_stream_ab=t"),
    ],
)
async def test_cookies_come_from_our_own_pages_only(headers: dict[str, str], cookie: str) -> None:
    async with client(everything(), cors_origins=("https://dash.test",)) as http:
        answer = await http.get("/x", headers=headers | COOKIES)
    assert answer.headers["x-cookie"] == cookie


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_pages_of_others_change_nothing(method: str) -> None:
    async with client(everything()) as http:
        for headers in (FOREIGN, OTHER_PORT, {"Origin": "null"}):
            answer = await http.request(method, "/x", headers=headers)
            assert answer.status_code == 403
            assert answer.json()["type"] == "urn:runcast:problem:foreign-page"
        assert (await http.request(method, "/x", headers=OWN)).status_code == 200
        assert (await http.request(method, "/x")).status_code == 200


async def test_an_origin_that_is_none_is_a_foreign_one() -> None:
    async with client(everything()) as http:
        for origin in ("http://[", "http://[::1", "//", "\xff", "http://]:1", "x" * 10_000):
            headers = {"Origin": origin.encode("latin-1")} | COOKIES
            answer = await http.get("/x", headers=headers)
            assert (answer.status_code, answer.headers["x-cookie"]) == (200, "none"), origin
            assert (await http.post("/x", headers=headers)).status_code == 403


async def test_over_tls_a_cookie_that_another_host_may_have_set_is_no_session() -> None:
    cookies = {"Cookie": "runcast_session=planted; __Host-runcast_session=own; other=x"}
    async with client(everything(), public_url="https://runs.test") as http:
        answer = await http.get("/x", headers=cookies)
    assert answer.headers["x-cookie"] == "__Host-runcast_session=own; other=x"
    headers = {"cookie": cookies["Cookie"], "host": "runs.test"}
    assert presented(headers) == "own"


@pytest.mark.parametrize(
    ("trusted", "believed"),
    [((), "127.0.0.1"), (("10.0.0.0/8",), "127.0.0.1"), (("127.0.0.1",), "203.0.113.7")],
)
async def test_where_a_request_comes_from_is_said_by_named_proxies_only(
    trusted: tuple[str, ...], believed: str
) -> None:
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["client"][0])
        await answering("x")(scope, receive, send)

    settings = ProcessSettings(trusted_proxies=trusted)
    front = Front([service("api", "/", app=app)], settings, Authenticator(Keys()))
    config = process.server_config(front, settings)
    config.load()
    transport = httpx.ASGITransport(config.loaded_app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        await http.get("/x", headers={"X-Forwarded-For": "203.0.113.7"})
    assert seen == [believed]


async def test_no_page_but_those_that_are_named_may_read_our_answers() -> None:
    async with client(everything(), cors_origins=("https://dash.test",)) as http:
        assert "access-control-allow-origin" not in (await http.get("/x", headers=FOREIGN)).headers
        assert "access-control-allow-origin" not in (await http.get("/x", headers=OWN)).headers
        allowed = await http.get("/x", headers=DASHBOARD)
        assert allowed.headers["access-control-allow-origin"] == "https://dash.test"
        assert allowed.headers["vary"] == "Origin"
        asked = DASHBOARD | {"Access-Control-Request-Method": "DELETE"}
        preflight = await http.options("/x", headers=asked)
        assert preflight.status_code == 204
        assert "DELETE" in preflight.headers["access-control-allow-methods"]
        assert "Last-Event-ID" in preflight.headers["access-control-allow-headers"]


async def test_answers_carry_what_browsers_need_to_be_told() -> None:
    async with client(everything(), public_url="https://runs.test") as http:
        for path in ("/x", "/health"):
            headers = (await http.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert headers["referrer-policy"] == "no-referrer"
            assert "strict-transport-security" in headers


async def test_heads_have_a_limit() -> None:
    async with client(everything()) as http:
        assert (await http.get("/x", headers={"X-Long": "a" * 40_000})).status_code == 431
        assert (await http.get("/x?" + "a" * 20_000)).status_code == 414
