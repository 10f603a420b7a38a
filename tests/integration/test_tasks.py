"""The board: legal moves, dependencies, what happens by itself, what is refused."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.boards import Board, chain
from tests.integration.rest import Rest, serving

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path) as rest:
        await rest.project()
        yield rest


@pytest.fixture
def board(rest: Rest) -> Board:
    return Board(rest)


def moved(events: list[dict[str, Any]]) -> list[tuple[str, str | None, str]]:
    """The events of a board, short."""
    short = []
    for event in events:
        data = event["data"]
        match event["type"]:
            case "task:status_changed":
                short.append(("task", data["old_status"], data["new_status"]))
            case "subtask:status_changed":
                name = data["subtask"]["title"]
                short.append((name, data["old_status"], data["subtask"]["status"]))
            case "subtask:unblocked":
                short.append(("unblocked", data["unblocked_by_id"], data["subtask_id"]))
    return short


async def test_a_task_is_planned_worked_on_and_done_by_itself(rest: Rest, board: Board) -> None:
    task = await board.task(*chain(2), is_active=False, description="why", kind="feature")
    first, second = task["subtasks"]
    assert task["status"] == "PLANNING"
    assert (first["status"], second["status"]) == ("PENDING", "BLOCKED")
    assert second["depends_on"] == [first["id"]]
    assert (await board.post(f"/tasks/{task['id']}/activate", 200))["status"] == "ACTIVE"
    await board.move(first, "start")
    await board.move(first, "review")
    await board.move(first, "complete", pr_url="https://x/1")
    assert await board.statuses(task) == {"s0": "COMPLETED", "s1": "PENDING"}
    await board.move(first, "merge")
    await board.move(second, "skip", reason="not needed")
    now = await board.task_now(task)
    assert now["status"] == "DONE"
    assert now["subtasks"][0]["pr_url"] == "https://x/1"
    assert now["subtasks"][1]["skip_reason"] == "not needed"
    assert moved(await rest.events()) == [
        ("task", None, "PLANNING"),
        ("s0", None, "PENDING"),
        ("s1", None, "BLOCKED"),
        ("task", "PLANNING", "ACTIVE"),
        ("s0", "PENDING", "IN_PROGRESS"),
        ("s0", "IN_PROGRESS", "IN_REVIEW"),
        ("s0", "IN_REVIEW", "COMPLETED"),
        ("s1", "BLOCKED", "PENDING"),
        ("unblocked", first["id"], second["id"]),
        ("s0", "COMPLETED", "MERGED"),
        ("s1", "PENDING", "SKIPPED"),
        ("task", "ACTIVE", "DONE"),
    ]


async def test_planning_can_fail_and_be_tried_again(board: Board) -> None:
    task = await board.task(is_active=False)
    failed = await board.post(f"/tasks/{task['id']}/planning-failed", 200, reason="no idea")
    assert (failed["status"], failed["error"]) == ("PLANNING_FAILED", "no idea")
    refused = await board.post(f"/tasks/{task['id']}/activate", 409)
    assert "PLANNING_FAILED" in refused["detail"]
    again = await board.post(f"/tasks/{task['id']}/retry-planning", 200)
    assert (again["status"], again["error"]) == ("PLANNING", None)


LEGAL = {
    ("BLOCKED", "skip"),
    ("PENDING", "start"),
    ("PENDING", "skip"),
    ("IN_PROGRESS", "complete"),
    ("IN_PROGRESS", "fail"),
    ("IN_PROGRESS", "review"),
    ("IN_PROGRESS", "skip"),
    ("IN_REVIEW", "complete"),
    ("IN_REVIEW", "fail"),
    ("IN_REVIEW", "skip"),
    ("COMPLETED", "merge"),
    ("FAILED", "retry"),
    ("FAILED", "skip"),
}
WAYS = {
    "BLOCKED": [],
    "PENDING": [],
    "IN_PROGRESS": ["start"],
    "IN_REVIEW": ["start", "review"],
    "COMPLETED": ["start", "complete"],
    "MERGED": ["start", "complete", "merge"],
    "FAILED": ["start", "fail"],
    "SKIPPED": ["skip"],
}
MOVES = ("start", "complete", "fail", "review", "merge", "skip", "retry")


async def test_no_move_but_the_legal_ones_is_made(board: Board) -> None:
    await board.task({"title": "stays open"})
    for status, way in WAYS.items():
        for move in MOVES:
            task = await board.task(*chain(2))
            subtask = task["subtasks"][1 if status == "BLOCKED" else 0]
            for step in way:
                await board.move(subtask, step)
            answer = await board.rest.admin.post(f"/subtasks/{subtask['id']}/{move}")
            expected = 200 if (status, move) in LEGAL else 409
            assert answer.status_code == expected, (status, move, answer.text)
            if expected == 409:
                assert status in answer.json()["detail"]
                assert answer.json()["status_is"] == status


async def test_a_retry_begins_a_new_attempt(board: Board) -> None:
    task = await board.task({"title": "one"})
    [subtask] = task["subtasks"]
    await board.move(subtask, "start", worker_id="w1")
    failed = await board.move(subtask, "fail", reason="broke", worker_id="w1")
    assert (failed["status"], failed["error"], failed["worker_id"]) == ("FAILED", "broke", "w1")
    again = await board.move(subtask, "retry")
    assert (again["status"], again["attempt"], again["error"]) == ("PENDING", 2, None)
    assert (await board.claim())["run"]["attempt"] == 2


async def test_work_begins_when_the_task_is_active(board: Board) -> None:
    task = await board.task({"title": "one"}, is_active=False)
    refused = await board.move(task["subtasks"][0], "start", 409)
    assert "PLANNING" in refused["detail"]
    await board.claim(expect=204)


async def test_whoever_completes_last_unblocks_and_only_once(rest: Rest, board: Board) -> None:
    siblings = [{"title": f"s{n}", "key": f"s{n}"} for n in range(20)]
    last = {"title": "last", "key": "last", "depends_on": [each["key"] for each in siblings]}
    task = await board.task(*siblings, last)
    for subtask in task["subtasks"][:-1]:
        await board.move(subtask, "start")
    await asyncio.gather(*[board.move(each, "complete") for each in task["subtasks"][:10]])
    assert (await board.statuses(task))["last"] == "BLOCKED"
    await asyncio.gather(*[board.move(each, "complete") for each in task["subtasks"][10:-1]])
    assert (await board.statuses(task))["last"] == "PENDING"
    events = await rest.events(types="subtask:unblocked")
    assert [each["data"]["subtask_id"] for each in events] == [task["subtasks"][-1]["id"]]
    await board.done(task["subtasks"][-1])
    assert (await board.task_now(task))["status"] == "DONE"


async def test_siblings_completed_by_two_processes_unblock_once(
    rest: Rest, board: Board, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    siblings = [{"title": f"s{n}", "key": f"s{n}"} for n in range(12)]
    last = {"title": "last", "key": "last", "depends_on": [each["key"] for each in siblings]}
    async with serving(database_url, redis_url, tmp_path) as other:
        boards = [board, Board(other)]
        for _ in range(3):
            task = await board.task(*siblings, last)
            for subtask in task["subtasks"][:-1]:
                await board.move(subtask, "start")
            await asyncio.gather(
                *[
                    boards[place % 2].move(each, "complete")
                    for place, each in enumerate(task["subtasks"][:-1])
                ]
            )
            assert (await board.statuses(task))["last"] == "PENDING"
    assert len(await rest.events(types="subtask:unblocked")) == 3


async def test_a_circle_through_ten_tasks_is_refused(board: Board) -> None:
    tasks = [await board.task({"title": f"t{n}"}, is_active=False) for n in range(10)]
    ids = [task["subtasks"][0]["id"] for task in tasks]
    for place in range(1, 10):
        body = {"depends_on": [ids[place - 1]]}
        changed = await board.send("PATCH", f"/subtasks/{ids[place]}", 200, json=body)
        assert changed["status"] == "BLOCKED"
    refused = await board.send("PATCH", f"/subtasks/{ids[0]}", 422, json={"depends_on": [ids[9]]})
    assert "circle" in refused["detail"]
    assert (await board.send("GET", f"/subtasks/{ids[0]}", 200))["status"] == "PENDING"


async def test_dependencies_that_cannot_be_are_refused(rest: Rest, board: Board) -> None:
    await rest.project("other")
    foreign = await Board(rest, "other").task({"title": "there"})
    circle = [
        {"title": "a", "key": "a", "depends_on": ["c"]},
        {"title": "b", "key": "b", "depends_on": ["a"]},
        {"title": "c", "key": "c", "depends_on": ["b"]},
    ]
    for subtasks, said in (
        (circle, "circle: "),
        ([{"title": "a", "key": "a", "depends_on": ["a"]}], "circle"),
        ([{"title": "a", "depends_on": ["nobody"]}], "nobody"),
        ([{"title": "a", "depends_on": [foreign["subtasks"][0]["id"]]}], "in this project"),
        ([{"title": "a", "depends_on": [str(uuid4())]}], "in this project"),
        ([{"title": "a", "key": "k"}, {"title": "b", "key": "k"}], "twice"),
    ):
        body = {"title": "t", "subtasks": subtasks}
        refused = await board.post("/projects/demo/tasks", 422, **body)
        assert said in refused["detail"]
    task = await board.task(*chain(2))
    one = task["subtasks"][0]["id"]
    for depends_on in ([one], [foreign["subtasks"][0]["id"]], [foreign["id"]], "x", [1]):
        body = {"depends_on": depends_on}
        await board.send("PATCH", f"/subtasks/{one}", 422, json=body)
    assert [each["status"] for each in (await board.task_now(task))["subtasks"]] == [
        "PENDING",
        "BLOCKED",
    ]


async def test_dependencies_may_cross_tasks_and_change(rest: Rest, board: Board) -> None:
    first = await board.task({"title": "a", "key": "a"})
    needed = first["subtasks"][0]
    second = await board.task({"title": "b", "key": "b", "depends_on": [needed["id"]]})
    waiting = second["subtasks"][0]
    assert waiting["status"] == "BLOCKED"
    freed = await board.send("PATCH", f"/subtasks/{waiting['id']}", 200, json={"depends_on": []})
    assert freed["status"] == "PENDING"
    assert (await board.claim())["subtask"]["id"] == needed["id"]
    assert (await board.claim())["subtask"]["id"] == waiting["id"]
    body = {"depends_on": [needed["id"]]}
    refused = await board.send("PATCH", f"/subtasks/{waiting['id']}", 422, json=body)
    assert "IN_PROGRESS" in refused["detail"]


async def test_subtasks_are_added_later_and_change(rest: Rest, board: Board) -> None:
    task = await board.task({"title": "a", "key": "a"})
    added = await board.post(
        f"/tasks/{task['id']}/subtasks", 201, title="b", key="b", depends_on=["a"], input={"n": 1}
    )
    assert (added["status"], added["position"], added["input"]) == ("BLOCKED", 2.0, {"n": 1})
    await board.post(f"/tasks/{task['id']}/subtasks", 409, title="again", key="b")
    changes = {"title": "B", "position": 0.5, "priority": 3, "max_attempts": 1, "input": None}
    changed = await board.send("PATCH", f"/subtasks/{added['id']}", 200, json=changes)
    assert {name: changed[name] for name in changes} == changes
    assert [each["key"] for each in (await board.task_now(task))["subtasks"]] == ["b", "a"]
    [event] = await rest.events(types="subtask:updated")
    assert event["data"]["changed"] == changes
    await board.send("PATCH", f"/subtasks/{added['id']}", 200, json={"position": 7.25})
    third = await board.post(f"/tasks/{task['id']}/subtasks", 201, title="c")
    assert third["position"] == 8.25
    for bad in (
        {"title": None},
        {"priority": 2**40},
        {"position": "x"},
        {"position": 1e300},
        {"status": "DONE"},
    ):
        await board.send("PATCH", f"/subtasks/{added['id']}", 422, json=bad)


async def test_an_id_given_twice_answers_what_is_there(board: Board) -> None:
    id = str(uuid4())
    task = await board.task(is_active=False, id=id)
    assert task["id"] == id
    assert await board.post("/projects/demo/tasks", 200, title="other", id=id) == task
    subtask_id = str(uuid4())
    where = f"/tasks/{id}/subtasks"
    made = await board.post(where, 201, title="s", id=subtask_id)
    assert await board.post(where, 200, title="t", id=subtask_id) == made
    other = await board.task(is_active=False)
    await board.post(f"/tasks/{other['id']}/subtasks", 409, title="s", id=subtask_id)
    await board.send("DELETE", f"/tasks/{id}", 200)
    await board.post("/projects/demo/tasks", 409, title="again", id=id)


async def test_the_board_is_in_the_order_of_its_positions(rest: Rest, board: Board) -> None:
    made = [await board.task(is_active=False, title=f"t{n}") for n in range(5)]
    assert [task["position"] for task in made] == [1, 2, 3, 4, 5]
    await board.send("PATCH", f"/tasks/{made[4]['id']}", 200, json={"position": 1.5})
    titles: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = await board.send("GET", "/projects/demo/tasks", 200, params=params)
        titles += [task["title"] for task in page["tasks"]]
        assert page["total"] == 5
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert titles == ["t0", "t4", "t1", "t2", "t3"]
    [event] = await rest.events(types="task:updated")
    assert event["data"]["changed"] == {"position": 1.5}
    await board.send("GET", "/projects/demo/tasks", 422, params={"cursor": "bm8"})
    only = await board.send("GET", "/projects/demo/tasks", 200, params={"status": "ACTIVE"})
    assert only["tasks"] == []


async def test_deleting_says_what_else_goes(rest: Rest, board: Board) -> None:
    task = await board.task(*chain(3))
    first, second, _ = task["subtasks"]
    outside = await board.task({"title": "out", "key": "out", "depends_on": [second["id"]]})
    claimed = await board.claim()
    would = await board.send("DELETE", f"/tasks/{task['id']}", 200, params={"dry_run": "true"})
    assert not would["deleted"]
    assert would["subtasks"] == [each["id"] for each in task["subtasks"]]
    assert would["dependencies"] == 3
    assert would["runs_cancelled"] == [claimed["run"]["id"]]
    assert would["unblocked"] == [outside["subtasks"][0]["id"]]
    assert (await board.task_now(task))["id"] == task["id"]
    gone = await board.send("DELETE", f"/tasks/{task['id']}", 200)
    assert gone == would | {"deleted": True}
    await board.send("GET", f"/tasks/{task['id']}", 404)
    await board.send("GET", f"/subtasks/{first['id']}", 404)
    run = await board.send("GET", f"/runs/{claimed['run']['id']}", 200)
    assert run["status"] == "cancelled"
    freed = (await board.task_now(outside))["subtasks"][0]
    assert (freed["status"], freed["depends_on"]) == ("PENDING", [])
    assert [event["type"] for event in await rest.events()][-1] == "task:deleted"


async def test_deleting_the_last_open_subtask_finishes_the_task(board: Board) -> None:
    task = await board.task({"title": "a"}, {"title": "b"})
    first, second = task["subtasks"]
    await board.done(first)
    gone = await board.send("DELETE", f"/subtasks/{second['id']}", 200)
    assert gone["subtasks"] == [second["id"]]
    assert (await board.task_now(task))["status"] == "DONE"
    await board.post(f"/tasks/{task['id']}/subtasks", 409, title="late")


async def test_history_says_who_why_and_when(board: Board) -> None:
    task = await board.task({"title": "a"})
    [subtask] = task["subtasks"]
    claimed = await board.claim("w7")
    await board.move(subtask, "fail", worker_id="w7", reason="no disk")
    page = await board.send("GET", f"/tasks/{task['id']}/transitions", 200)
    made = [(each["old_status"], each["new_status"]) for each in page["transitions"]]
    assert made == [
        ("IN_PROGRESS", "FAILED"),
        ("PENDING", "IN_PROGRESS"),
        ("PLANNING", "ACTIVE"),
        (None, "PENDING"),
        (None, "PLANNING"),
    ]
    last = page["transitions"][0]
    assert last["actor"].startswith("key:")
    assert (last["worker_id"], last["run_id"]) == ("w7", claimed["run"]["id"])
    assert last["reason"] == "no disk"
    params: dict[str, Any] = {"limit": 2}
    first = await board.send("GET", f"/tasks/{task['id']}/transitions", 200, params=params)
    params["cursor"] = first["next_cursor"]
    rest_of_it = await board.send("GET", f"/tasks/{task['id']}/transitions", 200, params=params)
    assert rest_of_it["transitions"] == page["transitions"][2:4]


async def test_who_may_not_read_finds_nothing_and_readers_change_nothing(
    rest: Rest, board: Board
) -> None:
    task = await board.task({"title": "a"})
    subtask = task["subtasks"][0]["id"]
    stranger = rest.person("stranger")
    for method, path in (
        ("GET", f"/tasks/{task['id']}"),
        ("GET", f"/subtasks/{subtask}"),
        ("POST", f"/subtasks/{subtask}/start"),
        ("GET", "/projects/demo/tasks"),
        ("GET", f"/tasks/{uuid4()}"),
        ("GET", "/tasks/nonsense"),
        ("GET", f"/tasks/{subtask}"),
        ("GET", f"/subtasks/{task['id']}"),
    ):
        headers = stranger if "nonsense" not in path else {}
        answer = await rest.admin.request(method, path, headers=headers)
        if path in (f"/tasks/{subtask}", f"/subtasks/{task['id']}"):
            answer = await rest.admin.request(method, path)
        assert answer.status_code == 404, (path, answer.text)


async def test_a_board_shown_before_is_shown_as_it_is_now(rest: Rest, board: Board) -> None:
    """Lists keep what they showed: whatever changes a subtask must change the list too."""
    task = await board.task(*chain(4))
    first, second, third, last = task["subtasks"]

    async def listed() -> list[dict[str, Any]]:
        page = await board.send("GET", "/projects/demo/tasks", 200)
        [shown] = page["tasks"]
        one_by_one = [
            await board.send("GET", f"/subtasks/{each['id']}", 200) for each in shown["subtasks"]
        ]
        assert shown["subtasks"] == one_by_one
        assert await board.task_now(task) == shown
        return one_by_one

    assert await listed() == await listed()
    claimed = await board.claim("w1", lease_s=30)
    assert (await listed())[0]["worker_id"] == "w1"
    await board.post(f"/subtasks/{first['id']}/lease", 200, worker_id="w1", lease_s=900)
    assert (await listed())[0]["lease_expires_at"] > claimed["subtask"]["lease_expires_at"]
    await board.move(first, "complete", worker_id="w1")
    assert [each["status"] for each in await listed()][:2] == ["COMPLETED", "PENDING"]
    await board.send("PATCH", f"/subtasks/{last['id']}", 200, json={"position": 0, "title": "up"})
    assert [each["title"] for each in await listed()] == ["up", "s0", "s1", "s2"]
    await board.send("DELETE", f"/subtasks/{third['id']}", 200)
    assert len(await listed()) == 3
    stranger = await rest.admin.get("/projects/demo/tasks", headers=rest.person("stranger"))
    assert stranger.status_code == 404
    assert second["status"] == "BLOCKED"
