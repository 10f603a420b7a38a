"""A demo agent: it pretends to work, so that a newcomer sees what a live run looks like."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
import structlog

from runcast._support import times
from runcast.contract import TERMINAL_STATUSES
from runcast_api.artifacts import artifacts
from runcast_api.artifacts.artifacts import Upload
from runcast_api.artifacts.store import Stored
from runcast_api.logs import entries
from runcast_api.questions import closing, questions
from runcast_api.questions.schemas import Option, QuestionNew
from runcast_api.questions.waiting import Waiters
from runcast_api.runs import progress, runs
from runcast_server.auth.principal import Principal
from runcast_server.errors import Problem
from runcast_server.eventlog.log import EventLog, Transaction

INTERVAL_SECONDS = 1.5
LEAST_EXPIRY_SECONDS = 5.0
LOOK_SECONDS = 1.0
_STEPS = ("idea", "topic_critic", "outline")

_SAYS = (
    ("IdeaGenerator", "started", "Looking for an idea worth a weekend"),
    ("IdeaGenerator", "thinking", "Reading what players of puzzle games complain about"),
    ("IdeaGenerator", "thinking", "Sketching three directions"),
    ("IdeaGenerator", "completed", "Chose one: a garden that grows while you plan"),
    ("TopicCritic", "started", "Checking the idea against scope and audience"),
    ("TopicCritic", "thinking", "Twelve plants are enough for a first version"),
    ("TopicCritic", "warning", "Multiplayer would double the work; leaving it out"),
    ("TopicCritic", "completed", "The topic holds, with two cuts"),
    ("OutlineWriter", "started", "Writing the outline"),
    ("OutlineWriter", "thinking", "Ordering chapters by what they depend on"),
    ("OutlineWriter", "thinking", "Estimating each chapter"),
    ("OutlineWriter", "completed", "The outline is ready for feedback"),
)

EVENTS = len(_SAYS)

_MAKES: dict[int, tuple[str, dict[str, Any]]] = {
    4: (
        "idea",
        {"title": "Garden of Plans", "summary": "A puzzle whose plants grow while you think."},
    ),
    8: (
        "topic_critic",
        {"verdict": "keep", "cuts": ["multiplayer", "weather"], "score": 8},
    ),
    12: (
        "outline",
        {"chapters": ["Seed", "Sprout", "Branch", "Bloom"], "days": 3},
    ),
}

log = structlog.get_logger()


@dataclass(frozen=True)
class Stage:
    """What a demo plays on: the run, and the caller who asked for it."""

    eventlog: EventLog
    waiters: Waiters
    project_id: UUID
    run_id: UUID
    caller: Principal
    interval: float


@dataclass(eq=False)
class Demos:
    """The demos that play in this process."""

    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self, stage: Stage) -> None:
        """Plays a demo in the background: the run starts, takes its steps with 12 log events, `interval`
        seconds apart, and 3 artifacts, asks its person a question and completes."""
        task = asyncio.create_task(_play(stage))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def stop(self) -> None:
        """Ends the demos that still play."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def _play(stage: Stage) -> None:
    eventlog, project_id, run_id = stage.eventlog, stage.project_id, stage.run_id
    try:
        await _change(stage, {"status": "running"})
        for number, (agent_name, event_type, message) in enumerate(_SAYS, 1):
            if number > 1:
                await asyncio.sleep(stage.interval)
            await _progress(stage, number, message)
            await _say(eventlog, project_id, run_id, agent_name, event_type, message)
            if number in _MAKES:
                step_name, content = _MAKES[number]
                await _make(eventlog, project_id, run_id, step_name, content)
        await _ask(stage)
        await _change(stage, {"status": "completed", "result": {"chapters": 4}})
    except Problem as problem:
        log.warning("demo.ended", run=str(run_id), reason=str(problem))


async def _change(stage: Stage, given: dict[str, Any]) -> None:
    """Changes the run, unless a person ended it meanwhile."""

    async def change(transaction: Transaction) -> None:
        run = await runs.lock(transaction, stage.run_id)
        if run["status"] not in TERMINAL_STATUSES:
            await runs.change(transaction, run, given)

    await stage.eventlog.commit(stage.project_id, change)


async def _progress(stage: Stage, number: int, message: str) -> None:
    step = _STEPS[(number - 1) * len(_STEPS) // EVENTS]
    report = progress.ProgressNew(
        stage=step, message=message, percent=100 * number // EVENTS, step=number, total_steps=EVENTS
    )

    async def change(transaction: Transaction) -> None:
        run = await runs.lock(transaction, stage.run_id)
        if run["status"] not in TERMINAL_STATUSES:
            await progress.report(transaction, stage.run_id, report)

    await stage.eventlog.commit(stage.project_id, change)


async def _ask(stage: Stage) -> None:
    """Asks a question, and waits until it is answered or expires."""
    expires = max(LEAST_EXPIRY_SECONDS, stage.interval * 40)
    new = QuestionNew(
        kind="choice",
        title="Publish the outline?",
        body="The outline has four chapters. This is a demo: either answer completes the run.",
        options=[Option(id="publish", label="Publish"), Option(id="later", label="Not yet")],
        default="later",
        on_expiry="default",
        expires_in_s=expires,
        via="demo",
    )

    async def change(transaction: Transaction) -> UUID | None:
        run = await runs.lock(transaction, stage.run_id)
        if run["status"] in TERMINAL_STATUSES:
            return None
        asked, _ = await questions.ask(transaction, stage.run_id, new, stage.caller)
        return UUID(asked["id"])

    question_id = await stage.eventlog.commit(stage.project_id, change)
    if question_id is None:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(expires + 30), stage.waiters.waiting(question_id) as closed:
            while not closed.is_set() and await _is_open(stage, question_id):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(closed.wait(), LOOK_SECONDS)


async def _is_open(stage: Stage, question_id: UUID) -> bool:
    """Looks at the question itself: the notice of its closing may be lost."""

    async def look(transaction: Transaction) -> bool:
        waiting = await closing.open_of(transaction, stage.run_id)
        return any(question["id"] == str(question_id) for question in waiting)

    return await stage.eventlog.commit(stage.project_id, look)


async def _say(
    eventlog: EventLog,
    project_id: UUID,
    run_id: UUID,
    agent_name: str,
    event_type: str,
    message: str,
) -> None:
    entry = entries.LogEntry(
        agent_name=agent_name,
        event_type=event_type,
        level="warning" if event_type == "warning" else "info",
        payload={"message": message},
    )
    encoded = entries.encode(entry, times.to_milliseconds(times.now()), entries.ENTRY_BYTES)
    await entries.append(eventlog, entries.Append(project_id, run_id, [encoded]))


async def _make(
    eventlog: EventLog, project_id: UUID, run_id: UUID, step_name: str, content: dict[str, Any]
) -> None:
    encoded = orjson.dumps(content)
    stored = Stored(len(encoded), sha256(encoded).hexdigest(), encoded, None)
    upload = Upload(step_name, artifacts.JSON_MEDIA_TYPE, stored)

    async def change(transaction: Transaction) -> None:
        await artifacts.create(transaction, run_id, upload)

    await eventlog.commit(project_id, change)
