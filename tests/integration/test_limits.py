"""How often somebody may ask, over all processes; and passwords that others know."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from runcast_api.accounts.passwords import Passwords
from runcast_server.auth import rate_limits
from runcast_server.auth.principal import Principal
from runcast_server.auth.rate_limits import SignInLimits
from runcast_server.errors import Invalid, LimitReached
from runcast_server.eventlog.bus import Bus
from tests.integration import rest
from tests.integration.test_people import anonymous, bearer, ok
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def is_refused(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> bool:
    answer = await client.get(path, headers=headers)
    if answer.status_code != 429:
        return False
    assert answer.headers["content-type"] == "application/problem+json"
    assert 0 < int(answer.headers["retry-after"]) <= rate_limits.WINDOW_SECONDS
    return True


async def test_requests_of_a_caller_are_counted_over_all_processes(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    given = {"requests_per_minute": 20}
    async with (
        rest.serving(database_url, redis_url, tmp_path, **given) as first,
        rest.serving(database_url, redis_url, tmp_path, **given) as second,
    ):
        one, two = anonymous(first), anonymous(second)
        ann, bob = first.person("ann"), first.person("bob")
        for _ in range(12):
            assert not await is_refused(one, "/projects", ann)
            assert not await is_refused(two, "/projects", ann)

        async def both_refuse() -> bool:
            return await is_refused(one, "/projects", ann) and await is_refused(
                two, "/projects", ann
            )

        await until(both_refuse)
        assert not await is_refused(one, "/projects", bob)


async def test_attempts_beyond_a_limit_cost_no_round_trip(redis_url: str) -> None:
    """Each is refused by what the process remembers; after a second Redis is asked again."""
    bus = Bus(redis_url)
    limits = SignInLimits(rate_limits.storage(bus))
    refused = 0
    try:
        for _ in range(80):
            try:
                await limits.attempt("1.1.1.1", "ann@example.org")
            except LimitReached:
                refused += 1
        assert refused == 70
        before = await evals(bus)
        for _ in range(50):
            with pytest.raises(LimitReached):
                await limits.attempt("1.1.1.1", "ann@example.org")
        assert await evals(bus) - before <= 10
    finally:
        await bus.close()


async def evals(bus: Bus) -> int:
    """How many scripts its Redis has run."""
    told = await bus.client.info("commandstats")
    names = ("cmdstat_evalsha", "cmdstat_eval")
    return sum(int(told.get(name, {}).get("calls", 0)) for name in names)


async def test_share_links_have_a_limit_of_their_own(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path, share_requests_per_minute=5) as api:
        await api.project("demo")
        made = await ok(await api.admin.post("/projects/demo/share-links"), 201)
        client, link = anonymous(api), bearer(made["token"])
        await until(lambda: is_refused(client, "/projects/demo", link))
        assert (await api.admin.get("/projects/demo")).status_code == 200


async def test_without_redis_requests_go_on_and_sign_ins_are_still_limited() -> None:
    bus = Bus("redis://127.0.0.1:1/0")
    counters = rate_limits.storage(bus)
    one = rate_limits.PerMinute(1)
    requests, sign_ins = rate_limits.RequestLimits(counters, one, one), SignInLimits(counters)
    for _ in range(50):
        requests.count(Principal("key:1"))
    for _ in range(10):
        await sign_ins.attempt("127.0.0.1", "ann@example.org")
    with pytest.raises(LimitReached):
        await sign_ins.attempt("127.0.0.1", "ann@example.org")
    await requests.close()
    await bus.close()


BREACHED = "password1234567"


@pytest.fixture
def breach_list() -> Iterator[str]:
    """A list as Have I Been Pwned serves it, by the first five digits."""
    digest = hashlib.sha1(BREACHED.encode(), usedforsecurity=False).hexdigest().upper()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = f"{digest[5:]}:42" if self.path == f"/range/{digest[:5]}" else "00:0"
            body = f"0018A45C4D1DEF81644B54AB7F969B88D65:0\r\n{found}\r\n".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/range/"
    server.shutdown()
    thread.join()
    server.server_close()


async def test_passwords_that_others_know_are_refused(breach_list: str) -> None:
    passwords = Passwords(breach_list)
    with pytest.raises(Invalid, match="breach"):
        await passwords.hash(SecretStr(BREACHED), "here")
    stored = await passwords.hash(SecretStr("nobody else has this one"), "here")
    assert stored.startswith("$argon2id$")
    assert await passwords.is_right(stored, SecretStr("nobody else has this one"), "here")
    assert not await passwords.is_right(stored, SecretStr(BREACHED), "here")
    assert not await passwords.is_right(None, SecretStr(BREACHED), "here")


async def test_a_breach_list_that_does_not_answer_keeps_nobody_out() -> None:
    passwords = Passwords("http://127.0.0.1:1/range/")
    assert (await passwords.hash(SecretStr(BREACHED), "here")).startswith("$argon2id$")


@pytest.mark.parametrize("password", ["short", "123456789", "é" * 9])
async def test_short_passwords_are_refused(password: str) -> None:
    with pytest.raises(Invalid):
        await Passwords().hash(SecretStr(password), "here")
