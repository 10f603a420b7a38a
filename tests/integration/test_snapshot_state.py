"""The state read with `Runcast-Head: N`, with the events after N applied, is the state now.

For random histories: several writers at once, over HTTP and the ingest stream, and readers who look in
the middle of it. Kept as kinds of things and events are added: `folding` says what they do.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.integration.folding import State
from tests.integration.rest import Rest, serving
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

STEPS = ["idea", "topic_critic", "outline"]
STATUSES = ["queued", "running", "awaiting_feedback", "completed", "failed", "cancelled"]
_slugs = itertools.count(1)

Json = dict[str, Any]
View = tuple[str, Callable[[State, Json], None]]


@pytest.fixture
async def rest(database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Rest]:
    async with serving(database_url, redis_url, tmp_path, is_running=True) as rest:
        yield rest


whose = st.integers(0, 3)
words = st.sampled_from(["a", "b", "c"])

OPERATIONS = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(STATUSES)),
    st.tuples(st.just("status"), whose, st.sampled_from(STATUSES)),
    st.tuples(st.just("step"), whose, st.sampled_from(STEPS)),
    st.tuples(st.just("fields"), whose, st.dictionaries(words, st.integers(), max_size=2)),
    st.tuples(st.just("progress"), whose, st.sampled_from([*STEPS, "elsewhere"])),
    st.tuples(st.just("lines"), whose, st.integers(1, 4)),
    st.tuples(st.just("artifact"), whose, st.sampled_from(STEPS)),
    st.tuples(st.just("cancel"), whose),
    st.tuples(st.just("retry"), whose),
    st.tuples(st.just("ingest"), whose, st.sampled_from(["agent:log", "run:progress"])),
    st.tuples(st.just("task"), st.integers(0, 3)),
    st.tuples(st.just("move task"), whose, st.sampled_from(["activate", "planning-failed"])),
    st.tuples(st.just("rename task"), whose, words),
    st.tuples(st.just("claim"), words),
    st.tuples(
        st.just("move subtask"),
        st.integers(0, 9),
        st.sampled_from(["start", "complete", "fail", "review", "merge", "skip", "retry"]),
    ),
    st.tuples(st.just("delete subtask"), st.integers(0, 9)),
    st.tuples(st.just("look")),
)


@dataclass
class World:
    """A project, who writes in it, and what was seen of it, each time with the head."""

    rest: Rest
    slug: str
    runs: list[str] = field(default_factory=list)
    tasks: list[Json] = field(default_factory=list)
    seen: list[tuple[View, Json, int]] = field(default_factory=list)
    messages: int = 0

    async def send(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON; None where the state forbids it."""
        answer = await self.rest.admin.request(method, path, json=body)
        assert answer.status_code < 500, answer.text
        assert answer.status_code not in (400, 401, 403), answer.text
        if method == "PATCH" and path.startswith("/runs/") and answer.status_code == 200:
            head = int(answer.headers["Runcast-Head"])
            self.seen.append(((f"PATCH {path}", State.show_run), answer.json(), head))
        return answer.json() if answer.status_code < 300 and answer.content else None

    def run_of(self, number: int) -> str:
        return self.runs[number % len(self.runs)]

    def subtask_of(self, number: int) -> str | None:
        known = [subtask["id"] for task in self.tasks for subtask in task["subtasks"]]
        return known[number % len(known)] if known else None

    async def do(self, name: str, *given: Any) -> None:
        """One operation; one that the state doesn't allow changes nothing."""
        match name, given:
            case "create", (status,):
                made = await self.send("POST", f"/projects/{self.slug}/runs", {"status": status})
                self.runs.append(made["id"])
            case "status", (number, status):
                path = f"/runs/{self.run_of(number)}"
                await self.send("PATCH", path, {"status": status, "error": "no"})
            case "step", (number, step):
                await self.send("PATCH", f"/runs/{self.run_of(number)}", {"current_step": step})
            case "fields", (number, metadata):
                body = {"metadata": metadata, "result": metadata, "pr_url": "https://example.org/1"}
                await self.send("PATCH", f"/runs/{self.run_of(number)}", body)
            case (("progress" | "lines" | "artifact" | "ingest"), (number, what)):
                await self._report(name, self.run_of(number), what)
            case (("cancel" | "retry"), (number,)):
                made = await self.send("POST", f"/runs/{self.run_of(number)}/{name}")
                if made and name == "retry":
                    self.runs.append(made["id"])
            case "look", ():
                await self.look()
            case _:
                await self._do_on_board(name, *given)

    async def _report(self, name: str, run_id: str, what: Any) -> None:
        match name:
            case "progress":
                body = {"stage": what, "message": "m", "percent": 5}
                await self.send("POST", f"/runs/{run_id}/progress", body)
            case "lines":
                await self.send("POST", f"/runs/{run_id}/logs", [{"message": "m"}] * what)
            case "artifact":
                body = {"step_name": what, "content": {"step": what}}
                await self.send("POST", f"/runs/{run_id}/artifacts", body)
            case "ingest":
                await self._tell(what, run_id)

    async def _tell(self, kind: str, run_id: str) -> None:
        data = {"message": "m", "stage": "idea"}
        message = orjson.dumps({"type": kind, "run_id": run_id, "data": data})
        await self.rest.resources.bus.client.xadd("runcast:ingest", {"m": message})
        self.messages += 1

    async def _do_on_board(self, name: str, *given: Any) -> None:
        match name, given:
            case "task", (number,):
                subtasks = [
                    {"title": f"s{n}", "key": f"s{n}", "depends_on": [f"s{n - 1}"] if n else []}
                    for n in range(number)
                ]
                body = {"title": "t", "subtasks": subtasks}
                made = await self.send("POST", f"/projects/{self.slug}/tasks", body)
                self.tasks.append(made)
                await self.send("POST", f"/tasks/{made['id']}/activate")
            case "move task", (number, move) if self.tasks:
                task = self.tasks[number % len(self.tasks)]
                await self.send("POST", f"/tasks/{task['id']}/{move}")
            case "rename task", (number, title) if self.tasks:
                task = self.tasks[number % len(self.tasks)]
                await self.send("PATCH", f"/tasks/{task['id']}", {"title": title})
            case "claim", (worker,):
                path = f"/projects/{self.slug}/subtasks/claim"
                await self.send("POST", path, {"worker_id": worker, "lease_s": 60})
            case "move subtask", (number, move) if subtask := self.subtask_of(number):
                await self.send("POST", f"/subtasks/{subtask}/{move}", {})
            case "delete subtask", (number,) if subtask := self.subtask_of(number):
                await self.send("DELETE", f"/subtasks/{subtask}")

    # ------------------------------------------------------------------ looking

    def views(self) -> list[View]:
        """The GETs that show state, and how each is taken in."""

        def runs(state: State, body: Json) -> None:
            for run in body["runs"]:
                state.show_run(run)

        def tasks(state: State, body: Json) -> None:
            for task in body["tasks"]:
                state.show_task(task)

        one = [(f"/runs/{run_id}", State.show_run) for run_id in self.runs[:2]]
        return [
            (f"/projects/{self.slug}/runs?limit=1000", runs),
            (f"/projects/{self.slug}/tasks?limit=1000", tasks),
            *one,
        ]

    async def look(self) -> None:
        """Each view once, at whatever moment it is answered."""
        for view in self.views():
            answer = await self.rest.admin.get(view[0])
            assert answer.status_code == 200, answer.text
            self.seen.append((view, answer.json(), int(answer.headers["Runcast-Head"])))


def taken(view: View, body: Json) -> State:
    state = State()
    view[1](state, body)
    return state


def compared(state: State, now: State) -> list[tuple[str, Any, Any]]:
    """What differs, of the things that `state` began with or was told of."""
    wrong = []
    for name in ("runs", "artifacts", "tasks", "subtasks"):
        old, new = getattr(state, name), getattr(now, name)
        for key in old.keys() | new.keys():
            was, is_now = old.get(key), new.get(key)
            if name == "tasks" and was is not None and is_now is not None:
                # The event of a new task doesn't hold the task: of it only what was told is known.
                is_now = {member: is_now[member] for member in was}
            if was != is_now:
                wrong.append((f"{name} {key}", was, is_now))
    return wrong


@settings(
    max_examples=12,
    deadline=None,
    phases=[
        Phase.generate
    ],  # What concurrent writers did won't happen again, so it can't be shrunk.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(writers=st.lists(st.lists(OPERATIONS, min_size=1, max_size=12), min_size=2, max_size=4))
async def test_a_state_with_the_events_after_it_is_the_state_now(
    rest: Rest, writers: list[list[tuple[Any, ...]]]
) -> None:
    world = World(rest, f"w{next(_slugs)}")
    await rest.project(world.slug)
    for status in ("running", "queued"):
        await world.do("create", status)

    async def write(operations: list[tuple[Any, ...]]) -> None:
        for operation in operations:
            await world.do(*operation)

    async def watch() -> None:
        while not all(task.done() for task in writing):
            await world.look()
            await asyncio.sleep(0)

    writing = [asyncio.create_task(write(operations)) for operations in writers]
    await asyncio.gather(watch(), *writing)
    await until(lambda: _is_read(rest))
    events = await all_events(rest, world.slug)
    end = State()
    for view in world.views()[:2]:
        view[1](end, (await rest.admin.get(view[0])).json())
    for run_id in end.runs:
        end.show_run((await rest.admin.get(f"/runs/{run_id}")).json())
    for view, body, head in world.seen:
        check(view, body, head, events, end)


def check(view: View, body: Json, head: int, events: list[Json], end: State) -> None:
    """A view brought forward by what came after it is the end, as far as it looks."""
    state = taken(view, body)
    run_ids = set(state.runs)
    for event in events:
        if event["id"] > head:
            state.apply(event["type"], event["data"])
    now = State()
    if view[0].endswith("/tasks?limit=1000"):
        now.tasks, now.subtasks = end.tasks, end.subtasks
        state.runs, state.artifacts = {}, {}
    elif view[0].startswith("/projects/"):
        now.runs, state.tasks, state.subtasks, state.artifacts = end.runs, {}, {}, {}
    else:
        state.runs = {id: run for id, run in state.runs.items() if id in run_ids}
        state.artifacts = {k: v for k, v in state.artifacts.items() if k[0] in run_ids}
        state.tasks, state.subtasks = {}, {}
        now.runs = {id: run for id, run in end.runs.items() if id in run_ids}
        now.artifacts = {k: v for k, v in end.artifacts.items() if k[0] in run_ids}
        if view[0].startswith("PATCH"):
            state.artifacts = now.artifacts = {}
    wrong = compared(state, now)
    assert not wrong, f"{view[0]} at {head}: {wrong}; {[e for e in events if e['id'] <= head + 5]}"


async def all_events(rest: Rest, slug: str) -> list[Json]:
    found: list[Json] = []
    while page := await rest.events(slug, after=found[-1]["id"] if found else 0):
        found += page
    return found


async def _is_read(rest: Rest) -> bool:
    return bool(await rest.resources.bus.client.xlen("runcast:ingest") == 0)
