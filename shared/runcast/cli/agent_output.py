"""What an agent prints under `runcast exec`, recorded as what it says: entries, state, usage, sub-agents.

The bytes themselves go on to the terminal unchanged (`child`); only what the run keeps of them differs.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from runcast import RunTracker
from runcast.agents.identity import session_key
from runcast.agents.redaction import VARIABLE, Redaction
from runcast.agents.streams import programs
from runcast.agents.streams.reading import Heard, Reading
from runcast.agents.streams.said import About, Began, Doing, Entry, Over, Said, Used, Waits
from runcast.contract import NAME_CHARACTERS
from runcast.tracker import End

Json = dict[str, Any]

EVERY_SECONDS = 2.0
"""How often usage and progress are told at most."""
MAX_CHILDREN = 200
"""Sub-agents that have a run of their own; those beyond it are told in their parent's log."""


@dataclass(eq=False)
class Paced:
    """What changes often, told at most every two seconds; the last of it always, at the latest by `told`."""

    next_at: float = 0.0
    waiting: Any = None
    last: Any = None

    def take(self, value: Any, now: float) -> Any:
        """The value, if it is to be told now; else None."""
        if value is not None:
            self.waiting = value
        if self.waiting is None or self.waiting == self.last or now < self.next_at:
            return None
        self.next_at = now + EVERY_SECONDS
        return self.told()

    def told(self) -> Any:
        """What is still to be told, if anything is."""
        value, self.waiting = self.waiting, None
        if value is None or value == self.last:
            return None
        self.last = value
        return value


@dataclass(eq=False)
class AgentOutput:
    """Records one stream of a command. `error`: why the agent says that it has failed."""

    tracker: RunTracker
    command: Sequence[str]
    choice: str = programs.AUTO
    source: str = "stdout"
    error: str | None = None
    _usage: Paced = field(default_factory=Paced)
    _doing: Paced = field(default_factory=Paced)
    _children: dict[str, RunTracker] = field(default_factory=dict)
    _program: str | None = None
    _session: str | None = None
    _waits: bool = False
    _about: Json = field(default_factory=dict)
    """`metadata.agent` of the run, whole: a change replaces it."""
    _endings: list[threading.Thread] = field(default_factory=list)
    _has_given_up: bool = False
    """The output is an agent's, and is recorded as it is."""

    def __post_init__(self) -> None:
        self._reading = Reading(self.command, self.choice)
        try:
            self._redaction = Redaction(os.environ.get(VARIABLE, ""))
        except ValueError:
            # The command comes first: a pattern that is none hides nothing.
            self._redaction = Redaction()

    def feed(self, data: bytes) -> None:
        """Records what the bytes say. Output that can't be made sense of is recorded as it is from then on:
        the command, and what it prints, must not end with our understanding of it."""
        start = 0
        while start < len(data):
            # A record at a time, so that one that fails is known, and those before it aren't told twice.
            end = 0 if self._reading.reads_lines else data.find(b"\n", start) + 1
            piece, start = data[start : end or len(data)], end or len(data)
            try:
                self.record(self._reading.feed(piece))
            except Exception as error:  # an agent may print anything
                self._warn("The output is recorded as it is from here on", error)
                self._record_plain(self._reading.give_up())

    def finish(self) -> None:
        """Records what is left, when the command has ended."""
        try:
            self.record(self._reading.finish())
        except Exception as error:  # likewise
            self._warn("The end of the output is recorded as it is", error)
            self._record_plain(self._reading.give_up(is_over=True))
        try:
            self._end_agent()
        except Exception as error:  # likewise
            self._warn("How the agent ended is not recorded in full", error)

    def _record_plain(self, lines: list[str]) -> None:
        self._has_given_up = True
        if lines:
            self.record([lines])

    def _warn(self, what: str, error: Exception) -> None:
        text = self._redaction.text(f"{what}: {error!r}")
        self.tracker.log(text, level="warning", agent_name="runcast")

    def _end_agent(self) -> None:
        """Records how the agent's last state is, and ends its sub-agents."""
        if usage := self._usage.told():
            self.tracker.update(usage=usage)
        if self._waits:
            self._show(Waits(None))
        for child in list(self._children):
            self._end(Over(child=child))
        for ending in self._endings:
            ending.join()
        if self._reading.unknown and self._program:
            self._tell_agent({"unknown_records": str(self._reading.unknown)})

    def record(self, heard: Iterable[Heard]) -> None:
        """Records what lines and records say."""
        for each in heard:
            if isinstance(each, list):
                self.tracker.lines(self.source, self._shown(each))
            elif isinstance(each, Entry):
                self._log(each)
            else:
                self._take(each)
        now = time.monotonic()
        if usage := self._usage.take(None, now):
            self.tracker.update(usage=usage)
        if doing := self._doing.take(None, now):
            self.tracker.emit("tool", doing)

    def _shown(self, lines: list[str]) -> list[str]:
        """Records that are told as lines may hold secrets."""
        return [self._redaction.text(line) for line in lines] if self._has_given_up else lines

    def _take(self, said: Said) -> None:
        """What isn't an entry."""
        match said:
            case Used():
                self._usage.waiting = said.usage
            case Doing() if said.child is None:
                self._doing.waiting = self._redaction.text(said.headline)
            case About():
                self._begin(said)
            case Waits():
                self._show(said)
            case Began():
                self._begin_child(said)
            case Over():
                self._end(said)

    def _log(self, entry: Entry) -> None:
        run = self._children.get(entry.child or "", self.tracker)
        payload = entry.payload
        if payload and "launched" in payload:
            payload = dict(payload)
            child = self._children.get(payload.pop("launched"))
            payload |= {"child": child.key} if child is not None and child.key else {}
        run.log(
            self._redaction.text(entry.message),
            level=entry.level,
            agent_name=self._program,
            event_type=entry.event_type,
            payload=None if payload is None else self._redaction.json(payload),
            ts=entry.ts,
        )

    def _begin(self, about: About) -> None:
        """The session is known now: others who report it find this run by its key."""
        is_new = (about.program, about.session_id) != (self._program, self._session)
        self._program, self._session = about.program, about.session_id
        self._tell_agent(dict(about.facts))
        if is_new and about.session_id:
            self.tracker.update(aliases=[session_key(about.program, about.session_id)])

    def _tell_agent(self, facts: dict[str, str]) -> None:
        given = {"program": self._program, "session_id": self._session}
        given |= {name: value[:1000] for name, value in facts.items()}
        self._about |= {name: value for name, value in given.items() if value}
        self.tracker.update(metadata={"agent": dict(self._about)})

    def _show(self, waits: Waits) -> None:
        self._waits = waits.kind is not None
        if waits.kind is None:
            self.tracker.update(status="running", attention=None)
            return
        attention = {"kind": waits.kind, "summary": self._redaction.text(waits.summary)}
        self.tracker.update(status="awaiting_feedback", attention=attention)

    def _begin_child(self, began: Began) -> None:
        if began.child in self._children or len(self._children) >= MAX_CHILDREN:
            return
        program = self._program or "agent"
        session = self._session or self.tracker.run_id or "session"
        self._children[began.child] = self.tracker.child(
            self._redaction.text(began.name)[:NAME_CHARACTERS],
            run_id=session_key(program, session, began.agent_id or began.child),
            agent_type="SUBAGENT",
            agent_name=began.agent_name or program,
            phase="session",
            steps=[],
        ).start()

    def _end(self, over: Over) -> None:
        error = over.error and self._redaction.text(over.error)
        result = over.result and self._redaction.text(over.result)
        if over.child is None:
            self.error = error
            return
        child = self._children.pop(over.child, None)
        if child is not None:
            status: End = "completed" if error is None else "failed"
            # A thread's concern: the end of a run waits until a server has it, and output must not wait.
            end = functools.partial(child.finish, status, error, result=result)
            ending = threading.Thread(target=end, name="runcast-child")
            self._endings = [each for each in self._endings if each.is_alive()] + [ending]
            ending.start()
