"""Questions of a program to people: what `RunTracker.ask` sends, waits for and answers.

The question goes through the run's spool like everything else, under an id that is chosen here, so it is
asked once. Then the server is asked for its end, up to 50 s at a time. `Waiting` decides what to do next and
knows no network; the two trackers drive it, one with a thread that blocks and one in the event loop.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runcast import errors
from runcast._support import acceptable, encoding
from runcast._support.ids import uuid7

if TYPE_CHECKING:
    from runcast.client.clients import Client

Json = dict[str, Any]

WAIT_SECONDS = 50.0
"""How long one request waits at the server: less than proxies and clients do."""
ARRIVAL_SECONDS = 60.0
"""How long the question may take to arrive; after that it was refused."""
GRACE_SECONDS = 15.0
"""How long after its time-out a question's end is waited for."""
TITLE_CHARACTERS, LABEL_CHARACTERS, OPTIONS = 500, 2_000, 100
QUESTION_BYTES = 256 * 1024
SHORTEST_SECONDS, LONGEST_SECONDS = 0.001, 365 * 86_400.0
PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Pauses between tries that fail, the last one again and again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a question ended.

    `state`: `answered`, `expired`, `cancelled`, `resolved_elsewhere`, or `unreachable` where there is no
    server to ask. An `expired` one may hold the answer that was set for this.
    """

    state: str
    question_id: str | None = None
    option: str | None = None
    options: list[str] | None = None
    text: str | None = None
    data: Any = None
    by: Json | None = None

    @property
    def value(self) -> Any:
        """What was answered: the option, the options, the data, or the text; None without an answer."""
        for given in (self.option, self.options, self.data, self.text):
            if given is not None:
                return given
        return None

    @classmethod
    def of(cls, question: Mapping[str, Any]) -> Answer:
        """The answer that a question shows."""
        names = ("option", "options", "text", "data", "by")
        given = question.get("answer") or {}
        return cls(question["state"], question["id"], **{name: given.get(name) for name in names})


UNREACHABLE = Answer("unreachable")


def question_of(title: Any, options: Any, timeout: float | None, fields: Mapping[str, Any]) -> Json:
    """The data of the message that asks. An option may be a text or an object with id and label.

    A title that is too long stands whole in the body: people must read what they answer. Raises `ValueError`
    for what can't be asked whole.
    """
    whole = acceptable.printable(title)
    made: Json = {"id": str(uuid7()), "title": acceptable.title(whole, TITLE_CHARACTERS) or "-"}
    made |= {"via": "sdk"} | {name: each for name, each in fields.items() if each is not None}
    if "body" in made:
        made["body"] = acceptable.printable(made["body"])
    if len(whole) > TITLE_CHARACTERS:
        made["body"] = f"{whole}\n\n{made.get('body', '')}".rstrip()
    if made.get("dedupe_key") is not None:
        made["dedupe_key"] = acceptable.name(made["dedupe_key"])
    if options is not None:
        made["options"] = _options(options)
    if "kind" not in made:
        made["kind"] = "choice" if made.get("options") or "parts" in made else "text"
        if "schema" in made:
            made["kind"] = "form"
    if timeout is not None:
        made["expires_in_s"] = timeout
    if len(encoded := encoding.encode(made)) > QUESTION_BYTES:
        raise ValueError(
            f"a question has at most {QUESTION_BYTES:,} bytes, this one {len(encoded):,}"
        )
    return made


def seconds_to_answer(timeout: Any) -> float | None:
    """How long a question may be open: above 0, a year at most; None for ever. Raises `ValueError` for what
    is no number: a program that gave a time doesn't want to wait for ever."""
    if timeout is None:
        return None
    number = acceptable.number(timeout)
    if number is None:
        raise ValueError(f"{acceptable.printable(timeout):.50} is no number of seconds")
    return min(max(number, SHORTEST_SECONDS), LONGEST_SECONDS)


def _options(options: Iterable[Any]) -> list[Json]:
    """Each once, by its id. Raises `ValueError` where there are too many to choose from."""
    given = [each if isinstance(each, dict) else {"id": each, "label": each} for each in options]
    made = {
        name: {
            **{known: each[known] for known in ("role", "text", "description") if known in each},
            "id": name,
            "label": acceptable.title(each.get("label", name), LABEL_CHARACTERS) or "-",
        }
        for each in given
        for name in (acceptable.name(each.get("id", each.get("label"))) or "-",)
    }
    if len(made) > OPTIONS:
        raise ValueError(f"a question has at most {OPTIONS} options")
    return list(made.values())


@dataclass
class Waiting:
    """What to do next while a question is open. `answer` is set when nothing is left to do."""

    question_id: str
    timeout: float | None = None
    answer: Answer | None = None
    pause_seconds: float = 0.0
    _was_seen: bool = False
    _was_reached: bool = False
    _failures: int = 0
    _since: float = field(default_factory=time.monotonic)

    def shown(self, question: Mapping[str, Any]) -> None:
        """The server showed the question."""
        self._was_seen = self._was_reached = True
        self._failures, self.pause_seconds = 0, 0.0
        if question["state"] != "open":
            self.answer = Answer.of(question)
        else:
            self._give_up_after(None if self.timeout is None else self.timeout + GRACE_SECONDS)

    def failed(self, error: errors.RuncastError) -> None:
        """The server didn't. One that was there before is waited for; one that never was isn't."""
        self._was_reached |= isinstance(error, errors.ApiError)
        match error:
            case errors.Unauthorized() | errors.Forbidden():
                self.answer = UNREACHABLE
            case errors.Unreachable() if not self._was_reached:
                self.answer = UNREACHABLE
            case errors.NotFound() if self._was_seen:
                self.answer = Answer("cancelled", self.question_id)  # The run was deleted.
            case errors.NotFound():
                self._give_up_after(ARRIVAL_SECONDS)
        self.pause_seconds = PAUSES[min(self._failures, len(PAUSES) - 1)]
        self._failures += 1

    def _give_up_after(self, seconds: float | None) -> None:
        if seconds is not None and time.monotonic() - self._since > seconds:
            self.answer = UNREACHABLE


def wait(client: Client, waiting: Waiting) -> Answer:
    """Waits until the question is closed."""
    while waiting.answer is None:
        time.sleep(waiting.pause_seconds)
        try:
            shown = client.get_question(waiting.question_id, wait_s=WAIT_SECONDS)
        except errors.RuncastError as error:
            waiting.failed(error)
        else:
            waiting.shown(shown)
    return waiting.answer
