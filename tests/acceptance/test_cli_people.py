"""`runcast users` and `runcast keys` against a server that was just started."""

import json
from pathlib import Path

import httpx
import pytest
from tests.commands import runcast

from runcast import Client
from runcast.errors import ApiError


def test_a_person_is_made_signs_in_by_link_and_is_shut_out(
    server_environ: dict[str, str], tmp_path: Path
) -> None:
    def call(*arguments: str) -> str:
        ran = runcast(tmp_path, *arguments, environ=server_environ)
        assert ran.code == 0, ran
        return ran.text

    url = call("users", "create", "ann@example.org", "--name", "Ann").strip()
    address, _, token = url.partition("#token=")
    base = address.removesuffix("/ui/sign-in")
    body = {"token": token, "cookie": False}
    session = httpx.post(f"{base}/auth/login-link", json=body).json()
    ann = {"Authorization": f"Bearer {session['token']}"}
    assert httpx.get(f"{base}/auth/me", headers=ann).json()["name"] == "Ann"
    assert "ann@example.org" in call("users", "ls")
    call("users", "disable", "ann@example.org")
    users = json.loads(call("users", "ls", "--json"))["users"]
    assert [u["is_disabled"] for u in users if u["email"] == "ann@example.org"] == [True]


def test_keys_are_made_rotated_and_revoked(
    server_environ: dict[str, str], client: Client, tmp_path: Path
) -> None:
    client.create_project("cli-keys", slug="cli-keys")

    def call(*arguments: str) -> str:
        ran = runcast(tmp_path, *arguments, environ=server_environ)
        assert ran.code == 0, ran
        return ran.text

    token = call("keys", "create", "ci", "-p", "cli-keys", "--role", "viewer").strip()
    with Client(server_environ["RUNCAST_URL"], token) as holder:
        assert holder.get_project("cli-keys")["role"] == "viewer"
    [key] = json.loads(call("keys", "ls", "-p", "cli-keys", "--json"))["keys"]
    fresh = call("keys", "rotate", key["id"], "--overlap-seconds", "0").strip()
    with Client(server_environ["RUNCAST_URL"], fresh) as holder:
        assert holder.me()["kind"] == "key"
    call("keys", "rm", json.loads(call("keys", "ls", "-p", "cli-keys", "--json"))["keys"][0]["id"])
    assert json.loads(call("keys", "ls", "-p", "cli-keys", "--json"))["keys"] == []
    with (
        Client(server_environ["RUNCAST_URL"], fresh) as holder,
        pytest.raises(ApiError) as refused,
    ):
        holder.me()
    assert refused.value.status == 401
