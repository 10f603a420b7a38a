"""Sign-in with OpenID Connect, and tokens of an issuer, against a provider process on loopback."""

from __future__ import annotations

import base64
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from joserfc.jwk import RSAKey

from runcast_server.auth import jwts
from tests.integration import rest
from tests.integration.rest import Rest
from tests.integration.test_people import account, anonymous, bearer, ok
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.openid_provider", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


def tell(issuer: str, path: str, body: str) -> Any:
    answer = httpx.post(issuer + path, content=body)
    answer.raise_for_status()
    return answer.json()


def settings(issuer: str) -> dict[str, Any]:
    return {
        "oidc_issuer": issuer,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "public_url": "http://localhost:8000",
    }


async def go(client: httpx.AsyncClient, return_to: str = "/ui/projects/demo") -> httpx.Response:
    """A browser's way to the provider and back to our callback."""
    away = await client.get("/auth/oidc/login", params={"return_to": return_to})
    assert away.status_code == 303, away.text
    async with httpx.AsyncClient() as elsewhere:
        back = await elsewhere.get(away.headers["location"])
    location = back.headers["location"]
    assert location.startswith("http://localhost:8000/auth/oidc/callback?")
    return await client.get(location)


async def test_who_comes_back_from_the_provider_is_signed_in(
    database_url: str, redis_url: str, tmp_path: Path, issuer: str
) -> None:
    claims = {"sub": "ann", "name": "Ann", "email": "ann@example.org", "email_verified": True}
    tell(issuer, "/claims", json.dumps(claims))
    async with rest.serving(database_url, redis_url, tmp_path, **settings(issuer)) as api:
        methods = await ok(await anonymous(api).get("/auth/methods"))
        assert methods == {"password": True, "oidc": issuer}
        first, again = anonymous(api), anonymous(api)
        back = await go(first)
        assert (back.status_code, back.headers["location"]) == (303, "/ui/projects/demo")
        me = await ok(await first.get("/auth/me"))
        assert (me["name"], me["email"]) == ("Ann", "ann@example.org")
        await go(again)
        assert (await ok(await again.get("/auth/me")))["id"] == me["id"]


async def test_the_keys_of_the_provider_may_change(
    database_url: str, redis_url: str, tmp_path: Path, issuer: str
) -> None:
    tell(issuer, "/claims", json.dumps({"sub": "bob"}))
    async with rest.serving(database_url, redis_url, tmp_path, **settings(issuer)) as api:
        assert (await go(anonymous(api))).status_code == 303
        tell(issuer, "/rotate", "EC")
        assert (await go(anonymous(api))).status_code == 303
        tell(issuer, "/rotate", "RSA")


async def test_a_verified_address_finds_its_account_and_an_unverified_one_does_not(
    database_url: str, redis_url: str, tmp_path: Path, issuer: str
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path, **settings(issuer)) as api:
        ann, _ = await account(api, "ann@example.org")
        claims = {"sub": "mallory", "email": "Ann@example.org", "email_verified": False}
        tell(issuer, "/claims", json.dumps(claims))
        mallory = anonymous(api)
        await go(mallory)
        assert (await ok(await mallory.get("/auth/me")))["id"] != ann
        claims = {"sub": "ann", "email": "Ann@example.org", "email_verified": True}
        tell(issuer, "/claims", json.dumps(claims))
        anns = anonymous(api)
        await go(anns)
        assert (await ok(await anns.get("/auth/me")))["id"] == ann


async def test_nobody_finishes_what_another_browser_began(
    database_url: str, redis_url: str, tmp_path: Path, issuer: str
) -> None:
    tell(issuer, "/claims", json.dumps({"sub": "eve"}))
    async with rest.serving(database_url, redis_url, tmp_path, **settings(issuer)) as api:
        victim, attacker = anonymous(api), anonymous(api)
        away = await attacker.get("/auth/oidc/login")
        async with httpx.AsyncClient() as elsewhere:
            back = (await elsewhere.get(away.headers["location"])).headers["location"]
        assert (await victim.get(back)).status_code == 401
        await victim.get("/auth/oidc/login")
        assert (await victim.get(back)).status_code == 401
        assert (await attacker.get(back)).status_code == 303
        assert (await attacker.get(back)).status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "eve", "aud": "another client"},
        {"sub": "eve", "iss": "https://elsewhere.test"},
        {"sub": "eve", "exp": 1},
        {"sub": "eve", "nonce": "another"},
    ],
)
async def test_an_identity_token_that_is_not_meant_for_us_is_refused(
    database_url: str, redis_url: str, tmp_path: Path, issuer: str, claims: dict[str, Any]
) -> None:
    tell(issuer, "/claims", json.dumps(claims))
    async with rest.serving(database_url, redis_url, tmp_path, **settings(issuer)) as api:
        assert (await go(anonymous(api))).status_code == 401


async def test_what_is_odd_at_the_provider_is_no_error_of_ours(
    database_url: str, redis_url: str, tmp_path: Path, issuer: str
) -> None:
    """Keys that can't be used are left out; odd documents and claims are refused, and the next sign-in
    succeeds."""
    odd_keys = [
        None,
        5,
        [],
        {},
        {"kty": "EC", "crv": "P-256", "x": "!", "y": 1},
        {"kty": "RSA", "n": 7},
    ]
    claims = [
        {"sub": 5},
        {"sub": "a\x00b"},
        {"sub": ""},
        {"sub": "x" * 300},
        {"exp": "never"},
    ]
    documents = [
        {"keys": 5},
        {"keys": [None]},
        {"token_endpoint": 5},
        {"id_token": 5},
        {"issuer": []},
    ]
    tell(issuer, "/beside", json.dumps(odd_keys))
    try:
        for each in documents:
            tell(issuer, "/documents", json.dumps(each))
            async with rest.serving(database_url, redis_url, tmp_path, **settings(issuer)) as api:
                client = anonymous(api)
                away = await client.get("/auth/oidc/login")
                answer = away if away.status_code != 303 else await go(client)
                assert answer.status_code in (401, 503), (each, answer.text)
        tell(issuer, "/documents", "{}")
        async with rest.serving(database_url, redis_url, tmp_path, **settings(issuer)) as api:
            for each in claims:
                tell(issuer, "/claims", json.dumps({"sub": "ann"} | each))
                assert (await go(anonymous(api))).status_code == 401, each
            tell(issuer, "/claims", json.dumps({"sub": "ann", "name": "a\x00b", "email": {}}))
            assert (await go(anonymous(api))).status_code == 303
    finally:
        tell(issuer, "/documents", "{}")
        tell(issuer, "/beside", "[]")


async def test_the_browser_returns_to_our_own_pages_only(
    database_url: str, redis_url: str, tmp_path: Path, issuer: str
) -> None:
    tell(issuer, "/claims", json.dumps({"sub": "ann"}))
    async with rest.serving(database_url, redis_url, tmp_path, **settings(issuer)) as api:
        for place in ("https://evil.test/", "//evil.test", "/\\evil.test", "/auth/logout"):
            assert (await go(anonymous(api), place)).headers["location"] == "/ui/"


async def test_a_sign_in_that_another_host_began_is_none(
    database_url: str, redis_url: str, tmp_path: Path, issuer: str
) -> None:
    """A page of a sibling domain sets cookies for ours: it would sign a visitor in as someone else, and send
    them on to a page of its own. Over TLS a cookie of that host doesn't count; nowhere does it name where to
    go."""
    tell(issuer, "/claims", json.dumps({"sub": "mallory"}))
    over_tls = settings(issuer) | {"public_url": "https://localhost:8000"}
    async with rest.serving(database_url, redis_url, tmp_path, **over_tls) as api:
        client = anonymous(api)
        away = await client.get("/auth/oidc/login")
        set_by_us = away.headers["set-cookie"]
        assert set_by_us.startswith("__Host-runcast_oidc=")
        assert all(part in set_by_us for part in ("; Secure", "; HttpOnly", "; Path=/;"))
        value = set_by_us.partition("=")[2].partition(";")[0]
        async with httpx.AsyncClient() as elsewhere:
            back = (await elsewhere.get(away.headers["location"])).headers["location"]
        victim = anonymous(api)
        forged = await victim.get(back, headers={"Cookie": f"runcast_oidc={value}"})
        assert forged.status_code == 401
        elsewhere_to = [*json.loads(base64.urlsafe_b64decode(value))[:3], "https://evil.test/"]
        packed = base64.urlsafe_b64encode(json.dumps(elsewhere_to).encode()).decode()
        led = await victim.get(back, headers={"Cookie": f"__Host-runcast_oidc={packed}"})
        assert (led.status_code, led.headers["location"]) == (303, "/ui/")


def signed(issuer: str, **claims: Any) -> dict[str, str]:
    claims = {"sub": "ann", "exp": int(time.time()) + 60} | claims
    return bearer(tell(issuer, "/sign", json.dumps(claims))["token"])


async def test_tokens_by_published_keys_are_believed_and_keys_rotate(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    issuer: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jwts, "UNKNOWN_SECONDS", 0.0)
    given = {"jwt_jwks_url": f"{issuer}/jwks", "jwt_audience": "api", "jwt_role_claim": "roles"}
    async with rest.serving(database_url, redis_url, tmp_path, **given) as api:
        for kind in ("RSA", "EC"):
            tell(issuer, "/rotate", kind)
            me = await ok(await get_me(api, signed(issuer, aud="api")))
            assert (me["kind"], me["is_admin"]) == ("user", False)
        admin = signed(issuer, sub="root", aud="api", roles=["admin", "x"])
        assert (await ok(await get_me(api, admin)))["is_admin"]
        for claims in ({}, {"aud": "other"}, {"aud": "api", "exp": 1}, {"aud": "api", "nbf": 9e9}):
            assert (await get_me(api, signed(issuer, **claims))).status_code == 401, claims
        old = signed(issuer, sub="late", aud="api")
        tell(issuer, "/rotate", "RSA")
        monkeypatch.setattr(jwts, "KEPT_SECONDS", 0.0)
        assert (await get_me(api, old)).status_code == 401


async def test_a_public_key_is_not_taken_for_a_secret(
    database_url: str, redis_url: str, tmp_path: Path, issuer: str
) -> None:
    """The confusion of algorithms: HS256 with the published key as the secret, and no signature."""
    given = {"jwt_jwks_url": f"{issuer}/jwks"}
    tell(issuer, "/rotate", "RSA")
    async with httpx.AsyncClient() as client:
        published = (await client.get(f"{issuer}/jwks")).json()["keys"][0]
    claims = {"sub": "eve", "role": "admin", "exp": int(time.time()) + 60}
    pem = RSAKey.import_key(published).as_pem(private=False)
    head = encoded({"alg": "HS256", "kid": published["kid"]}) + b"." + encoded(claims)
    signature = hmac.digest(pem, head, "sha256")
    forged = [
        (head + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode(),
        jwt.encode(claims, None, algorithm="none", headers={"kid": published["kid"]}),
    ]
    async with rest.serving(database_url, redis_url, tmp_path, **given) as api:
        for token in forged:
            assert (await get_me(api, bearer(token))).status_code == 401


def encoded(part: dict[str, Any]) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")


async def get_me(api: Rest, headers: dict[str, str]) -> httpx.Response:
    return await anonymous(api).get("/auth/me", headers=headers)


@pytest.mark.parametrize("subject", ["a\0b", "\ud800", "x" * 256, ""])
async def test_a_subject_that_can_be_nobody_s_is_refused(
    database_url: str, redis_url: str, tmp_path: Path, subject: str
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        end = {"exp": (int(time.time()) + 60) * 1_000}
        for claims, status in (({"sub": subject}, 401), ({"sub": "ann", "name": "\ud800"}, 200)):
            token = jwt.encode(claims | end, rest.SECRET, algorithm="HS256")
            assert (await get_me(api, bearer(token))).status_code == status
