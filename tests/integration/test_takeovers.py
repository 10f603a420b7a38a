"""Ways into accounts of others, and rights that are nobody's to give: each is tried here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from runcast._support.ids import uuid7
from runcast_api.accounts.keys import MOST_MAKERS
from runcast_server.auth import principal
from tests.integration import rest, test_openid
from tests.integration.rest import Rest
from tests.integration.test_openid import go, issuer, tell
from tests.integration.test_people import PASSWORD, account, anonymous, bearer, ok

pytestmark = pytest.mark.anyio

__all__ = ["issuer"]

BODY = {"name": "CEO", "password": "mallory knows this"}
TOPIC = {"id": "phone", "kind": "ntfy", "url": "ntfy://ntfy.example.org/mallory"}


@pytest.fixture
async def api(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest.serving(database_url, redis_url, tmp_path) as served:
        yield served


async def call(
    api: Rest, method: str, path: str, headers: dict[str, str], body: Any = None
) -> httpx.Response:
    return await anonymous(api).request(method, path, json=body, headers=headers)


async def test_who_made_an_account_for_an_address_loses_it_to_who_has_the_address(
    database_url: str, redis_url: str, tmp_path: Path, issuer: str
) -> None:
    given = test_openid.settings(issuer) | {"invitations": "owners"}
    async with rest.serving(database_url, redis_url, tmp_path, **given) as api:
        _, mallory = await account(api, "mallory@example.org")
        await ok(await call(api, "POST", "/projects", mallory, {"name": "p"}), 201)
        asked = {"email": "ceo@example.org", "project": "p", "role": "owner"}
        made = await ok(await call(api, "POST", "/invitations", mallory, asked), 201)
        path = f"/invitations/{made['token']}/accept"
        joined = await ok(await anonymous(api).post(path, json=BODY), 201)
        session = bearer(joined["token"])
        keys = "/projects/p/keys"
        new = {"name": "k", "role": "reporter"}
        key = bearer((await ok(await call(api, "POST", keys, session, new), 201))["token"])
        link = await ok(await call(api, "POST", "/projects/p/share-links", session), 201)
        new = {"name": "e", "role": "editor"}
        editor = bearer((await ok(await call(api, "POST", keys, session, new), 201))["token"])
        by_key = await ok(await call(api, "POST", "/projects/p/share-links", editor), 201)
        told = {"rules": [], "targets": [TOPIC]}
        await ok(await call(api, "PUT", "/auth/me/notifications", session, told))
        accomplice = {"email": "accomplice@example.org", "project": "p"}
        invited = await ok(await call(api, "POST", "/invitations", session, accomplice), 201)
        claims = {"sub": "ceo", "email": "CEO@example.org", "email_verified": True}
        tell(issuer, "/claims", json.dumps(claims))
        ceo = anonymous(api)
        await go(ceo)
        assert (await ok(await ceo.get("/auth/me")))["id"] == joined["user"]["id"]
        api.service.app.state.api.authenticator.forget()  # type: ignore[union-attr]
        login = {"email": "ceo@example.org", "password": BODY["password"]}
        assert (await anonymous(api).post("/auth/login", json=login)).status_code == 401
        for old in (session, key, editor, bearer(link["token"]), bearer(by_key["token"])):
            assert (await call(api, "GET", "/projects/p", old)).status_code == 401
        # No one else is told what the account is told, or answers by the buttons of it.
        assert (await ok(await ceo.get("/auth/me/notifications")))["targets"] == []
        assert (await anonymous(api).get(f"/invitations/{invited['token']}")).status_code == 404
        log = await ok(await api.admin.get("/admin/audit?action=identity_linked"))
        [entry] = log["entries"]
        assert entry["details"]["dropped"] == {
            "passwords": 1,
            "sessions": 1,
            "sign_in_links": 0,
            "keys": 2,
            "share_links": 2,
            "notification_targets": 1,
            "invitations": 1,
        }


async def test_an_unconfirmed_invitation_makes_no_account_and_tells_of_none(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    given = {"invitations": "confirmed"}
    async with rest.serving(database_url, redis_url, tmp_path, **given) as api:
        _, owner = await account(api, "owner@example.org")
        await account(api, "there@example.org")
        await ok(await call(api, "POST", "/projects", owner, {"name": "p"}), 201)
        answers = []
        for email in ("there@example.org", "not-there@example.org"):
            asked = {"email": email, "project": "p"}
            made = await ok(await call(api, "POST", "/invitations", owner, asked), 201)
            assert not made["is_confirmed"]
            opened = await ok(await anonymous(api).get(f"/invitations/{made['token']}"))
            assert "has_account" not in opened
            accept = f"/invitations/{made['token']}/accept"
            answer = await anonymous(api).post(accept, json=BODY)
            answers.append(
                (opened | {"email": "", "expires_at": ""}, answer.status_code, answer.json())
            )
            confirm = f"/invitations/{made['id']}/confirm"
            assert (await call(api, "POST", confirm, owner)).status_code == 403
        assert answers[0] == answers[1]
        assert answers[0][1] == 409
        assert (await ok(await api.admin.post(confirm)))["is_confirmed"]
        await ok(await anonymous(api).post(accept, json=BODY), 201)


async def test_passwords_can_be_turned_off(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    given = {"password_sign_in": False}
    async with rest.serving(database_url, redis_url, tmp_path, **given) as api:
        client = anonymous(api)
        assert not (await ok(await client.get("/auth/methods")))["password"]
        new = {"email": "ann@example.org", "name": "Ann"}
        made = await ok(await api.admin.post("/admin/users", json=new), 201)
        refused = await api.admin.post("/admin/users", json=new | {"password": PASSWORD})
        assert refused.status_code == 403
        token = {"token": made["sign_in_link"]["token"], "cookie": False}
        session = await ok(await client.post("/auth/login-link", json=token))
        headers = bearer(session["token"])
        change = {"password": "a new and longer one"}
        assert (await client.patch("/auth/me", json=change, headers=headers)).status_code == 403
        login = {"email": "ann@example.org", "password": PASSWORD}
        assert (await client.post("/auth/login", json=login)).status_code == 403
        invited = {"email": "bob@example.org"}
        invitation = await ok(await api.admin.post("/invitations", json=invited), 201)
        accept = f"/invitations/{invitation['token']}/accept"
        assert (await client.post(accept, json=BODY)).status_code == 403


async def owner_of(api: Rest, email: str = "owner@example.org") -> tuple[str, dict[str, str]]:
    user, headers = await account(api, email)
    await ok(await call(api, "POST", "/projects", headers, {"name": "p"}), 201)
    return user, headers


async def make_key(api: Rest, headers: dict[str, str], **fields: Any) -> dict[str, Any]:
    new = {"name": "k", "role": "owner"} | fields
    made: dict[str, Any] = await ok(await call(api, "POST", "/projects/p/keys", headers, new), 201)
    return made


async def test_rotation_gives_no_right_that_the_caller_has_not(api: Rest) -> None:
    _, owner = await owner_of(api)
    worker = await ok(
        await api.admin.post(
            "/projects/p/keys", json={"name": "w", "role": "reporter", "scopes": ["worker"]}
        ),
        201,
    )
    own_key = bearer((await make_key(api, owner))["token"])
    for caller in (owner, own_key):
        refused = await call(api, "POST", f"/keys/{worker['id']}/rotate", caller, {})
        assert refused.status_code == 403, refused.text
    rotated = await ok(await api.admin.post(f"/keys/{worker['id']}/rotate", json={}), 201)
    status = {"agent_type": "a", "status": "IDLE"}
    put = await call(api, "PUT", "/workers/w/status", bearer(rotated["token"]), status)
    assert put.status_code == 200


async def test_a_key_that_was_replaced_passes_its_real_end_on(api: Rest) -> None:
    _, owner = await owner_of(api)
    endless = await make_key(api, owner)
    later = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    ending = await make_key(api, owner, expires_at=later)
    for key in (endless, ending):
        for _ in range(2):
            path = f"/keys/{key['id']}/rotate"
            rotated = await ok(await call(api, "POST", path, owner, {"overlap_s": 60}), 201)
            assert rotated["expires_at"] == key["expires_at"]


async def test_a_key_never_outlives_who_made_it(api: Rest) -> None:
    user, owner = await owner_of(api)
    project = "/projects/p"
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    parent = await make_key(api, owner, expires_at=soon)
    child = await make_key(api, bearer(parent["token"]))
    assert child["expires_at"] == parent["expires_at"]
    grandchild = bearer((await make_key(api, bearer(child["token"])))["token"])
    rotated = await ok(
        await call(api, "POST", f"/keys/{parent['id']}/rotate", owner, {"overlap_s": 0}), 201
    )
    assert (await call(api, "GET", project, grandchild)).status_code == 200
    await ok(await call(api, "DELETE", f"/keys/{rotated['id']}", owner), 204)
    assert (await call(api, "GET", project, grandchild)).status_code == 401
    lasting = bearer((await make_key(api, owner))["token"])
    assert (await call(api, "GET", project, lasting)).status_code == 200
    await ok(await api.admin.patch(f"/admin/users/{user}", json={"is_disabled": True}))
    assert (await call(api, "GET", project, lasting)).status_code == 401


async def test_a_key_never_outranks_who_made_it(api: Rest) -> None:
    user, owner = await owner_of(api)
    other, _ = await account(api, "other@example.org")
    key = bearer((await make_key(api, owner))["token"])
    members = "/projects/p/members"
    await ok(await call(api, "PUT", f"{members}/{other}", owner, {"role": "owner"}))
    authenticator = api.service.app.state.api.authenticator  # type: ignore[union-attr]
    await ok(await api.admin.put(f"{members}/{user}", json={"role": "viewer"}))
    authenticator.forget()
    assert (await call(api, "GET", "/projects/p", key)).status_code == 200
    assert (await call(api, "POST", "/projects/p/runs", key, {})).status_code == 403
    await ok(await api.admin.delete(f"{members}/{user}"), 204)
    authenticator.forget()
    assert (await call(api, "GET", "/projects/p", key)).status_code == 401


async def test_refreshes_at_the_same_moment_all_end_with_a_good_token(api: Rest) -> None:
    _, old = await account(api, "ann@example.org")
    answers = await asyncio.gather(*(call(api, "POST", "/auth/refresh", old) for _ in range(4)))
    fresh = [bearer((await ok(answer))["token"]) for answer in answers]
    for headers in fresh:
        assert (await call(api, "GET", "/auth/me", headers)).status_code == 200
    assert (await call(api, "GET", "/auth/me", old)).status_code == 401
    await ok(await call(api, "POST", "/auth/logout", fresh[0]), 204)
    await ok(await call(api, "DELETE", "/auth/sessions", fresh[1]), 204)
    assert (await call(api, "POST", "/auth/refresh", old)).status_code == 401


async def test_a_session_over_tls_is_this_hosts_alone(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    given = {"public_url": "https://runs.example.org"}
    async with rest.serving(database_url, redis_url, tmp_path, **given) as api:
        await account(api, "ann@example.org")
        login = {"email": "ann@example.org", "password": PASSWORD, "cookie": True}
        answer = await anonymous(api).post("/auth/login", json=login)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"{principal.HOST_PREFIX}runcast_session_8000=rs_")
        assert "Secure" in cookie
        assert "Path=/;" in cookie
        assert "Domain" not in cookie


async def test_no_line_of_keys_is_too_long_to_be_judged(api: Rest, database_url: str) -> None:
    _, owner = await owner_of(api)
    asked = {"name": "k", "role": "owner"}
    key = owner
    for _ in range(MOST_MAKERS):
        made = await ok(await call(api, "POST", "/projects/p/keys", key, asked), 201)
        key = bearer(made["token"])
    assert (await call(api, "POST", "/projects/p/keys", key, asked)).status_code == 403
    tokens = await _line(database_url, made["id"], made["project_id"], 33 - MOST_MAKERS)
    answers = [await call(api, "GET", "/projects/p", bearer(token)) for token in tokens[-2:]]
    assert [answer.status_code for answer in answers] == [200, 401]


async def _line(database_url: str, maker: str, project: str, length: int) -> list[str]:
    """Tokens of keys that each were made by the one before."""
    tokens = [principal.new_token() for _ in range(length)]
    connection = await asyncpg.connect(database_url)
    try:
        for token in tokens:
            maker = await connection.fetchval(
                """INSERT INTO api_keys (id, token_hash, name, project_id, role, is_admin, scopes,
                                         made_by_key)
                   VALUES (gen_random_uuid(), $1, 'k', $2, 'owner', false, '{}', $3) RETURNING id""",
                principal.hash_token(token),
                project,
                maker,
            )
    finally:
        await connection.close()
    return tokens


async def test_a_key_gives_the_scope_answer_only_if_it_has_it(api: Rest) -> None:
    _, owner = await owner_of(api)
    made, asked = [], {"name": "k", "role": "owner"}
    for scopes in ([], ["answer"]):
        given = asked | {"scopes": scopes}
        made.append(await ok(await call(api, "POST", "/projects/p/keys", owner, given), 201))
    plain, trusted = [bearer(each["token"]) for each in made]
    asked |= {"scopes": ["answer"]}
    assert (await call(api, "POST", "/projects/p/keys", plain, asked)).status_code == 403
    rotate = f"/keys/{made[1]['id']}/rotate"
    assert (await call(api, "POST", rotate, plain, {})).status_code == 403
    await ok(await call(api, "POST", "/projects/p/keys", trusted, asked), 201)


@pytest.mark.parametrize("is_by_key", [False, True])
async def test_an_invitation_ends_with_the_right_of_its_maker(api: Rest, is_by_key: bool) -> None:
    user, owner = await owner_of(api)
    other, _ = await account(api, "other@example.org")
    await ok(await call(api, "PUT", f"/projects/p/members/{other}", owner, {"role": "owner"}))
    maker = owner
    if is_by_key:
        asked = {"name": "k", "role": "owner"}
        made = await ok(await call(api, "POST", "/projects/p/keys", owner, asked), 201)
        maker = bearer(made["token"])
        rotated = await call(api, "POST", f"/keys/{made['id']}/rotate", maker, {"overlap_s": 60})
        await ok(rotated, 201)
    asked = {"email": "owner2@example.org", "project": "p", "role": "owner"}
    made = await ok(await call(api, "POST", "/invitations", maker, asked), 201)
    path = f"/invitations/{made['token']}"
    await ok(await anonymous(api).get(path))
    await ok(await api.admin.delete(f"/projects/p/members/{user}"), 204)
    assert (await anonymous(api).get(path)).status_code == 404
    assert (await anonymous(api).post(f"{path}/accept", json=BODY)).status_code == 404
    await ok(await api.admin.put(f"/projects/p/members/{user}", json={"role": "owner"}))
    assert (await anonymous(api).get(path)).status_code == (200 if is_by_key else 404)


async def test_what_a_rotated_key_makes_is_its_successors(api: Rest, database_url: str) -> None:
    """It works on for a while. What it makes then outlives it, through every further rotation."""
    _, owner = await owner_of(api)
    first = await make_key(api, owner)
    maker = bearer(first["token"])
    links, invitations = "/projects/p/share-links", "/invitations"
    early = await ok(await call(api, "POST", links, maker), 201)
    second = await _rotated(api, owner, first)
    last = await _rotated(api, owner, second)
    late = await ok(await call(api, "POST", links, maker), 201)
    invited = {"email": "new@example.org", "project": "p"}
    invitation = await ok(await call(api, "POST", invitations, maker, invited), 201)
    # As where a process of the release before rotates a key, and hands nothing over.
    sql = "UPDATE share_links SET made_by_key = $2 WHERE id = $1"
    await _execute(database_url, sql, early["id"], first["id"])
    ended = "UPDATE api_keys SET expires_at = now() WHERE id = ANY ($1::uuid[])"
    await _execute(database_url, ended, [first["id"], second["id"]])
    forget = api.service.app.state.api.authenticator.forget  # type: ignore[union-attr]

    async def asked() -> list[int]:
        forget()
        reads = [
            await call(api, "GET", "/projects/p", bearer(each["token"])) for each in (early, late)
        ]
        opened = await anonymous(api).get(f"{invitations}/{invitation['token']}")
        return [answer.status_code for answer in (*reads, opened)]

    assert await asked() == [200, 200, 200]
    await ok(await call(api, "DELETE", f"/keys/{last['id']}", owner), 204)
    assert await asked() == [401, 401, 404]


async def _rotated(api: Rest, owner: dict[str, str], key: dict[str, Any]) -> dict[str, Any]:
    path = f"/keys/{key['id']}/rotate"
    made: dict[str, Any] = await ok(await call(api, "POST", path, owner, {}), 201)
    return made


async def _execute(database_url: str, sql: str, *arguments: Any) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(sql, *arguments)
    finally:
        await connection.close()


async def test_a_share_link_of_the_release_before_goes_on(api: Rest, database_url: str) -> None:
    """Its process names no maker's rights. The maker was an administrator by an external token."""
    user, _ = await owner_of(api)
    _, headers = await account(api, "other@example.org")
    made = await ok(await call(api, "POST", "/projects", headers, {"name": "q"}), 201)
    token = principal.new_token(principal.SHARE_PREFIX)
    sql = "INSERT INTO share_links (id, token_hash, project_id, created_by) VALUES ($1, $2, $3, $4)"
    hashed = principal.hash_token(token)
    await _execute(database_url, sql, uuid7(), hashed, made["id"], user)
    assert (await call(api, "GET", "/projects/q", bearer(token))).status_code == 200


@pytest.mark.parametrize("is_by_key", [False, True])
async def test_a_share_link_ends_with_the_right_of_its_maker(api: Rest, is_by_key: bool) -> None:
    user, owner = await owner_of(api)
    other, _ = await account(api, "other@example.org")
    await ok(await call(api, "PUT", f"/projects/p/members/{other}", owner, {"role": "owner"}))
    forget = api.service.app.state.api.authenticator.forget  # type: ignore[union-attr]
    path, maker, key = "/projects/p/share-links", owner, ""
    if is_by_key:
        asked = {"name": "k", "role": "editor"}
        made = await ok(await call(api, "POST", "/projects/p/keys", owner, asked), 201)
        maker, key = bearer(made["token"]), made["id"]
    holder = bearer((await ok(await call(api, "POST", path, maker), 201))["token"])
    lasting = bearer((await ok(await api.admin.post(path), 201))["token"])
    if is_by_key:
        # What a key made is its successor's.
        rotated = await call(api, "POST", f"/keys/{key}/rotate", owner, {"overlap_s": 0})
        key = (await ok(rotated, 201))["id"]
        forget()
    assert (await call(api, "GET", "/projects/p", holder)).status_code == 200
    if is_by_key:
        await ok(await call(api, "DELETE", f"/keys/{key}", owner), 204)
    else:
        await ok(await api.admin.put(f"/projects/p/members/{user}", json={"role": "viewer"}))
    forget()
    assert (await call(api, "GET", "/projects/p", holder)).status_code == 401
    assert (await call(api, "GET", "/projects/p", lasting)).status_code == 200
    assert (await ok(await api.admin.get(path)))["total"] == 1
