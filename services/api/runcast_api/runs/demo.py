"""The demo runner: an agent that only pretends, so that one sees at once what a live run looks like."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
import structlog

from runcast._support import times
from runcast_api.artifacts import artifacts
from runcast_api.artifacts.artifacts import Upload
from runcast_api.artifacts.store import Stored
from runcast_api.logs import entries
from runcast_server.errors import Problem
from runcast_server.eventlog.log import EventLog, Transaction

INTERVAL_SECONDS = 1.5

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


@dataclass(eq=False)
class Demos:
    """The demos that play in this process."""

    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self, eventlog: EventLog, project_id: UUID, run_id: UUID, interval: float) -> None:
        """Plays a demo in the background: 12 log events, `interval` seconds apart, 3 artifacts."""
        task = asyncio.create_task(_play(eventlog, project_id, run_id, interval))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def stop(self) -> None:
        """Ends the demos that still play."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def _play(eventlog: EventLog, project_id: UUID, run_id: UUID, interval: float) -> None:
    try:
        for number, (agent_name, event_type, message) in enumerate(_SAYS, 1):
            if number > 1:
                await asyncio.sleep(interval)
            await _say(eventlog, project_id, run_id, agent_name, event_type, message)
            if number in _MAKES:
                step_name, content = _MAKES[number]
                await _make(eventlog, project_id, run_id, step_name, content)
    except Problem as problem:
        log.warning("demo.ended", run=str(run_id), reason=str(problem))


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
