"""Limits by address hold against who has a whole network of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from argon2 import profiles
from limits.aio.storage import MemoryStorage
from pydantic import SecretStr
from starlette.requests import Request

from runcast_api.accounts import passwords
from runcast_api.accounts.argon2id import Hasher
from runcast_api.accounts.passwords import Passwords
from runcast_api.http import body_intake
from runcast_api.http.body_intake import Bodies
from runcast_server import networks
from runcast_server.auth.principal import Authenticator
from runcast_server.auth.rate_limits import SignInLimits
from runcast_server.errors import LimitReached
from runcast_server.process import slow_refusals
from runcast_server.process.slow_refusals import PER_SECOND, SlowRefusals

pytestmark = pytest.mark.anyio

MINE = [f"2001:db8:1:2:{number:x}::{number:x}" for number in range(1, 1000)]
"""Addresses that one customer of a provider may use."""
ANOTHERS = "2001:db8:1:3::1"


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::1"),
        ("", ""),
        ("testclient", "testclient"),
        ("no:address", "no:address"),
    ],
)
def test_what_an_address_is_counted_as(address: str, counted: str) -> None:
    assert networks.of(address) == counted


async def test_sign_ins_are_counted_by_network() -> None:
    limits = SignInLimits(MemoryStorage())
    for address in MINE[:60]:
        await limits.attempt_from(address)
    with pytest.raises(LimitReached):
        await limits.attempt_from(MINE[60])
    await limits.attempt_from(ANOTHERS)
    of_pair = SignInLimits(MemoryStorage())
    for address in MINE[:10]:
        await of_pair.attempt(address, "ann@example.org")
    with pytest.raises(LimitReached):
        await of_pair.attempt(MINE[10], "ann@example.org")


async def test_networks_take_turns_at_hashes() -> None:
    """Of hundred attempts from as many addresses of a network, few come before one from elsewhere."""
    hashed: list[str] = []

    class Noting(Hasher):
        def is_of(self, stored: str, plain: str) -> bool:
            hashed.append(plain)
            return False

    tried = Passwords(hasher=Noting(profiles.CHEAPEST))
    waiting = [
        asyncio.create_task(tried.is_right(None, SecretStr(address), address))
        for address in [*MINE[:100], ANOTHERS]
    ]
    await asyncio.gather(*waiting)
    assert hashed.index(ANOTHERS) <= 2 * passwords.AT_ONCE


async def test_refusals_are_held_by_network(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(slow_refusals.asyncio, "sleep", sleep)
    refusals = SlowRefusals(lambda: 100.0)
    for address in MINE[: PER_SECOND + 1]:
        await slow_refusals.hold({slow_refusals.SCOPE: refusals, "client": (address, 1)}, 401)
    assert len(slept) == 1


async def test_bodies_without_a_token_are_counted_by_network() -> None:
    bodies = Bodies(Authenticator())

    def request(address: str) -> Request:
        scope: dict[str, Any] = {"type": "http", "path": "/", "headers": [], "query_string": b""}
        return Request(scope | {"client": (address, 1)})

    taken = [bodies.admitted(request(each), 100) for each in MINE[: body_intake.ANONYMOUS_AT_ONCE]]
    for each in taken:
        await each.__aenter__()
    with pytest.raises(LimitReached):
        await bodies.admitted(request(MINE[-1]), 100).__aenter__()
    await bodies.admitted(request(ANOTHERS), 100).__aenter__()
    for each in taken:
        await each.__aexit__(None, None, None)
