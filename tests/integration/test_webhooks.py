"""Webhooks: signed, at least once under one id, to no private address, and at no one else's cost."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from runcast._support import times
from runcast_api.dependencies import Api
from runcast_api.outgoing import addresses, jobs, lookups
from runcast_api.outgoing import sender as attempts
from runcast_api.outgoing.addresses import Refused
from runcast_api.outgoing.sender import Outcome, Sender
from runcast_api.runs import history
from runcast_api.runs.history import Wanted
from runcast_api.webhooks import outbox, signing
from runcast_api.webhooks.sending import Dispatcher
from runcast_server.db import Connection, acquire
from runcast_server.eventlog import frames
from runcast_server.eventlog.log import Transaction
from runcast_server.fair_turns import FairTurns
from tests.integration.receivers import Got, Receiver, receiving
from tests.integration.rest import Rest, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio

HOOKS = "/projects/demo/webhooks"


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest
        await dispatcher(rest).stop()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


def dispatcher(rest: Rest) -> Dispatcher:
    assert rest.service.app is not None
    api: Api = rest.service.app.state.api
    return api.webhooks


async def hook(rest: Rest, receiver: Receiver, *types: str, **given: Any) -> dict[str, Any]:
    new = {"url": receiver.url, "types": list(types) or ["run:status_changed"]} | given
    made = await rest.admin.post(HOOKS, json=new)
    assert made.status_code == 201, made.text
    shown: dict[str, Any] = made.json()
    return shown


async def send(rest: Rest) -> None:
    """One look, and all that it sends."""
    sender = dispatcher(rest)
    await sender.look()
    while working := list(sender.jobs.running.values()):
        await asyncio.wait(working)


async def make_due(rest: Rest) -> None:
    async with acquire(rest.resources.database.log) as connection:
        await connection.execute("UPDATE webhooks SET not_before = NULL")
        await connection.execute(
            """UPDATE webhook_deliveries SET next_at = now(), sending_until = NULL
               WHERE state = 'pending'"""
        )


async def now(rest: Rest) -> datetime:
    """The database's time, as deliveries show it: in whole milliseconds."""
    async with acquire(rest.resources.database.log) as connection:
        moment: datetime = await connection.fetchval("SELECT date_trunc('milliseconds', now())")
    return moment


async def deliveries(rest: Rest, made: dict[str, Any]) -> list[dict[str, Any]]:
    shown = await rest.admin.get(f"{HOOKS}/{made['id']}/deliveries")
    found: list[dict[str, Any]] = shown.json()["deliveries"]
    return found


def verified(got: Got, secret: str) -> dict[str, Any]:
    told: dict[str, Any] = Webhook(secret).verify(got.body, got.headers)
    return told


async def test_events_come_signed_soon_after_they_happened(
    database_url: str, redis_url: str, tmp_path: Path, receiver: Receiver
) -> None:
    async with serving(database_url, redis_url, tmp_path, is_running=True) as rest:
        await rest.project()
        made = await hook(rest, receiver, "run:status_changed:failed", "question:asked")
        await dispatcher(rest).look()
        run = await rest.run(status="running")
        await rest.admin.post(f"/runs/{run}/questions", json={"kind": "text", "title": "Which?"})
        await rest.admin.patch(f"/runs/{run}", json={"status": "failed", "error": "e"})
        await until(lambda: len(receiver.got) == 2)
        told = [verified(got, made["secret"]) for got in receiver.got]
        assert sorted(one["type"] for one in told) == ["question:asked", "run:status_changed"]
        [failed] = [one for one in told if one["type"] == "run:status_changed"]
        assert failed["data"]["new_status"] == "failed"
        assert failed["data"]["url"].endswith(f"/ui/runs/{run}")
        event = (await rest.events(types="run:status_changed"))[-1]
        ids = [got.headers["webhook-id"] for got in receiver.got]
        assert (
            f"{event['data'].get('project_id', made['project_id'])}:{event['id']}:{made['id']}"
            in ids
        )
        with pytest.raises(WebhookVerificationError):
            verified(receiver.got[0], signing.new_secret())
        shown = await rest.admin.get(f"{HOOKS}/{made['id']}")
        assert "secret" not in shown.json()


async def test_a_receiver_that_fails_gets_it_again_under_the_same_id(
    rest: Rest, receiver: Receiver
) -> None:
    made = await hook(rest, receiver)
    receiver.answers = [500, 302, 503]
    receiver.location = "http://169.254.169.254/latest/meta-data"
    await rest.run(status="running")
    await rest.admin.patch(f"/runs/{await rest.run()}", json={"status": "running"})
    for _ in range(4):
        await send(rest)
        await make_due(rest)
    await send(rest)
    assert len(receiver.got) == 4, "three failures, then a success, and never again"
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    [delivery] = await deliveries(rest, made)
    assert (delivery["state"], delivery["attempts"], delivery["status"]) == ("delivered", 4, 204)
    again = await rest.admin.post(f"/deliveries/{delivery['id']}/redeliver")
    assert again.status_code == 202
    await send(rest)
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    assert len(receiver.got) == 5


async def test_what_a_killed_process_was_sending_is_sent_again_once(
    rest: Rest, receiver: Receiver
) -> None:
    """Sent, and then the process was killed before it could note that."""
    made = await hook(rest, receiver)
    await rest.admin.patch(f"/runs/{await rest.run()}", json={"status": "running"})
    async with acquire(rest.resources.database.log) as connection:
        await outbox.plan(connection, made["id"])
        [taken] = await outbox.take(connection, made["id"])
        assert await outbox.take(connection, made["id"]) == [], "it is on its way"
    assert taken.attempts == 1
    await send(rest)
    assert receiver.got == []
    await make_due(rest)  # its lease is over
    for _ in range(3):
        await send(rest)
    assert len(receiver.got) == 1


async def test_secrets_rotate_with_an_overlap(rest: Rest, receiver: Receiver) -> None:
    chosen = signing.new_secret()
    made = await hook(rest, receiver, secret=chosen)
    assert made["secret"] == chosen
    rotated = (await rest.admin.post(f"{HOOKS}/{made['id']}/rotate")).json()
    await rest.admin.post(f"{HOOKS}/{made['id']}/test")
    for secret in (chosen, rotated["secret"]):
        assert verified(receiver.got[0], secret)["type"] == "webhook:test"
    last = (await rest.admin.post(f"{HOOKS}/{made['id']}/rotate", json={"overlap_s": 0})).json()
    tested = await rest.admin.post(f"{HOOKS}/{made['id']}/test")
    assert tested.json()["delivered"]
    assert verified(receiver.got[1], last["secret"])
    with pytest.raises(WebhookVerificationError):
        verified(receiver.got[1], rotated["secret"])


async def test_a_receivers_words_are_not_shown(rest: Rest, receiver: Receiver) -> None:
    """What it answers besides its status reaches no one: it may be a page of an inner network."""
    receiver.always, receiver.location = 500, "the secret of another service"
    made = await hook(rest, receiver)
    tested = await rest.admin.post(f"{HOOKS}/{made['id']}/test")
    assert tested.json() | {"ms": 0} == {
        "delivered": False, "status": 500, "error": "500: the receiver refused it", "ms": 0,
    }  # fmt: skip


async def test_cloudevents_and_large_events(rest: Rest, receiver: Receiver) -> None:
    await hook(rest, receiver, "*", format="cloudevents")
    run = await rest.run(status="running", input={"text": "x" * 100_000})
    await send(rest)
    created = next(orjson.loads(got.body) for got in receiver.got if b"run.created" in got.body)
    assert created["type"] == "dev.runcast.run.created"
    assert (created["specversion"], created["subject"]) == ("1.0", run)
    assert all(len(got.body) <= signing.BODY_BYTES for got in receiver.got)
    where = created["data"]["run"]
    path = where.removeprefix(rest.resources.settings.base_url)
    [event] = (await rest.admin.get(path)).json()["events"]
    assert event["data"]["run"]["input"]["text"] == "x" * 100_000


async def test_a_dead_receiver_costs_nobody_else_anything(
    rest: Rest, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 10,000 events it has 100 at most on their way; another hook gets all of its own meanwhile."""
    monkeypatch.setattr(attempts, "ATTEMPT_SECONDS", 0.3)
    monkeypatch.setattr(outbox, "RETRY_SECONDS", (300,))
    async with receiving() as dead:
        dead.answers, dead.always = [0] * outbox.AT_ONCE, 500
        bad = await hook(rest, dead, "x:tick")
        run = await rest.run(status="running")
        await tick(rest, run, 10_000)
        await hook(rest, receiver, "run:status_changed")
        await rest.admin.patch(f"/runs/{run}", json={"status": "awaiting_feedback"})
        await send(rest)
        assert len(receiver.got) == 1
        async with acquire(rest.resources.database.log) as connection:
            kept = await connection.fetchval("SELECT count(*) FROM webhook_deliveries")
        assert kept <= outbox.MAX_PENDING + 1
        before = len(dead.got)
        await send(rest)
        assert len(dead.got) == before, "each waits for its time"
        # It comes back: what waits is sent at once, and then the rest from the log, none left out.
        dead.always, first = 204, (await deliveries(rest, bad))[0]["id"]
        dead.got.clear()
        monkeypatch.undo()
        await rest.admin.post(f"/deliveries/{first}/redeliver")
        await dispatcher(rest).look()
        wanted = outbox.MAX_PENDING + 50
        await until(lambda: len(dead.got) > wanted)
        sent = sorted({orjson.loads(got.body)["data"]["n"] for got in dead.got})
        assert sent[:wanted] == list(range(wanted))


async def tick(rest: Rest, run: str, count: int) -> None:
    """This many events of a worker's own, told in few commits."""
    project = UUID((await rest.admin.get(f"/runs/{run}")).json()["project_id"])
    for start in range(0, count, 1000):

        async def change(transaction: Transaction, start: int = start) -> None:
            told = [
                frames.event("x:tick", {"n": start + number}, run_id=UUID(run))
                for number in range(1000)
            ]
            transaction.emit(project, *told)

        await rest.resources.eventlog.commit(project, change)


async def test_days_of_failure_and_410_disable_a_hook(rest: Rest, receiver: Receiver) -> None:
    one, two = await hook(rest, receiver), await hook(rest, receiver)
    receiver.always = 500
    await rest.admin.patch(f"/runs/{await rest.run()}", json={"status": "running"})
    await send(rest)
    async with acquire(rest.resources.database.log) as connection:
        await connection.execute(
            "UPDATE webhooks SET failing_since = now() - interval '6 days' WHERE id = $1", one["id"]
        )
    await make_due(rest)
    await send(rest)
    assert set((await reasons(rest)).values()) == {None}, "one failure long after another one"
    async with acquire(rest.resources.database.log) as connection:
        await connection.execute(
            "UPDATE webhook_deliveries SET attempts = 9 WHERE webhook_id = $1", one["id"]
        )
    await make_due(rest)
    await send(rest)
    assert (await reasons(rest))[one["id"]] == "it failed for 5 days"
    receiver.always = 410
    await make_due(rest)
    await send(rest)
    assert "410" in (await reasons(rest))[two["id"]]
    count = len(receiver.got)
    await rest.admin.patch(f"/runs/{await rest.run()}", json={"status": "running"})
    await send(rest)
    assert len(receiver.got) == count
    on = await rest.admin.patch(f"{HOOKS}/{one['id']}", json={"disabled": False})
    assert (on.json()["disabled"], on.json()["failing_since"]) == (False, None)
    await send(rest)
    assert len(receiver.got) == count, "it begins again at the present"


async def test_what_waited_while_a_hook_was_off_is_of_the_past(
    rest: Rest, receiver: Receiver
) -> None:
    made = await hook(rest, receiver)
    receiver.always = 500
    await rest.admin.patch(f"/runs/{await rest.run()}", json={"status": "running"})
    await send(rest)
    [waiting] = await deliveries(rest, made)
    await rest.admin.patch(f"{HOOKS}/{made['id']}", json={"disabled": True})
    again = f"/deliveries/{waiting['id']}/redeliver"
    refused = await rest.admin.post(again)
    assert (refused.status_code, "is off" in refused.json()["detail"]) == (409, True)
    receiver.always = 200
    await rest.admin.patch(f"{HOOKS}/{made['id']}", json={"disabled": False})
    await make_due(rest)
    await send(rest)
    [ended] = await deliveries(rest, made)
    assert (ended["state"], len(receiver.got)) == ("failed", 1)
    assert (await rest.admin.post(again)).status_code == 202
    await send(rest)
    assert (await deliveries(rest, made))[0]["state"] == "delivered"


async def test_what_is_on_its_way_while_a_hook_is_turned_off_and_on_is_not_tried_again(
    rest: Rest, receiver: Receiver
) -> None:
    """The refused one has failed, the one that the receiver took is delivered."""
    made = await hook(rest, receiver)
    for _ in range(2):
        await rest.admin.patch(f"/runs/{await rest.run()}", json={"status": "running"})
    async with acquire(rest.resources.database.log) as connection:
        await outbox.plan(connection, made["id"])
        first, second = await outbox.take(connection, made["id"])
        target = await outbox.target(connection, made["id"])
        for disabled in (True, False):
            await rest.admin.patch(f"{HOOKS}/{made['id']}", json={"disabled": disabled})
        await outbox.failed(connection, target, first, Outcome(500, "500"))
        await outbox.succeeded(connection, target, second.id, 204)
    ended = {each["id"]: (each["state"], each["error"]) for each in await deliveries(rest, made)}
    assert ended[str(first.id)] == ("failed", "the webhook was off")
    assert ended[str(second.id)] == ("delivered", None)


async def test_a_change_of_a_hook_and_what_its_receiver_answers_wait_for_each_other_in_one_order(
    rest: Rest, receiver: Receiver
) -> None:
    """The change has locked the hook and ends its deliveries next; the outcome must not hold one of them."""
    made = await hook(rest, receiver)
    await rest.admin.patch(f"/runs/{await rest.run()}", json={"status": "running"})
    pool = rest.resources.database.log
    async with acquire(pool) as changing, acquire(pool) as noting:
        await outbox.plan(noting, made["id"])
        [taken] = await outbox.take(noting, made["id"])
        target = await outbox.target(noting, made["id"])
        process = await noting.fetchval("SELECT pg_backend_pid()")

        async def note() -> None:
            async with noting.transaction():
                await outbox.failed(noting, target, taken, Outcome(500, "500"))

        async def waits() -> bool:
            return bool(
                await changing.fetchval("SELECT cardinality(pg_blocking_pids($1)) > 0", process)
            )

        async with changing.transaction():
            await changing.execute("SELECT FROM webhooks WHERE id = $1 FOR UPDATE", made["id"])
            noted = asyncio.create_task(note())
            await until(waits)
            await changing.execute(
                "SELECT FROM webhook_deliveries WHERE id = $1 FOR UPDATE NOWAIT", taken.id
            )
        await noted


async def test_a_receiver_is_left_alone_as_long_as_it_wants(rest: Rest, receiver: Receiver) -> None:
    made = await hook(rest, receiver)
    await rest.admin.patch(f"/runs/{await rest.run()}", json={"status": "running"})
    receiver.always = 429
    day = 24 * 3600
    never = "Fri, 31 Dec 9999 23:59:59 GMT"
    for wanted, seconds in (("soon", 5), ("3600", 3_600), (never, day), ("9" * 400, day)):
        receiver.retry_after = wanted
        before = await now(rest)
        await send(rest)
        [waiting] = await deliveries(rest, made)
        next_at = times.parse(waiting["next_at"])
        # By the clock of the database alone: the attempt ended between the two, however long it took.
        shortest, longest = (
            timedelta(seconds=seconds),
            timedelta(seconds=seconds * (1 + outbox.JITTER)),
        )
        assert before + shortest <= next_at <= await now(rest) + longest
        await make_due(rest)


async def test_a_success_does_not_end_the_wait_that_the_receiver_wants(
    rest: Rest, receiver: Receiver
) -> None:
    """Two are on their way: one gets 429 with Retry-After, the other one is taken."""
    made = await hook(rest, receiver)
    receiver.answers, receiver.retry_after = [429, 204], "3600"
    for _ in range(2):
        await rest.admin.patch(f"/runs/{await rest.run()}", json={"status": "running"})
    await send(rest)
    assert sorted(each["state"] for each in await deliveries(rest, made)) == [
        "delivered",
        "pending",
    ]
    await rest.admin.patch(f"/runs/{await rest.run()}", json={"status": "running"})
    await send(rest)
    assert len(receiver.got) == 2, "neither what it refused, nor another event"
    shown = await deliveries(rest, made)
    again = await rest.admin.post(f"/deliveries/{shown[-1]['id']}/redeliver")
    [waiting] = [each for each in shown if each["attempts"] and each["state"] == "pending"]
    for next_at in (waiting["next_at"], again.json()["next_at"]):
        assert (times.parse(next_at) - times.now()).total_seconds() > 3000
    await send(rest)
    assert len(receiver.got) == 2
    await rest.admin.patch(f"{HOOKS}/{made['id']}", json={"url": f"{receiver.url}/other"})
    await send(rest)
    assert {got.path for got in receiver.got[2:]} == {"/hook/other"}
    assert {each["state"] for each in await deliveries(rest, made)} == {"delivered"}


async def test_what_waits_goes_to_a_new_address_at_once(rest: Rest, receiver: Receiver) -> None:
    made = await hook(rest, receiver, url=f"{receiver.url}wrong")
    receiver.always = 404
    await rest.admin.patch(f"/runs/{await rest.run()}", json={"status": "running"})
    await send(rest)
    receiver.always = 200
    mended = await rest.admin.patch(f"{HOOKS}/{made['id']}", json={"url": receiver.url})
    assert mended.json()["failing_since"] is None
    await send(rest)
    assert (await deliveries(rest, made))[0]["state"] == "delivered"


async def test_a_slow_read_drops_no_event(rest: Rest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page holds what was found in its time; it may end after any event."""
    for _ in range(3):
        await rest.run(status="running")
    wanted = [event["id"] for event in await rest.events()]
    whole = history.page

    async def slow(connection: Connection, wanted: Wanted, limit: int) -> dict[str, Any]:
        return await whole(connection, wanted, 1)

    monkeypatch.setattr(history, "page", slow)
    project_id = UUID((await rest.admin.get("/projects/demo")).json()["id"])
    async with acquire(rest.resources.database.log) as connection:
        found = await outbox.events(connection, project_id, wanted)
    assert sorted(found) == sorted(wanted) != []


async def reasons(rest: Rest) -> dict[str, str | None]:
    """Why each hook is disabled."""
    hooks = (await rest.admin.get(HOOKS)).json()["webhooks"]
    return {each["id"]: each["disabled_reason"] for each in hooks}


async def test_nothing_begins_after_the_stop() -> None:
    """A loop may look once more while what it began is being ended."""
    working = jobs.Jobs("test")
    await working.stop()

    async def never() -> bool:
        raise AssertionError("it was begun")

    working.begin("late", never)
    assert working.running == {}


async def test_a_deleted_project_keeps_no_hook(rest: Rest, receiver: Receiver) -> None:
    await hook(rest, receiver)
    await rest.admin.delete("/projects/demo")
    async with acquire(rest.resources.database.log) as connection:
        assert await connection.fetchval("SELECT count(*) FROM webhooks") == 0


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"url": "ftp://example.org"}, "body.url"),
    ({"url": "https://user:secret@example.org"}, "body.url"),
    ({"url": "http://169.254.169.254/latest/meta-data"}, "body.url"),
    ({"url": "http://[::ffff:169.254.169.254]/"}, "body.url"),
    ({"url": "http://example.org:99999/"}, "body.url"),
    ({"url": "http://example.org/\u00fc"}, "body.url"),
    ({"url": "http://[::1"}, "body.url"),
    ({"types": []}, "body.types"),
    ({"types": ["agent:log"]}, "body.types.0"),
    ({"types": ["*", "run:created", "run:status_changed", "x:mine", "run:creatd"]}, "body.types.4"),
    ({"types": ["run:status_changed:gone"]}, "body.types.0"),
    ({"types": ["run:created:failed"]}, "body.types.0"),
    ({"secret": "whsec_short"}, "body.secret"),
    ({"format": "xml"}, "body.format"),
]


async def test_a_wrong_hook_is_refused_by_its_field(rest: Rest) -> None:
    for body, field in WRONG:
        new = {"url": "http://example.org/", "types": ["run:created"]} | body
        refused = await rest.admin.post(HOOKS, json=new)
        assert refused.status_code == 422, refused.text
        assert refused.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
     "::1", "::", "fe80::1", "fd00::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "224.0.0.1",
     "::10.0.0.1", "fec0::1", "64:ff9b:1::a00:1"],
)  # fmt: skip
def test_private_addresses_are_refused(address: str) -> None:
    with pytest.raises(Refused):
        addresses.check(ip_address(address), allows_private=False)
    for public in ("8.8.8.8", "2606:4700::1111"):
        addresses.check(ip_address(public), allows_private=False)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254",
     "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "fd00:a9fe:a9fe::1", "fe80::a9fe:a9fe",
     "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "::169.254.169.254",
     "2002:a9fe:a9fe::1", "0.0.0.0", "::", "::ffff:0.0.0.0"],
)  # fmt: skip
def test_no_setting_opens_the_metadata_of_clouds(address: str) -> None:
    with pytest.raises(Refused):
        addresses.check(ip_address(address), allows_private=True)
    for private in ("127.0.0.1", "::1", "10.0.0.1", "fd12::1", "64:ff9b:1::a00:1"):
        addresses.check(ip_address(private), allows_private=True)


@pytest.mark.parametrize(
    "url",
    ["http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.1/", "http://localhost./",
     "http://LOCALHOST/", "http://[::ffff:127.0.0.1]/", "http://[::1%25lo]/", "http://127.0.0.1:80/",
     "http://0/"],
)  # fmt: skip
async def test_this_machine_is_refused_however_it_is_written(url: str) -> None:
    sender = Sender(allows_private=False)
    outcome = await sender.send(url, {}, b"{}")
    said = ("private address", "no address that anything", "has no address")
    assert any(one in str(outcome.error) for one in said), outcome
    sender.close()


async def test_a_name_that_changes_its_address_gains_nothing(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to the address that was looked at; what the name means next is never asked."""
    answers = iter(["93.184.216.34", "127.0.0.1"])
    asked: list[str] = []

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(next(answers))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (asked[-1], 0))]

    reached: list[str] = []

    async def connect(_: Any, host: str, *__: Any) -> Any:
        reached.append(host)
        raise OSError("no network here")

    monkeypatch.setattr(lookups.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(addresses.httpcore.AnyIOBackend, "connect_tcp", connect)
    sender = Sender(allows_private=False)
    first = await sender.send("http://rebinding.example/", {}, b"{}")
    second = await sender.send("http://rebinding.example/", {}, b"{}")
    assert (reached, asked) == (["93.184.216.34"], ["93.184.216.34", "127.0.0.1"])
    assert first.error == "no network here"
    assert second.error is not None
    assert "private" in second.error
    assert "127.0.0.1" not in second.error, (
        "what names mean in the server's network is told to no one"
    )
    sender.close()


async def test_names_that_are_never_found_keep_nothing_else_waiting(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process's own threads stay free, a name is looked up once at a time, and the other project's turn
    comes with the first look-up that ends."""
    freed, asked = threading.Semaphore(0), list[str]()

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        if host.endswith("slow.example"):
            freed.acquire()
            raise socket.gaierror("no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    sender = Sender(allows_private=True)

    def sent(host: str, project: str) -> asyncio.Task[Outcome]:
        return asyncio.create_task(sender.send(f"http://{host}/", {}, b"{}", payer=project))

    names = [f"{number}.slow.example" for number in range(2 * lookups.AT_ONCE)]
    slow = [sent(name, "attacker") for name in [*names, *names]]
    await until(lambda: len(asked) == lookups.AT_ONCE)
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 10) == "free"
    address = receiver.url.removeprefix("http://").replace("127.0.0.1", "quick.example")
    quick = sent(address, "another")
    await asyncio.sleep(0)
    freed.release(2)
    assert await asyncio.wait_for(quick, 10) == Outcome(204, None)
    freed.release(len(names))
    assert {outcome.status for outcome in await asyncio.gather(*slow)} == {None}
    assert sorted(asked) == sorted([*names, "quick.example"])
    sender.close()


async def test_receivers_that_hang_count_no_one_elses_deliveries_as_failed(
    rest: Rest, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All places to send are taken by another project's: what waits for one was not tried yet."""
    monkeypatch.setattr(attempts, "ATTEMPT_SECONDS", 0.2)
    dispatcher(rest)._sending = {False: FairTurns(1), True: FairTurns(1)}
    async with receiving() as hanging:
        hanging.always = 0
        made = await hook(rest, receiver)
        await rest.project("attackers")
        for _ in range(3):
            new = {"url": hanging.url, "types": ["run:status_changed"]}
            await rest.admin.post("/projects/attackers/webhooks", json=new)
        theirs = await rest.admin.post("/projects/attackers/runs", json={})
        await rest.admin.patch(f"/runs/{theirs.json()['id']}", json={"status": "running"})
        await dispatcher(rest).look()
        await until(lambda: len(hanging.got) == 1)
        await rest.admin.patch(f"/runs/{await rest.run()}", json={"status": "running"})
        await send(rest)
    [delivery] = await deliveries(rest, made)
    assert (delivery["state"], delivery["attempts"]) == ("delivered", 1)


async def test_only_some_tests_are_under_way_at_once(
    rest: Rest, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "TURN_SECONDS", 0.01)
    dispatcher(rest)._tests = jobs.Trials(FairTurns(1))
    receiver.always = 0
    path = f"{HOOKS}/{(await hook(rest, receiver))['id']}/test"
    first = asyncio.create_task(rest.admin.post(path))
    await until(lambda: len(receiver.got) == 1)
    refused = await rest.admin.post(path)
    assert (refused.status_code, len(receiver.got)) == (429, 1)
    assert refused.headers["Retry-After"]
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
