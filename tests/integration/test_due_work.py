"""Work that comes due costs nothing while there is none."""

from collections import Counter

import pytest

from runcast_api.maintenance.due_work import DueWork, Timed
from runcast_server import loops
from runcast_server.db import open_database
from runcast_server.loops import Loop
from tests.waiting import until

pytestmark = pytest.mark.anyio


async def test_only_what_is_due_takes_a_turn(database_url: str) -> None:
    turns: Counter[str] = Counter()

    def timed(name: str, due: str) -> Timed:
        async def turn() -> None:
            turns[name] += 1

        return Timed(due, Loop(name, turn, 3600.0))

    database = await open_database(database_url)
    work = [timed("none", "SELECT 1 WHERE false"), timed("some", "SELECT 1")]
    try:
        async with loops.running(DueWork.of(database.log, work).loops()):
            await until(lambda: turns["some"] >= 3, "three turns of what is due")
    finally:
        await database.close()
    assert turns["none"] == 1, "the turn with which a loop begins"


async def test_a_turn_that_failed_is_tried_again_by_the_next_look(database_url: str) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        turns += 1
        raise TimeoutError("a lock is held")

    database = await open_database(database_url)
    work = [Timed("SELECT 1 WHERE false", Loop("some", turn, 3600.0))]
    try:
        async with loops.running(DueWork.of(database.log, work).loops()):
            await until(lambda: turns >= 2, "a second turn")
    finally:
        await database.close()
