"""People over HTTP: signing in, invitations, members, keys, share links, and what the audit log keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration import rest
from tests.integration.rest import Rest

pytestmark = pytest.mark.anyio

PASSWORD = "correct horse battery"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def account(api: Rest, email: str, *, is_admin: bool = False) -> tuple[str, dict[str, str]]:
    """A person's id, and the headers of a session of his."""
    new = {"email": email, "name": email, "password": PASSWORD, "is_admin": is_admin}
    user = await ok(await api.admin.post("/admin/users", json=new), 201)
    login = {"email": email, "password": PASSWORD}
    session = await ok(await anonymous(api).post("/auth/login", json=login))
    return user["id"], bearer(session["token"])


def anonymous(api: Rest) -> httpx.AsyncClient:
    """A client without a token, and without cookies of others."""
    app = api.service.app
    assert app is not None
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8000")


async def test_signing_in_with_a_password_and_out_again(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        _, headers = await account(api, "Ann@Example.org")
        client = anonymous(api)
        me = await ok(await client.get("/auth/me", headers=headers))
        assert (me["kind"], me["email"], me["is_admin"]) == ("user", "ann@example.org", False)
        listed = await ok(await client.get("/auth/sessions", headers=headers))
        assert [(s["is_current"], s["method"]) for s in listed["sessions"]] == [(True, "password")]
        await ok(await client.post("/auth/logout", headers=headers), 204)
        assert (await client.get("/auth/me", headers=headers)).status_code == 401


async def test_a_wrong_password_and_a_wrong_address_are_answered_alike(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        await account(api, "ann@example.org")
        client = anonymous(api)
        wrong = {"email": "ann@example.org", "password": "not her password"}
        unknown = {"email": "bob@example.org", "password": "not his password"}
        first = await client.post("/auth/login", json=wrong)
        second = await client.post("/auth/login", json=unknown)
        assert first.status_code == second.status_code == 401
        assert first.json() == second.json()


@pytest.mark.parametrize("email", ["ann@example.org", "nobody@example.org"])
async def test_attempts_to_sign_in_are_limited(
    database_url: str, redis_url: str, tmp_path: Path, email: str
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        await account(api, "ann@example.org")
        client = anonymous(api)
        wrong = {"email": email, "password": "not the password"}
        answers = [(await client.post("/auth/login", json=wrong)) for _ in range(11)]
        assert answers[8].status_code == 401
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) > 0


async def test_the_consoles_cookie_signs_in_and_no_script_sees_its_token(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        await account(api, "ann@example.org")
        client = anonymous(api)
        login = {"email": "ann@example.org", "password": PASSWORD, "cookie": True}
        answer = await client.post("/auth/login", json=login)
        assert (await ok(answer))["token"] is None
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("runcast_session_8000=rs_")
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert (await ok(await client.get("/auth/me")))["email"] == "ann@example.org"
        renewed = await client.post("/auth/refresh")
        assert (await ok(renewed))["token"] is None
        assert renewed.headers["set-cookie"] != cookie
        assert (await client.get("/auth/me")).status_code == 200
        await ok(await client.post("/auth/logout"), 204)
        assert (await client.get("/auth/me")).status_code == 401


async def test_a_refreshed_session_has_a_new_token_and_the_old_one_ends(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        _, old = await account(api, "ann@example.org")
        client = anonymous(api)
        fresh = await ok(await client.post("/auth/refresh", headers=old))
        assert (await client.get("/auth/me", headers=bearer(fresh["token"]))).status_code == 200
        assert (await client.get("/auth/me", headers=old)).status_code == 401


async def test_a_one_time_link_signs_in_once(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        new = {"email": "ann@example.org", "name": "Ann"}
        made = await ok(await api.admin.post("/admin/users", json=new), 201)
        link = made["sign_in_link"]
        assert link["url"].endswith(f"/ui/sign-in#token={link['token']}")
        client = anonymous(api)
        body = {"token": link["token"], "cookie": False}
        session = await ok(await client.post("/auth/login-link", json=body))
        assert session["user"]["email"] == "ann@example.org"
        assert (await client.post("/auth/login-link", json=body)).status_code == 401


async def test_an_invitation_makes_an_account_in_the_project(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        await api.project("demo")
        asked = {"email": "ann@example.org", "project": "demo", "role": "reporter"}
        made = await ok(await api.admin.post("/invitations", json=asked), 201)
        path = f"/invitations/{made['token']}"
        client = anonymous(api)
        opened = await ok(await client.get(path))
        assert (opened["email"], opened["is_confirmed"]) == ("ann@example.org", True)
        answer = {"name": "Ann", "password": PASSWORD}
        session = await ok(await client.post(f"{path}/accept", json=answer), 201)
        shown = await ok(await client.get("/projects/demo", headers=bearer(session["token"])))
        assert shown["role"] == "reporter"
        assert (await client.post(f"{path}/accept", json=answer)).status_code == 404


async def test_an_invitation_does_not_take_an_account_over(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        await api.project("demo")
        await account(api, "ann@example.org")
        asked = {"email": "ann@example.org", "project": "demo", "role": "viewer"}
        made = await ok(await api.admin.post("/invitations", json=asked), 201)
        path = f"/invitations/{made['token']}/accept"
        client = anonymous(api)
        stolen = {"name": "Mallory", "password": "another password"}
        assert (await client.post(path, json=stolen)).status_code == 401
        session = await ok(await client.post(path, json={"password": PASSWORD}), 201)
        assert session["user"]["name"] == "ann@example.org"


async def test_the_last_owner_cannot_leave(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        ann, anns = await account(api, "ann@example.org")
        bob, bobs = await account(api, "bob@example.org")
        client = anonymous(api)
        await ok(await client.post("/projects", json={"name": "demo"}, headers=anns), 201)
        members = "/projects/demo/members"
        assert (await client.delete(f"{members}/{ann}", headers=anns)).status_code == 409
        demote = {"role": "viewer"}
        demoted = await client.put(f"{members}/{ann}", json=demote, headers=anns)
        assert demoted.status_code == 409
        promote = {"role": "owner"}
        await ok(await client.put(f"{members}/{bob}", json=promote, headers=anns))
        await ok(await client.delete(f"{members}/{ann}", headers=anns), 204)
        assert (await client.get("/projects/demo", headers=anns)).status_code == 404
        left = await ok(await client.get(members, headers=bobs))
        assert [(m["user_id"], m["role"]) for m in left["members"]] == [(bob, "owner")]


async def test_a_key_is_shown_once_and_works_beside_its_successor(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        await api.project("demo")
        asked = {"name": "ci", "role": "reporter"}
        once = {"Idempotency-Key": "k1"}
        made = await ok(await api.admin.post("/projects/demo/keys", json=asked, headers=once), 201)
        again = await ok(await api.admin.post("/projects/demo/keys", json=asked, headers=once), 201)
        assert made["token"].startswith("rc_")
        assert again == made | {"token": None}
        client = anonymous(api)
        old = bearer(made["token"])
        await ok(await client.post("/projects/demo/runs", json={}, headers=old), 201)
        listed = await ok(await api.admin.get("/projects/demo/keys"))
        assert listed["keys"][0]["last_used_at"] is not None
        assert "token" not in listed["keys"][0]
        rotate = f"/keys/{made['id']}/rotate"
        fresh = await ok(await api.admin.post(rotate, json={"overlap_s": 60}), 201)
        for token in (old, bearer(fresh["token"])):
            assert (await client.get("/projects/demo", headers=token)).status_code == 200
        await ok(await api.admin.delete(f"/keys/{made['id']}"), 204)
        assert (await client.get("/projects/demo", headers=old)).status_code == 401
        cut = await ok(
            await api.admin.post(f"/keys/{fresh['id']}/rotate", json={"overlap_s": 0}), 201
        )
        spent = await client.get("/projects/demo", headers=bearer(fresh["token"]))
        assert spent.status_code == 401
        assert (await client.get("/projects/demo", headers=bearer(cut["token"]))).is_success


async def test_a_share_link_shows_its_run_and_nothing_else(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        project = await api.project("demo")
        mine, other = await api.run("demo", key="mine"), await api.run("demo", key="other")
        made = await ok(
            await api.admin.post("/projects/demo/share-links", json={"run_id": mine}), 201
        )
        client, link = anonymous(api), bearer(made["token"])
        assert (await client.get(f"/runs/{mine}", headers=link)).status_code == 200
        assert (await client.get(f"/runs/{mine}?share={made['token']}")).status_code == 200
        assert (await client.get(f"/runs/{mine}/logs", headers=link)).status_code == 200
        assert (await client.get(f"/runs/{other}", headers=link)).status_code == 404
        assert (await client.get(f"/projects/{project}", headers=link)).status_code == 403
        assert (await client.get("/projects/demo/runs", headers=link)).status_code == 404
        assert (await client.patch(f"/runs/{mine}", json={}, headers=link)).status_code == 403
        listed = await ok(await client.get("/runs", headers=link))
        assert [run["id"] for run in listed["runs"]] == [mine]
        me = await ok(await client.get("/auth/me", headers=link))
        assert (me["kind"], me["run_id"]) == ("share", mine)
        await ok(await api.admin.delete(f"/share-links/{made['id']}"), 204)
        assert (await client.get(f"/runs/{mine}", headers=link)).status_code == 401


async def test_a_share_link_of_a_project_reads_it_and_sees_no_people(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        await api.project("demo")
        await api.project("hidden")
        await api.run("demo")
        made = await ok(await api.admin.post("/projects/demo/share-links"), 201)
        client, link = anonymous(api), bearer(made["token"])
        assert len((await ok(await client.get("/projects/demo/runs", headers=link)))["runs"]) == 1
        assert (await client.get("/projects/hidden", headers=link)).status_code == 404
        assert (await client.get("/projects/demo/members", headers=link)).status_code == 403
        assert (await client.get("/projects/demo/keys", headers=link)).status_code == 403
        assert (await client.post("/projects", json={"name": "x"}, headers=link)).status_code == 403


async def test_a_disabled_account_is_shut_out(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        ann, anns = await account(api, "ann@example.org")
        client = anonymous(api)
        shut = {"is_disabled": True}
        await ok(await api.admin.patch(f"/admin/users/{ann}", json=shut))
        assert (await client.get("/auth/me", headers=anns)).status_code == 401
        login = {"email": "ann@example.org", "password": PASSWORD}
        assert (await client.post("/auth/login", json=login)).status_code == 401
        api.person("external")
        outside = api.person("outside")
        user = (await ok(await client.get("/auth/me", headers=outside)))["id"]
        await ok(await api.admin.patch(f"/admin/users/{user}", json=shut))
        assert (await client.get("/auth/me", headers=outside)).status_code == 401


async def test_the_password_changes_only_with_the_present_one(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        _, anns = await account(api, "ann@example.org")
        client = anonymous(api)
        login = {"email": "ann@example.org", "password": PASSWORD}
        elsewhere = bearer((await ok(await client.post("/auth/login", json=login)))["token"])
        change = {"password": "a new and longer one", "current_password": "a guess"}
        assert (await client.patch("/auth/me", json=change, headers=anns)).status_code == 422
        change["current_password"] = PASSWORD
        await ok(await client.patch("/auth/me", json=change | {"name": "Ann"}, headers=anns))
        assert (await client.get("/auth/me", headers=elsewhere)).status_code == 401
        assert (await client.get("/auth/me", headers=anns)).status_code == 200
        login = {"email": "ann@example.org", "password": change["password"]}
        session = await ok(await client.post("/auth/login", json=login))
        assert session["user"]["name"] == "Ann"


async def test_who_has_forgotten_the_password_sets_another_by_a_link(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        ann, _ = await account(api, "ann@example.org")
        link = await ok(await api.admin.post(f"/admin/users/{ann}/sign-in-link"), 201)
        client = anonymous(api)
        body = {"token": link["token"], "cookie": False}
        session = await ok(await client.post("/auth/login-link", json=body))
        change = {"password": "a new and longer one"}
        await ok(await client.patch("/auth/me", json=change, headers=bearer(session["token"])))
        login = {"email": "ann@example.org"} | change
        await ok(await client.post("/auth/login", json=login))


async def test_the_audit_log_tells_who_did_what(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        ann, anns = await account(api, "ann@example.org")
        client = anonymous(api)
        await client.post("/auth/login", json={"email": "eve@example.org", "password": "x" * 12})
        await ok(await client.post("/projects", json={"name": "demo"}, headers=anns), 201)
        key = {"name": "ci", "role": "viewer"}
        await ok(await client.post("/projects/demo/keys", json=key, headers=anns), 201)
        log = await ok(await api.admin.get("/admin/audit"))
        told = [(entry["action"], entry["user_id"]) for entry in log["entries"]]
        assert told == [
            ("key_created", ann),
            ("sign_in_failed", None),
            ("sign_in", ann),
            ("user_created", None),
        ]
        assert PASSWORD not in str(log)
        first = await ok(await api.admin.get("/admin/audit?limit=1"))
        rest_of = await ok(
            await api.admin.get("/admin/audit", params={"cursor": first["next_cursor"]})
        )
        assert first["entries"] + rest_of["entries"] == log["entries"]
        assert (await client.get("/admin/audit", headers=anns)).status_code == 403


async def test_what_is_not_there_is_404(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with rest.serving(database_url, redis_url, tmp_path) as api:
        await api.project("demo")
        nobody = uuid4()
        for method, path in (
            ("DELETE", f"/keys/{nobody}"),
            ("POST", f"/keys/{nobody}/rotate"),
            ("DELETE", f"/share-links/{nobody}"),
            ("DELETE", f"/invitations/{nobody}"),
            ("GET", f"/projects/demo/members/{nobody}"),
            ("DELETE", f"/projects/demo/members/{nobody}"),
            ("PATCH", f"/admin/users/{nobody}"),
            ("POST", f"/admin/users/{nobody}/sign-in-link"),
            ("GET", "/invitations/ri_unknown"),
        ):
            answer = await api.admin.request(method, path, json={} if method == "PATCH" else None)
            assert answer.status_code == 404, (method, path, answer.text)
        put = {"role": "viewer"}
        made = await api.admin.put(f"/projects/demo/members/{nobody}", json=put)
        assert made.status_code == 404


async def test_the_runtime_stream_ends_with_its_administrator(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path, is_running=True) as api:
        made = await ok(await api.admin.post("/keys", json={"name": "watcher"}), 201)
        async with (
            rest.listening(api) as url,
            httpx.AsyncClient(base_url=url, headers=bearer(made["token"])) as client,
            client.stream("GET", "/admin/stream", timeout=30) as stream,
        ):
            lines = stream.aiter_lines()
            assert await anext(lines) == "event: snapshot"
            await ok(await api.admin.delete(f"/keys/{made['id']}"), 204)
            told = [line async for line in lines]
    assert told[-3:-1] == ["event: bye", 'data: {"reason":"revoked"}']


async def test_members_by_address_and_people_found_by_who_may_invite(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path, key_max_days=30) as api:
        _, owner = await account(api, "owner@example.org")
        bea, hers = await account(api, "bea@example.org")
        client = anonymous(api)
        assert (await client.get("/users?q=bea", headers=hers)).status_code == 403
        project = {"name": "p", "slug": "p"}
        await ok(await client.post("/projects", json=project, headers=owner), 201)
        claimed = api.person("impostor", email="ceo@example.org")
        await ok(await client.get("/auth/me", headers=claimed))
        found = await ok(await client.get("/users?q=BEA@", headers=owner))
        assert found == {
            "users": [{"id": bea, "name": "bea@example.org", "email": "bea@example.org"}]
        }
        assert (await client.get("/users?q=b%25", headers=owner)).status_code == 422
        assert await ok(await client.get("/users?q=ceo@", headers=owner)) == {"users": []}
        path = "/projects/p/members/bea@example.org"
        made = await ok(await client.put(path, json={"role": "viewer"}, headers=owner))
        assert (made["user_id"], made["role"]) == (bea, "viewer")
        assert await ok(await client.get(path, headers=owner)) == made
        for address in ("absent@example.org", "ceo@example.org"):
            absent = f"/projects/p/members/{address}"
            refused = await client.put(absent, json={"role": "viewer"}, headers=owner)
            assert refused.status_code == 404
        theirs = await client.put(
            "/projects/p/members/owner@example.org", json={"role": "viewer"}, headers=hers
        )
        assert theirs.status_code == 403
        shown = await ok(await api.admin.get(f"/admin/users/{bea}"))
        assert shown["email"] == "bea@example.org"
        # Every member reads the others by their address, and leaves by the own one.
        theirs_path = "/projects/p/members/owner@example.org"
        assert (await ok(await client.get(theirs_path, headers=hers)))["role"] == "owner"
        for address in ("owner@example.org", "absent@example.org"):
            refused = await client.delete(f"/projects/p/members/{address}", headers=hers)
            assert refused.status_code == 403
        await ok(await client.delete("/projects/p/members/BEA@example.org", headers=hers), 204)
        assert (await client.get(path, headers=owner)).status_code == 404
        assert (await client.delete(path, headers=owner)).status_code == 404
        # A disabled account is still a member, whom an owner may remove.
        await ok(await client.put(path, json={"role": "viewer"}, headers=owner))
        await ok(await api.admin.patch(f"/admin/users/{bea}", json={"is_disabled": True}))
        assert (await ok(await client.get(path, headers=owner)))["user_id"] == bea
        await ok(await client.delete(path, headers=owner), 204)


async def test_a_key_is_shown_and_ends_as_the_server_wants(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with rest.serving(database_url, redis_url, tmp_path, key_max_days=30) as api:
        _, owner = await account(api, "owner@example.org")
        client = anonymous(api)
        await ok(
            await client.post("/projects", json={"name": "p", "slug": "p"}, headers=owner), 201
        )
        new = {"name": "k", "role": "viewer"}
        made = await ok(await client.post("/projects/p/keys", json=new, headers=owner), 201)
        assert made["expires_at"] is not None
        shown = await ok(await client.get(f"/keys/{made['id']}", headers=owner))
        assert shown == {name: value for name, value in made.items() if name != "token"}
        late = new | {"expires_at": "2999-01-01T00:00:00Z"}
        refused = await client.post("/projects/p/keys", json=late, headers=owner)
        assert refused.json()["errors"][0]["field"] == "body.expires_at"
        endless = await ok(await api.admin.post("/projects/p/keys", json=new), 201)
        assert endless["expires_at"] is None
