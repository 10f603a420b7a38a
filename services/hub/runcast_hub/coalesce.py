"""Reading what many ask for at the same time in one go.

A question that is asked while a read is under way waits for the next one, which takes all that have
gathered: no caller gets a result older than its request, and a burst of requests costs a few reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

from runcast_server.errors import Unavailable

Question = TypeVar("Question", bound=Hashable)
Answer = TypeVar("Answer")
Read = Callable[[Sequence[Question]], Awaitable[Mapping[Question, Answer | Exception]]]
"""Answers each question, or says why it is refused."""


_NONE = LookupError("there is no answer")


class Together(Generic[Question, Answer]):
    """Gathers questions for `read`, which gets `at_once` of them at most. `when_idle` is called each time
    when no one waits any more. An asker that is cancelled disturbs no one else."""

    def __init__(
        self,
        read: Read[Question, Answer],
        at_once: int,
        when_idle: Callable[[], object] = lambda: None,
    ) -> None:
        self._read = read
        self._at_once = at_once
        self._when_idle = when_idle
        self._waiting: dict[Question, list[asyncio.Future[Answer]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def ask(self, question: Question) -> Answer:
        """The answer, or what `read` raised, or why it refused this question."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(question, []).append(future)
        if self._task is None:
            self._task = asyncio.create_task(self._serve())
        return await future

    async def _serve(self) -> None:
        asked: dict[Question, list[asyncio.Future[Answer]]] = {}
        try:
            while self._waiting:
                questions = list(islice(self._waiting, self._at_once))
                asked = {question: self._waiting.pop(question) for question in questions}
                answers = await self._answers(questions)
                for question, futures in asked.items():
                    _tell(futures, answers.get(question, _NONE))
        finally:
            # Cut off, perhaps because something that `read` waited for was cancelled: no one waits for ever.
            for futures in (*asked.values(), *self._waiting.values()):
                _tell(futures, Unavailable("the question was cut off; ask again"))
            self._waiting.clear()
            self._task = None
            self._when_idle()

    async def _answers(
        self, questions: Sequence[Question]
    ) -> Mapping[Question, Answer | Exception]:
        try:
            return await self._read(questions)
        except Exception as error:
            # The outermost place of the task: the callers are told.
            return dict.fromkeys(questions, error)


def _tell(futures: list[asyncio.Future[Answer]], answer: Answer | Exception) -> None:
    for future in futures:
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
