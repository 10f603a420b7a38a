"""The sessions between an editor and its agent as runs, and the questions of their permissions."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runcast import RunTracker, errors
from runcast._support.ids import uuid7
from runcast._support.server_config import Connection
from runcast.agents import texts
from runcast.agents.acp import PROGRAM, Asked, Conversation, Heard, Named, RequestId, Resolved
from runcast.agents.identity import resumed_key, session_key
from runcast.agents.streams import programs
from runcast.agents.streams.said import Entry, Said, Waits
from runcast.asking import Answer
from runcast.cli.agent_output import AgentOutput
from runcast.client.clients import Client
from runcast.contract import NAME_CHARACTERS
from runcast.tracker import End

Json = dict[str, Any]

MOST_RESUMED = 1_000
CLOSING_PAUSES = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Seconds between tries to close a question that isn't at the server yet, or while that is away."""

CLOSING_SECONDS = 2.0
PROMPT_CHARACTERS = 80

Decide = Callable[[Asked, Answer], None]
"""Told what people answered to a permission, from a thread of its own."""


class Sessions:
    """Records what a conversation says. Called by one thread."""

    def __init__(
        self,
        make: Callable[[str], RunTracker],
        server: Connection | None,
        root: Path,
        decide: Decide | None = None,
    ) -> None:
        """`make` makes the tracker of a run by its key. With `decide` people may answer permissions."""
        self.conversation = Conversation()
        self._make = make
        self._server = server
        self._root = root
        self._decide = decide
        self._outputs: dict[str, AgentOutput] = {}
        self._named: set[AgentOutput] = set()
        self._questions: dict[RequestId, str] = {}
        self._closing: list[threading.Thread] = []

    def take(self, heard: Heard) -> None:
        """Records one thing that was said."""
        output = self._output(heard.session)
        match heard.said:
            case Asked():
                self._ask(output, heard.said)
            case Resolved():
                self._resolve(heard.said.request)
            case Named():
                self._named.add(output)
                output.tracker.update(name=heard.said.title[:NAME_CHARACTERS])
            case said:
                if isinstance(said, Waits):
                    self._let_close()
                self._name(output, said)
                output.record([said])

    def finish(self, status: End, error: str | None) -> None:
        """Ends all runs, when the agent has ended."""
        for heard in self.conversation.finish():
            self.take(heard)
        for output in self._outputs.values():
            output.finish()
            output.tracker.finish(status, error)
        for closing in self._closing:
            closing.join(sum(CLOSING_PAUSES))

    @property
    def unsent_bytes(self) -> int:
        return sum(output.tracker.unsent_bytes for output in self._outputs.values())

    def _output(self, session: str) -> AgentOutput:
        output = self._outputs.get(session)
        if output is None:
            tracker = self._make(self._free_key(session)).start()
            output = self._outputs[session] = AgentOutput(tracker, [], programs.NONE)
        return output

    def _free_key(self, session: str) -> str:
        """The session's key, or the next one where it goes on with a session that has a run already."""
        key = session_key(PROGRAM, session)
        for number in range(2, MOST_RESUMED):
            found = key if number == 2 else resumed_key(key, number - 1)
            if not (self._root / found).exists():
                return found
        return resumed_key(key, MOST_RESUMED)

    def _name(self, output: AgentOutput, said: Said) -> None:
        """A session without a title is called by its first prompt."""
        if isinstance(said, Entry) and said.event_type == "prompt" and output not in self._named:
            self._named.add(output)
            first = said.message.strip().partition("\n")[0]
            output.tracker.update(name=first[:PROMPT_CHARACTERS])

    # ---------------------------------------------------------------- permissions

    def _let_close(self) -> None:
        """Lets questions be closed first: what the run waits for next must not be taken for theirs."""
        for closing in self._closing:
            closing.join(CLOSING_SECONDS)

    def _ask(self, output: AgentOutput, asked: Asked) -> None:
        question = self._questions[asked.request] = str(uuid7())
        shown, _ = texts.small(asked.given)
        waiting = threading.Thread(
            target=self._wait,
            args=(output.tracker, asked, question, shown),
            name="runcast-acp-question",
            daemon=True,
        )
        waiting.start()

    def _wait(self, tracker: RunTracker, asked: Asked, question: str, given: Any) -> None:
        answer = tracker.ask(
            asked.tool,
            asked.options,
            id=question,
            kind="permission",
            body=asked.body,
            tool={"name": asked.tool, "input": given, "call_id": asked.call_id},
            answerable=self._decide is not None,
            via=PROGRAM,
        )
        if self._decide is not None and answer.state == "answered":
            self._decide(asked, answer)

    def _resolve(self, request: RequestId) -> None:
        """The editor has answered: its question is over for everyone else."""
        question = self._questions.pop(request, None)
        if question is None or self._server is None:
            return
        closing = threading.Thread(
            target=_close, args=(self._server, question), name="runcast-acp-close", daemon=True
        )
        self._closing = [each for each in self._closing if each.is_alive()] + [closing]
        closing.start()


def _close(server: Connection, question: str) -> None:
    """Tells the server that a question was answered elsewhere; it may still be on its way there."""
    with Client(server.url, server.token) as client:
        for pause in CLOSING_PAUSES:
            with contextlib.suppress(errors.Conflict):
                try:
                    client.cancel_question(question, state="resolved_elsewhere")
                except (errors.NotFound, errors.Unreachable):
                    time.sleep(pause)
                    continue
            return
