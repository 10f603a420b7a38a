"""The queue: nobody gets what another has, nothing is lost, everybody gets a turn."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from runcast.contract import INGEST_STREAM
from runcast_api.board.board import changing
from runcast_api.runs import runs
from runcast_server.db import acquire
from runcast_server.eventlog.log import Transaction
from tests.integration.boards import Board, chain
from tests.integration.rest import Rest, serving
from tests.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


@pytest.fixture
def board(rest: Rest) -> Board:
    return Board(rest)


@pytest.fixture
async def running(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Board]:
    """With the loop that gives leases back."""
    async with serving(database_url, redis_url, tmp_path, is_running=True) as rest:
        await rest.project()
        yield Board(rest)


async def expire(board: Board, subtask: dict[str, Any]) -> None:
    """The lease's time has come, without waiting for it."""
    async with acquire(board.rest.resources.database.log) as connection:
        await connection.execute(
            "UPDATE tasks SET lease_expires_at = now() - interval '1 ms' WHERE id = $1",
            subtask["id"],
        )


async def show(board: Board, subtask: dict[str, Any]) -> dict[str, Any]:
    return await board.send("GET", f"/subtasks/{subtask['id']}", 200)


async def test_a_claim_gives_a_subtask_and_the_run_of_its_attempt(rest: Rest, board: Board) -> None:
    task = await board.task({"title": "one", "input": {"command": ["true"]}}, kind="docs")
    claimed = await board.claim("w1", lease_s=30)
    subtask, run = claimed["subtask"], claimed["run"]
    assert subtask["id"] == task["subtasks"][0]["id"]
    assert (subtask["status"], subtask["worker_id"]) == ("IN_PROGRESS", "w1")
    assert subtask["lease_expires_at"] > subtask["updated_at"]
    assert subtask["run_id"] == run["id"]
    assert (run["status"], run["agent_type"], run["task_id"]) == (
        "running",
        "WORKER",
        subtask["id"],
    )
    assert (run["input"], run["phase"], run["attempt"]) == ({"command": ["true"]}, "docs", 1)
    assert await board.send("GET", f"/runs/{run['id']}", 200) == run | {
        "artifacts": [],
        "usage_total": None,
    }
    events = await rest.events()
    assert [event["type"] for event in events][-3:] == [
        "subtask:status_changed",
        "run:created",
        "agent:started",
    ]
    assert {event["data"]["subtask_id"] for event in events[-3:]} == {subtask["id"]}
    await board.claim("w2", 204)


async def test_claims_follow_priority_then_age_then_position(board: Board) -> None:
    await board.task({"title": "old"}, {"title": "old 2"})
    await board.task({"title": "new"}, {"title": "urgent", "priority": 5})
    names = [(await board.claim())["subtask"]["title"] for _ in range(4)]
    assert names == ["urgent", "old", "old 2", "new"]


async def test_two_claims_never_get_the_same_subtask(
    board: Board, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Sixty-four workers at two processes."""
    await board.task(*[{"title": f"t{n}"} for n in range(100)])
    async with serving(database_url, redis_url, tmp_path) as other:
        boards = [board, Board(other)]

        async def work(number: int) -> list[str]:
            got: list[str] = []
            while True:
                path = "/projects/demo/subtasks/claim"
                answer = await boards[number % 2].rest.admin.post(
                    path, json={"worker_id": f"w{number}"}
                )
                if answer.status_code == 204:
                    return got
                assert answer.status_code == 200, answer.text
                got.append(answer.json()["subtask"]["id"])

        taken = [id for got in await asyncio.gather(*map(work, range(64))) for id in got]
    assert len(taken) == 100
    assert set(Counter(taken).values()) == {1}


async def test_a_claim_repeated_with_its_key_gives_the_same_subtask(board: Board) -> None:
    await board.task({"title": "one"}, {"title": "two"})
    path, body = "/projects/demo/subtasks/claim", {"worker_id": "w1"}
    headers = {"Idempotency-Key": "k1"}
    at_once = await asyncio.gather(
        *[board.rest.admin.post(path, json=body, headers=headers) for _ in range(5)]
    )
    later = await board.rest.admin.post(path, json=body, headers=headers)
    assert {each.json()["subtask"]["title"] for each in [*at_once, later]} == {"one"}
    assert {each.status_code for each in [*at_once, later]} == {200}
    assert later.headers["Idempotency-Replayed"] == "true"
    other = await board.rest.admin.post(path, json={"worker_id": "w2"}, headers=headers)
    assert other.status_code == 422
    anywhere = await board.rest.admin.post("/subtasks/claim", json=body, headers=headers)
    assert anywhere.json()["subtask"]["title"] == "two"
    again = await board.rest.admin.post("/subtasks/claim", json=body, headers=headers)
    assert again.status_code == 204, "the queue is empty, so no project is asked"


async def test_a_lease_is_extended_by_its_holder_and_by_heartbeats(board: Board) -> None:
    await board.task({"title": "one"})
    claimed = await board.claim("w1", lease_s=30)
    subtask = claimed["subtask"]
    path = f"/subtasks/{subtask['id']}/lease"
    longer = await board.post(path, 200, worker_id="w1", lease_s=90)
    assert longer["lease_expires_at"] > subtask["lease_expires_at"]
    refused = await board.post(path, 409, worker_id="w2", lease_s=90)
    assert "'w1'" in refused["detail"]
    await board.post(path, 422, worker_id="w1", lease_s=0)
    beaten = await board.post(f"/runs/{claimed['run']['id']}/heartbeat", 200)
    assert beaten == {"status": "running", "cancelled": False}
    assert (await show(board, subtask))["lease_expires_at"] > longer["lease_expires_at"]


async def test_only_the_holder_or_a_person_moves_what_is_leased(board: Board) -> None:
    await board.task({"title": "one"}, {"title": "two"})
    first = (await board.claim("w1"))["subtask"]
    second = (await board.claim("w1"))["subtask"]
    refused = await board.move(first, "complete", 409, worker_id="w2")
    assert "'w1'" in refused["detail"]
    wrong_run = {"worker_id": "w1", "run_id": second["run_id"]}
    await board.move(first, "complete", 409, **wrong_run)
    made = await board.rest.admin.post(
        "/projects/demo/keys", json={"name": "k", "role": "reporter", "scopes": ["worker"]}
    )
    key = {"Authorization": f"Bearer {made.json()['token']}"}
    path = f"/subtasks/{first['id']}/complete"
    assert (await board.rest.admin.post(path, headers=key)).status_code == 409
    mine = {"worker_id": "w1", "run_id": first["run_id"]}
    done = await board.rest.admin.post(path, json=mine, headers=key)
    assert done.status_code == 200, done.text
    assert done.json()["lease_expires_at"] is None
    await board.move(second, "skip", reason="a person said so")
    run = await board.send("GET", f"/runs/{second['run_id']}", 200)
    assert run["status"] == "cancelled"


async def test_moves_end_the_run_of_the_attempt(rest: Rest, board: Board) -> None:
    await board.task({"title": "a"}, {"title": "b"})
    a, b = [(await board.claim("w1"))["subtask"] for _ in range(2)]
    await board.move(a, "complete", worker_id="w1", pr_url="https://x/7")
    await board.move(b, "fail", worker_id="w1", reason="broke")
    completed = await board.send("GET", f"/runs/{a['run_id']}", 200)
    failed = await board.send("GET", f"/runs/{b['run_id']}", 200)
    assert (completed["status"], completed["pr_url"]) == ("completed", "https://x/7")
    assert (failed["status"], failed["error"]) == ("failed", "broke")
    [told] = await rest.events(types="agent:completed")
    assert (told["data"]["pr_url"], told["data"]["subtask_id"]) == ("https://x/7", a["id"])
    [told] = await rest.events(types="agent:failed")
    assert (told["data"]["will_retry"], told["data"]["subtask_id"]) == (False, b["id"])


async def test_who_lost_the_lease_can_not_complete(board: Board) -> None:
    await board.task({"title": "one"})
    claimed = await board.claim("w1")
    await expire(board, claimed["subtask"])
    mine = {"worker_id": "w1", "run_id": claimed["run"]["id"]}
    refused = await board.move(claimed["subtask"], "complete", 409, **mine)
    assert "lease ended" in refused["detail"]
    path = f"/subtasks/{claimed['subtask']['id']}/lease"
    await board.post(path, 409, worker_id="w1", lease_s=60)
    await board.post(f"/runs/{claimed['run']['id']}/heartbeat", 200)
    await board.move(claimed["subtask"], "complete", 409, **mine)


async def test_an_expired_lease_gives_back_until_the_attempts_are_used_up(
    running: Board,
) -> None:
    board = running
    task = await board.task({"title": "one", "max_attempts": 2}, {"title": "after"})
    first = await board.claim("w1")
    subtask = first["subtask"]
    await expire(board, subtask)

    async def is_back() -> bool:
        return (await show(board, subtask))["status"] == "PENDING"

    await until(is_back)
    back = await show(board, subtask)
    assert (back["attempt"], back["worker_id"], back["lease_expires_at"]) == (2, None, None)
    lost = await board.send("GET", f"/runs/{first['run']['id']}", 200)
    assert (lost["status"], lost["will_retry"]) == ("failed", True)
    beaten = await board.post(f"/runs/{first['run']['id']}/heartbeat", 200)
    assert beaten == {"status": "failed", "cancelled": False}
    assert (await board.claim("w2"))["subtask"]["title"] == "after", "it waits before it is retried"
    second: dict[str, Any] = {}

    async def is_given_again() -> bool:
        nonlocal second
        answer = await board.rest.admin.post(
            "/projects/demo/subtasks/claim", json={"worker_id": "w3"}
        )
        second = answer.json() if answer.status_code == 200 else {}
        return bool(second)

    await until(is_given_again)
    assert second["subtask"]["id"] == subtask["id"]
    assert (second["run"]["attempt"], second["run"]["retry_of"]) == (2, first["run"]["id"])
    params = {"task_id": subtask["id"]}
    of_subtask = await board.send("GET", "/projects/demo/runs", 200, params=params)
    assert [run["attempt"] for run in of_subtask["runs"]] == [2, 1]
    assert of_subtask["total"] == 2
    mine = {"worker_id": "w1", "run_id": first["run"]["id"]}
    await board.move(subtask, "complete", 409, **mine)
    await expire(board, subtask)

    async def has_failed() -> bool:
        return (await show(board, subtask))["status"] == "FAILED"

    await until(has_failed)
    assert "attempt 2" in (await show(board, subtask))["error"]
    run = await board.send("GET", f"/runs/{second['run']['id']}", 200)
    assert (run["status"], run["will_retry"]) == ("failed", False)
    page = await board.send("GET", f"/tasks/{task['id']}/transitions", 200)
    assert {each["actor"] for each in page["transitions"] if each["reason"]} == {"runcast"}

    async def are_reported() -> bool:
        found = await board.send(
            "GET", "/admin/runtime/events", 200, params={"entity_id": subtask["id"]}
        )
        return [each["reason_code"] for each in found["events"]] == [
            "ATTEMPTS_EXHAUSTED",
            "LEASE_EXPIRED",
        ]

    await until(are_reported)


async def test_a_lease_of_a_second_ends_by_itself(running: Board) -> None:
    board = running
    await board.task({"title": "one"})
    claimed = await board.claim("w1", lease_s=0.2)

    async def is_back() -> bool:
        return (await show(board, claimed["subtask"]))["attempt"] == 2

    await until(is_back)


async def test_a_deleted_project_keeps_no_other_ones_leases(running: Board) -> None:
    board, gone = running, Board(running.rest, "gone")
    await running.rest.project("gone")
    for each in (board, gone):
        await each.task({"title": each.project})
    claimed = [await each.claim("w1") for each in (board, gone)]
    await board.send("DELETE", "/projects/gone", 204)
    await expire(board, claimed[1]["subtask"])
    await expire(board, claimed[0]["subtask"])

    async def is_back() -> bool:
        return (await show(board, claimed[0]["subtask"]))["attempt"] == 2

    await until(is_back)


async def test_a_claim_over_all_projects_is_fair(rest: Rest) -> None:
    boards = [Board(rest, "demo"), Board(rest, "small"), Board(rest, "mid")]
    for board in boards[1:]:
        await rest.project(board.project)
    for board, number in zip(boards, (50, 3, 10), strict=True):
        await board.task(*[{"title": f"{board.project} {n}"} for n in range(number)])
    taken = [await boards[0].post("/subtasks/claim", 200, worker_id="w") for _ in range(9)]
    by_project = Counter(each["subtask"]["title"].split()[0] for each in taken)
    assert by_project == {"demo": 3, "small": 3, "mid": 3}
    for each in taken:
        await boards[0].move(each["subtask"], "complete", worker_id="w")
    turns = []
    for _ in range(4):
        claimed = await boards[0].post("/subtasks/claim", 200, worker_id="w")
        turns.append(claimed["subtask"]["title"].split()[0])
        await boards[0].move(claimed["subtask"], "complete", worker_id="w")
    assert Counter(turns) == {"demo": 2, "mid": 2}
    at_once = await asyncio.gather(
        *[boards[0].post("/subtasks/claim", 200, worker_id="w") for _ in range(8)]
    )
    spread = Counter(each["subtask"]["title"].split()[0] for each in at_once)
    assert max(spread.values()) <= 5


async def test_a_claim_anywhere_keeps_to_where_one_may_work(rest: Rest) -> None:
    other = Board(rest, "other")
    await rest.project("other")
    await other.task({"title": "theirs"})
    made = await rest.admin.post("/projects/demo/keys", json={"name": "k", "role": "reporter"})
    key = {"Authorization": f"Bearer {made.json()['token']}"}
    body = {"worker_id": "w"}
    answer = await rest.admin.post("/subtasks/claim", json=body, headers=key)
    assert answer.status_code == 204
    path = "/projects/other/subtasks/claim"
    assert (await rest.admin.post(path, json=body, headers=key)).status_code == 404
    await Board(rest).task({"title": "ours"})
    answer = await rest.admin.post("/subtasks/claim", json=body, headers=key)
    assert answer.json()["subtask"]["title"] == "ours"
    for bad in ({}, {"worker_id": ""}, {"worker_id": "w", "lease_s": -1}, {"worker_id": 7}):
        await other.post("/subtasks/claim", 422, **bad)


async def test_a_cancelled_run_is_told_to_its_worker(rest: Rest, board: Board) -> None:
    await board.task({"title": "one"})
    claimed = await board.claim("w1")
    run = claimed["run"]["id"]
    await board.post(f"/runs/{run}/cancel", 200)
    beaten = await board.post(f"/runs/{run}/heartbeat", 200)
    assert beaten == {"status": "cancelled", "cancelled": True}
    [told] = await rest.events(types="run:status_changed")
    assert told["data"]["new_status"] == "cancelled"
    assert (await board.send("GET", f"/runs/{run}", 200))["status"] == "cancelled"


async def test_cancelling_a_run_cancels_the_claim_that_it_works_for(
    rest: Rest, board: Board
) -> None:
    task = await board.task({"title": "one"}, {"title": "two"}, {"title": "three"})
    claims = [await board.claim("w1") for _ in range(3)]
    one, two, three = (claim["run"]["id"] for claim in claims)
    await board.post(f"/runs/{one}/cancel", 200)
    await board.send("PATCH", f"/runs/{two}", 200, json={"status": "cancelled"})
    items = [{"op": "cancel", "run": three}]
    await board.post("/projects/demo/runs/bulk", 200, items=items)
    for claim in claims:
        subtask = await board.send("GET", f"/subtasks/{claim['subtask']['id']}", 200)
        told = (subtask["status"], subtask["error"], subtask["lease_expires_at"])
        assert told == ("FAILED", "cancelled", None)
    failed = (await rest.events(types="subtask:status_changed"))[-3:]
    assert [event["data"]["subtask"]["run_id"] for event in failed] == [one, two, three]
    history = await board.send("GET", f"/tasks/{task['id']}/transitions", 200)
    assert [each["reason"] for each in history["transitions"][:3]] == ["cancelled"] * 3
    await board.claim("w2", 204)
    mine = {"worker_id": "w1", "run_id": one}
    await board.move(claims[0]["subtask"], "complete", 409, **mine)
    await board.move(claims[0]["subtask"], "retry")
    again = await board.claim("w2")
    await board.post(f"/runs/{one}/cancel", 200)
    await board.move(again["subtask"], "complete", worker_id="w2")


@pytest.mark.parametrize("way", ["request", "message"])
async def test_a_cancel_does_not_wait_for_the_board_while_it_holds_its_run(
    running: Board, way: str
) -> None:
    """Who changes the board locks it first and then runs: the other way round, both would wait for ever."""
    board, rest = running, running.rest
    await board.task({"title": "one"})
    claimed = await board.claim("w1", lease_s=3600)
    run = claimed["run"]["id"]
    project = UUID(claimed["run"]["project_id"])

    async def cancel() -> None:
        if way == "request":
            await board.post(f"/runs/{run}/cancel", 200)
        else:
            told = {"type": "run:updated", "run_id": run, "data": {"status": "cancelled"}}
            await rest.resources.bus.client.xadd(INGEST_STREAM, {"m": orjson.dumps(told)})

    async def is_cancelled() -> bool:
        async with acquire(rest.resources.database.log) as connection:
            status = await connection.fetchval("SELECT status FROM runs WHERE id = $1", UUID(run))
        return bool(status == "cancelled")

    async with (
        acquire(rest.resources.database.log) as connection,
        connection.transaction(),
        changing(Transaction(connection), project, "another") as held,
    ):
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cancelling = asyncio.create_task(cancel())
        await until(is_cancelled)
        await runs.lock(held.transaction, UUID(run))
    await cancelling

    async def has_failed() -> bool:
        shown = await show(board, claimed["subtask"])
        return (shown["status"], shown["error"]) == ("FAILED", "cancelled")

    await until(has_failed)


async def test_a_claim_whose_cancel_was_cut_off_fails_and_is_not_given_back(running: Board) -> None:
    """The process was killed between the cancel's commit and the one that follows it."""
    board = running
    await board.task({"title": "one"}, {"title": "two"})
    claims = [await board.claim("w1") for _ in range(2)]
    async with acquire(board.rest.resources.database.log) as connection:
        await connection.execute("UPDATE runs SET status = 'cancelled'")
    await expire(board, claims[0]["subtask"])

    async def have_failed() -> bool:
        shown = [await show(board, claim["subtask"]) for claim in claims]
        return [each["error"] for each in shown] == ["cancelled"] * 2

    await until(have_failed)
    await board.claim("w2", 204)


async def test_planners_work_on_tasks_and_workers_on_subtasks(rest: Rest, board: Board) -> None:
    task = await board.task(*chain(1), is_active=False)
    planner = {"agent_type": "PLANNER", "task_id": task["id"], "status": "running"}
    run = await rest.run(**planner)
    await board.send("PATCH", f"/runs/{run}", 200, json={"status": "failed", "will_retry": True})
    told = [event["data"] for event in await rest.events(run_id=run)]
    assert {each["task_id"] for each in told} == {task["id"]}
    assert told[-1]["will_retry"] is True
    where = "/projects/demo/runs"
    for bad in (
        {"agent_type": "PLANNER", "task_id": task["subtasks"][0]["id"]},
        {"agent_type": "WORKER", "task_id": task["id"]},
        {"agent_type": "WORKER", "task_id": run},
    ):
        await board.post(where, 422, **bad)
