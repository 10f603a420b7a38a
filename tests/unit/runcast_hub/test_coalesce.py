"""What many ask at the same time is read in one go, and nobody's answer is older than his question."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from runcast_hub.coalesce import Together
from runcast_server.errors import NotFound, Unavailable

pytestmark = pytest.mark.anyio


class Table:
    """Answers with what stands in it when the read begins; each read waits to be let through."""

    def __init__(self) -> None:
        self.value = 0
        self.reads: list[list[str]] = []
        self.let_through = asyncio.Event()

    async def read(self, questions: Sequence[str]) -> Mapping[str, int | Exception]:
        self.reads.append(list(questions))
        value = self.value
        await self.let_through.wait()
        return {each: NotFound(each) if each == "nobody" else value for each in questions}


async def asked(together: Together[str, int], *questions: str) -> list["asyncio.Task[int]"]:
    tasks = [asyncio.create_task(together.ask(question)) for question in questions]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_questions_that_gather_are_read_at_once_and_answered_with_the_present() -> None:
    table, idle = Table(), asyncio.Event()
    together = Together(table.read, 10, idle.set)
    early = await asked(together, "a")
    table.value = 1
    late = await asked(together, "a", "b", "a")
    table.let_through.set()
    assert await asyncio.gather(*early, *late) == [0, 1, 1, 1]
    assert table.reads == [["a"], ["a", "b"]]
    await asyncio.wait_for(idle.wait(), 5)


async def test_no_more_are_read_at_once_than_are_allowed() -> None:
    table = Table()
    table.let_through.set()
    together = Together(table.read, 2)
    await asyncio.gather(*[together.ask(f"{number}") for number in range(5)])
    assert [len(read) for read in table.reads] == [2, 2, 1]


async def test_a_refused_question_and_a_cancelled_asker_disturb_nobody() -> None:
    table = Table()
    together = Together(table.read, 10)
    tasks = await asked(together, "a", "nobody", "b")
    tasks[0].cancel()
    table.let_through.set()
    with pytest.raises(NotFound):
        await tasks[1]
    assert await tasks[2] == 0


async def test_a_read_that_fails_is_told_to_all_who_asked_and_the_next_one_works() -> None:
    async def fails(_: Sequence[str]) -> Mapping[str, int | Exception]:
        raise OSError("away")

    together = Together(fails, 10)
    found = await asyncio.gather(together.ask("a"), together.ask("b"), return_exceptions=True)
    assert [type(each) for each in found] == [OSError, OSError]
    with pytest.raises(OSError, match="away"):
        await together.ask("a")


async def test_a_read_that_is_cut_off_leaves_no_one_waiting() -> None:
    """What a read waits for may be cancelled by someone else; and others ask meanwhile."""
    waited_for: asyncio.Future[Mapping[str, int | Exception]] = asyncio.Future()

    async def waits(_: Sequence[str]) -> Mapping[str, int | Exception]:
        return await waited_for

    together = Together(waits, 1)
    asking = await asked(together, "a", "b")
    waited_for.cancel()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(each) for each in found] == [Unavailable, Unavailable]
