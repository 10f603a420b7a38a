"""What lines say of themselves as they come: traces over batches and restarts, a zone for one file."""

from typing import Any

import orjson
import pytest

from tests.integration.test_tailer import Tailing, tailing
from tests.waiting import until

__all__ = ["tailing"]
pytestmark = pytest.mark.anyio

TRACE = [
    "2026-11-20T12:30:01Z ERROR it failed",
    "Traceback (most recent call last):",
    '  File "a.py", line 1, in <module>',
    "    f()",
    "KeyError: 'x'",
    "goes on",
]


async def said(tailing: Tailing, key: str = "my-run") -> list[tuple[Any, Any]]:
    run_id = await tailing.run_id(key)
    assert run_id is not None
    found = [orjson.loads(each.data) for each in await tailing.ingest.of_run(run_id)]
    return [(each.get("level"), each["ts"]) for each in found if "line" in each]


async def test_a_trace_has_its_entrys_level_however_slowly_it_is_written(tailing: Tailing) -> None:
    """Each line is a batch of its own, and the tailer is restarted in the middle of the trace."""
    for part in (TRACE[:3], TRACE[3:]):
        async with tailing.tailer():
            for text in part:
                tailing.write("logs.txt", f"{text}\n")
                await tailing.has_lines(TRACE[: TRACE.index(text) + 1])
    levels, times = zip(*await said(tailing), strict=True)
    assert levels == ("error",) * 5 + (None,)
    assert times[:5] == ("2026-11-20T12:30:01.000Z",) * 5
    assert times[5] != times[0]


async def test_a_file_has_a_zone_of_its_own(tailing: Tailing) -> None:
    run_id = await tailing.ingest.run(tailing.project_id)
    path = tailing.write("out.log", "2026-07-01 12:00:00 INFO x\n", run=f"dir-{run_id}")
    await tailing.ask_for(run_id, "out.log", path)
    await tailing.ingest.rows(
        "UPDATE log_sources SET zone = 'Asia/Kolkata' WHERE run_id = $1 RETURNING 1", run_id
    )
    async with tailing.tailer():

        async def has_come() -> bool:
            return len(await said(tailing, str(run_id))) == 1

        await until(has_come)
    assert await said(tailing, str(run_id)) == [("info", "2026-07-01T06:30:00.000Z")]
