"""Questions: asked once, answered once, by those who may, and waited for across processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from runcast_api.questions import waiting
from runcast_server import loops
from runcast_server.db import acquire, open_database
from runcast_server.eventlog import frames
from runcast_server.eventlog.log import Transaction
from tests.integration import streams
from tests.integration.folding import State
from tests.integration.rest import Rest, serving
from tests.integration.test_stream_rights import share_link
from tests.waiting import until

pytestmark = pytest.mark.anyio

SUMMARY = b"Bash: pytest -q"
PERMISSION = {
    "kind": "permission",
    "title": "Bash",
    "body": "pytest -q",
    "tool": {"name": "Bash", "input": {"command": "pytest -q"}},
}


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


async def key(rest: Rest, role: str, **fields: Any) -> dict[str, str]:
    """The headers of a new key of the project."""
    made = await rest.admin.post("/projects/demo/keys", json={"name": role, "role": role} | fields)
    assert made.status_code == 201, made.text
    return {"Authorization": f"Bearer {made.json()['token']}"}


async def person(rest: Rest, name: str, role: str) -> dict[str, str]:
    """The headers of a member of the project."""
    headers = rest.person(name)
    me = (await rest.admin.get("/auth/me", headers=headers)).json()
    path = f"/projects/demo/members/{me['id']}"
    assert (await rest.admin.put(path, json={"role": role})).is_success
    assert (await rest.admin.patch("/auth/me", json={"name": name}, headers=headers)).is_success
    return headers


async def ask(rest: Rest, run: str, **question: Any) -> dict[str, Any]:
    asked = await rest.admin.post(f"/runs/{run}/questions", json=PERMISSION | question)
    assert asked.status_code == 201, asked.text
    found: dict[str, Any] = asked.json()
    return found


async def reply(rest: Rest, question: dict[str, Any], **given: Any) -> httpx.Response:
    headers = given.pop("headers", {})
    return await rest.admin.post(f"/questions/{question['id']}/answer", json=given, headers=headers)


async def run_of(rest: Rest, run: str) -> dict[str, Any]:
    found: dict[str, Any] = (await rest.admin.get(f"/runs/{run}")).json()
    del found["artifacts"], found["usage_total"]
    return found


async def test_a_run_waits_while_it_asks_and_goes_on_after_the_last_answer(rest: Rest) -> None:
    run = await rest.run(status="running")
    state = State()
    state.show_run(await run_of(rest, run))
    one = await ask(rest, run, kind="text", title="Which clock?", tool=None)
    two = await ask(rest, run)
    waiting = await run_of(rest, run)
    assert waiting["status"] == "awaiting_feedback"
    assert waiting["attention"]["question_id"] == two["id"], "a permission is more pressing"
    assert waiting["attention"]["summary"] == "Bash: pytest -q"
    patched = await rest.admin.patch(f"/runs/{run}", json={"attention": None})
    assert patched.json()["attention"] == waiting["attention"], "it goes with its question"
    assert (await reply(rest, two, option="allow")).status_code == 200
    waiting = await run_of(rest, run)
    assert (waiting["status"], waiting["attention"]["kind"]) == ("awaiting_feedback", "question")
    assert (await reply(rest, one, text="UTC")).json()["answer"]["text"] == "UTC"
    after = await run_of(rest, run)
    assert (after["status"], after["attention"]) == ("running", None)
    events = await rest.events()
    types = [event["type"] for event in events if not event["type"].startswith("agent:")]
    assert types == [
        "run:created", "question:asked", "run:updated", "run:status_changed", "question:asked",
        "run:updated", "question:closed", "run:updated", "question:closed", "run:updated",
        "run:status_changed",
    ]  # fmt: skip
    for event in events[1:]:
        state.apply(event["type"], event["data"])
    assert state.runs[run] == after
    assert events[2]["data"]["question"] == one


async def test_a_status_that_somebody_else_changed_is_left_alone(rest: Rest) -> None:
    run = await rest.run(status="running")
    question = await ask(rest, run)
    for status in ("running", "awaiting_feedback"):
        await rest.admin.patch(f"/runs/{run}", json={"status": status})
    assert (await reply(rest, question, option="allow")).status_code == 200
    assert (await run_of(rest, run))["status"] == "awaiting_feedback"


async def test_of_two_answers_the_first_counts_and_a_repeated_one_says_the_same(rest: Rest) -> None:
    question = await ask(rest, await rest.run())
    path = f"/questions/{question['id']}/answer"
    answers = await asyncio.gather(
        *(
            rest.admin.post(path, json={"option": name}, headers={"Idempotency-Key": name})
            for name in ("allow", "deny")
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    won, lost = sorted(answers, key=lambda answer: answer.status_code)
    assert lost.json()["type"] == "urn:runcast:problem:question-closed"
    assert lost.json()["question"]["answer"] == won.json()["answer"]
    option = won.json()["answer"]["option"]
    again = await rest.admin.post(
        path, json={"option": option}, headers={"Idempotency-Key": option}
    )
    assert (again.status_code, again.json()) == (200, won.json())
    audited = (await rest.admin.get("/admin/audit?action=question_answered")).json()["entries"]
    assert [entry["details"]["option"] for entry in audited] == [option]


async def test_who_may_answer_take_back_and_see(rest: Rest) -> None:
    run = await rest.run(status="running")
    question = await ask(rest, run)
    reporter, editor = await key(rest, "reporter"), await key(rest, "editor")
    trusted = await key(rest, "editor", scopes=["answer"])
    viewer = await person(rest, "vera", "viewer")
    ana = await person(rest, "ana", "editor")
    link = (await rest.admin.post("/projects/demo/share-links", json={})).json()["token"]
    guest = {"Authorization": f"Bearer {link}"}
    for headers, status in (
        (reporter, 403),
        (editor, 403),
        (await key(rest, "reporter", scopes=["answer"]), 403),
        (viewer, 403),
        (rest.person("stranger"), 404),
        (guest, 404),
    ):
        refused = await reply(rest, question, option="allow", headers=headers)
        assert refused.status_code == status, refused.text
    assert (await rest.admin.get("/questions", headers=guest)).json()["questions"] == []
    assert len((await rest.admin.get("/questions", headers=viewer)).json()["questions"]) == 1
    said = await rest.admin.post(f"/runs/{run}/say", json={"text": "say-secret"})
    assert said.status_code < 300, said.text
    for path in ("/projects/demo/events/history", "/projects/demo/export", f"/runs/{run}/export"):
        seen = [await rest.admin.get(path, headers=each) for each in (guest, viewer)]
        for secret in (b"question:asked", b"message:queued", b"say-secret", SUMMARY):
            assert [secret in answer.content for answer in seen] == [False, True], (path, secret)
    for path in (f"/runs/{run}", "/projects/demo/runs", "/projects/demo/active-runs"):
        seen = [await rest.admin.get(path, headers=each) for each in (guest, viewer)]
        assert [SUMMARY in answer.content for answer in seen] == [False, True], path
        assert b'"kind":"permission"' in seen[0].content
    foreign = await rest.admin.post(f"/questions/{question['id']}/cancel", headers=reporter)
    assert foreign.status_code == 403
    own = await rest.admin.post(f"/runs/{run}/questions", json=PERMISSION, headers=reporter)
    assert own.json()["asked_by"]["name"] == "reporter"
    elsewhere = {"state": "resolved_elsewhere"}
    for _ in range(2):
        path = f"/questions/{own.json()['id']}/cancel"
        closed = await rest.admin.post(path, json=elsewhere, headers=reporter)
        assert (closed.status_code, closed.json()["state"]) == (200, "resolved_elsewhere")
    answered = await reply(rest, question, option="deny", text="not here", headers=ana)
    assert answered.json()["answer"]["by"]["kind"] == "user"
    assert answered.json()["answer"]["text"] == "not here"
    other = await ask(rest, run)
    assert (await reply(rest, other, option="allow", headers=trusted)).status_code == 200


MISFITS: tuple[tuple[dict[str, Any], dict[str, Any], str], ...] = (
    ({}, {"option": "maybe"}, "body.option"),
    ({}, {}, "body.option"),
    ({}, {"option": "allow", "text": "t"}, "body.text"),
    ({"kind": "text"}, {"option": "x"}, "body.text"),
    ({"kind": "choice", "options": [{"id": "a", "label": "A"}, {"id": "b", "label": "B"}]},
     {"options": ["a", "b"]}, "body.options"),
    ({"kind": "choice", "parts": [{"id": "p", "title": "P", "options": [{"id": "a", "label": "A"}]}]},
     {"data": {"p": "Z"}}, "body.data.p"),
    ({"kind": "form", "schema": {"properties": {"n": {"type": "integer", "maximum": 3}}}},
     {"data": {"n": 4}}, "body.data.n"),
    ({"kind": "form", "schema": {"properties": {"n": {}}, "required": ["n"]}}, {"data": {}},
     "body.data.n"),
    ({"kind": "form", "schema": {"properties": {}}}, {"data": {"x": 1}}, "body.data.x"),
)  # fmt: skip
"""Questions, answers that don't fit them, and the field that is wrong."""


async def test_an_answer_that_does_not_fit_is_refused_and_closes_nothing(rest: Rest) -> None:
    run = await rest.run()
    for question, given, field in MISFITS:
        asked = await ask(rest, run, **question)
        refused = await reply(rest, asked, **given)
        assert refused.status_code == 422
        assert [error["field"] for error in refused.json()["errors"]] == [field]
        shown = await rest.admin.get(f"/questions/{asked['id']}")
        assert shown.json()["state"] == "open"


async def test_questions_that_cannot_be_asked(rest: Rest) -> None:
    run = await rest.run()
    path = f"/runs/{run}/questions"
    for body in (
        {"kind": "choice", "title": "t"},
        {"kind": "form", "title": "t"},
        {"kind": "permission", "title": "t", "body": "x" * (256 * 1024 + 1)},
        {"kind": "text", "title": "t", "on_expiry": "deny"},
        {"kind": "permission", "title": "t", "on_expiry": "default", "default": "maybe"},
        {"kind": "permission", "title": "t", "on_expiry": "default"},
    ):
        assert (await rest.admin.post(path, json=body)).status_code == 422, body
    first = await ask(rest, run, dedupe_key="k", body="y" * 256 * 1024)
    again = await rest.admin.post(path, json=PERMISSION | {"dedupe_key": "k"})
    assert (again.status_code, again.json()) == (200, first)
    await asyncio.gather(*(ask(rest, run) for _ in range(99)))
    assert (await rest.admin.post(path, json=PERMISSION)).status_code == 422
    notice = await ask(rest, await rest.run(), kind="notice")
    assert (notice["answerable"], (await reply(rest, notice, text="x")).status_code) == (False, 409)
    await rest.admin.patch(f"/runs/{run}", json={"status": "completed"})
    left = (await rest.admin.get("/questions", params={"run": run, "state": "open"})).json()
    assert left["total"] == 0, "what an ended run asked is taken back"
    assert (await run_of(rest, run))["attention"] is None
    assert (await rest.admin.post(path, json=PERMISSION)).status_code == 409
    late = await reply(rest, first, option="allow")
    assert (late.status_code, late.json()["question"]["state"]) == (409, "cancelled")


@contextlib.asynccontextmanager
async def two_processes(
    database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[tuple[Rest, Rest]]:
    """Two API processes, with their loops, on one database."""
    async with (
        serving(database_url, redis_url, tmp_path / "a", is_running=True) as one,
        serving(database_url, redis_url, tmp_path / "b", is_running=True) as two,
    ):
        await one.project()
        yield one, two


async def test_an_answer_is_waited_for_through_another_process(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with two_processes(database_url, redis_url, tmp_path) as (one, two):
        run = await one.run(status="running")
        question = await ask(one, run)
        path = f"/questions/{question['id']}"
        nothing = await one.admin.get(path, params={"wait_s": 0.05})
        assert (nothing.status_code, nothing.json()["state"]) == (200, "open")
        waiting = asyncio.create_task(one.admin.get(path, params={"wait_s": 50}))
        waiters = one.service.app.state.api.waiters  # type: ignore[union-attr]
        await until(lambda: waiters._waiting)
        [[closed]] = waiters._waiting.values()
        assert (await reply(two, question, option="allow")).status_code == 200
        answered = (await waiting).json()
        assert answered["answer"]["option"] == "allow"
        assert closed.is_set(), "it was told; its wait didn't just end"
        assert waiters._waiting == {}


async def test_a_question_expires_once_with_what_was_set_for_it(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with two_processes(database_url, redis_url, tmp_path) as (one, two):
        run = await one.run(status="running")
        soon: dict[str, Any] = {"expires_in_s": 0.01}
        options = [{"id": "a", "label": "A"}, {"id": "b", "label": "B"}]
        chosen = {"kind": "choice", "options": options, "on_expiry": "default", "default": "b"}
        asked = [
            await ask(one, run, **soon),
            await ask(one, run, on_expiry="deny", **soon),
            await ask(two, run, **chosen, **soon),
        ]

        async def are_closed() -> bool:
            found = await one.admin.get("/questions", params={"state": "open"})
            return bool(found.json()["total"] == 0)

        await until(are_closed)
        shown = [(await one.admin.get(f"/questions/{q['id']}")).json() for q in asked]
        assert {question["state"] for question in shown} == {"expired"}
        answers = [question["answer"] and question["answer"]["option"] for question in shown]
        assert answers == [None, "deny", "b"]
        assert (await run_of(one, run))["status"] == "running"
        closed = await one.events(types="question:closed")
        assert len(closed) == 3


async def test_a_thousand_open_questions_are_one_page_by_their_index(rest: Rest) -> None:
    run = await rest.run(status="running")
    await ask(rest, run)
    async with acquire(rest.resources.database.log) as connection:
        await connection.execute(
            """INSERT INTO questions (id, project_id, run_id, kind, title, answerable, via, asked_by, asker,
                                      asked_at)
               SELECT gen_random_uuid(), project_id, run_id, kind, title, true, via, asked_by, asker, asked_at
               FROM questions, generate_series(1, 999)"""
        )
    page = (await rest.admin.get("/questions?state=open&limit=1000")).json()
    assert (len(page["questions"]), page["total"], page["next_cursor"]) == (1000, 1000, None)
    half = (await rest.admin.get("/questions?state=open&limit=600")).json()
    rest_of = {"state": "open", "limit": 600, "cursor": half["next_cursor"]}
    other = (await rest.admin.get("/questions", params=rest_of)).json()
    assert half["questions"] + other["questions"] == page["questions"]


async def test_a_share_links_streams_leave_questions_out(database_url: str, redis_url: str) -> None:
    async with streams.hub(database_url, redis_url) as served:
        project_id = await served.project()
        run_id = await served.run(project_id)

        need = {"kind": "permission", "since": "x", "summary": 'rm {"-rf"}', "question_id": "q"}
        known = need | {"summary": "", "question_id": None}
        hidden = ("question:asked", "question:closed", "message:queued", "message:delivered")

        async def emit(*types: str) -> None:
            async def change(transaction: Transaction) -> None:
                for type in types:
                    event = frames.event(
                        type, {"title": "a secret", "attention": need}, run_id=run_id
                    )
                    transaction.emit(project_id, event)

            await served.log.commit(project_id, change)

        paths = {
            f"/projects/{project_id}/events": None,
            f"/projects/{project_id}/events?subscribe_logs=all": None,
            f"/runs/{run_id}/stream": run_id,
        }
        for path, only_run in paths.items():
            await emit("question:asked", "message:queued", "x:past", "question:closed")
            guest = await share_link(served, project_id, only_run)
            async with streams.stream(served, path, token=guest, last_event_id="0") as reader:
                await reader.until(lambda reader: bool(reader.of("x:past")))
                await emit("question:asked", "x:live")
                await reader.until(lambda reader: bool(reader.of("x:live")))
                await emit("question:closed", "message:delivered", "x:last")
                await reader.until(lambda reader: bool(reader.of("x:last")))
                assert not reader.of(*hidden), path
                assert reader.of("x:last")[-1].data["attention"] == known
            async with streams.stream(served, path, last_event_id="0") as reader:
                await reader.until(lambda reader: bool(reader.of("question:closed", "x:last")))


async def test_the_end_of_the_connection_that_listens_is_noticed_at_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "ALIVE_SECONDS", 3_600.0)
    database = await open_database(database_url, requests=2, log=2)
    notices = waiting.Waiters(database_url, database.log).loops()[0]
    admin = await asyncpg.connect(database_url)
    try:
        async with loops.running([notices]):
            await until(lambda: admin.fetchval(_END_LISTENERS), "it to listen")
            await until(lambda: notices.last_error, "the end to be noticed")
            assert "the connection that hears of closed questions was lost" in str(
                notices.last_error
            )
            await until(lambda: admin.fetchval(_END_LISTENERS), "it to listen once more")
    finally:
        await admin.close()
        await database.close()


_END_LISTENERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND query LIKE 'LISTEN %'
"""
