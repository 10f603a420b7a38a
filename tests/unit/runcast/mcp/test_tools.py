"""The tools against a server that is slow, away for a while, or left alone."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter, ValidationError

from runcast.client.clients import AsyncClient
from runcast.client.exchange import ONCE
from runcast.mcp.caller import Caller
from runcast.mcp.tools import Seconds, Tools
from runcast.mcp.waiting import LONGEST_SECONDS, until

Json = dict[str, Any]
Handler = Callable[[httpx.Request], Awaitable[httpx.Response]]
RUN = {"id": "r", "status": "running", "last_line_number": 3_000}
OPEN = {"id": "q", "state": "open"}


async def no_progress(*_: Any) -> None:
    """Nobody asked to hear of it."""


CONTEXT: Any = SimpleNamespace(report_progress=no_progress)


def tools(handler: Handler, **limits: float) -> Tools:
    """The tools of a caller whose own run is r, over a server that answers like this."""

    @asynccontextmanager
    async def connect(_: Any) -> AsyncIterator[Caller]:
        transport = httpx.MockTransport(handler)
        async with AsyncClient(
            "http://server", "rc_x", transport=transport, patience=ONCE
        ) as client:
            yield Caller(client, "p", "me", own_run="r")

    return Tools(connect, **limits)


def test_a_time_that_is_none_ends() -> None:
    for seconds in (math.nan, math.inf, -1.0):
        with pytest.raises(ValidationError):
            TypeAdapter(Seconds).validate_python(seconds)

    async def first(seconds: float) -> float:
        async for left in until(CONTEXT, seconds):
            return left
        raise AssertionError

    assert asyncio.run(first(math.nan)) <= LONGEST_SECONDS


def test_a_page_without_the_wanted_kind_says_that_there_is_more_before_it() -> None:
    looked_at = [{"line_number": line, "event_type": "say"} for line in range(2_001, 3_001)]

    async def handler(request: httpx.Request) -> httpx.Response:
        is_log = request.url.path.endswith("/logs")
        return httpx.Response(200, json={"logs": looked_at} if is_log else RUN)

    shown = asyncio.run(tools(handler).log(CONTEXT, kind="tool"))
    assert (shown.lines, shown.more_before, shown.more_after) == ([], True, False)
    assert shown.first == 2_001, "from where to look on"
    newest = asyncio.run(tools(handler).log(CONTEXT, kind="say", tail=3))
    assert [line.line for line in newest.lines] == [2_998, 2_999, 3_000]
    assert (newest.more_before, newest.more_after) == (True, False)
    older = asyncio.run(tools(handler).log(CONTEXT, kind="say", after=2_000, tail=3))
    assert [line.line for line in older.lines] == [2_001, 2_002, 2_003]
    assert (older.more_before, older.more_after) == (True, True)


def test_a_search_that_takes_too_long_answers_what_it_found() -> None:
    found = {"logs": [{"line_number": 7, "message": "x"}], "next_cursor": "c"}

    async def handler(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/logs"):
            return httpx.Response(200, json=RUN)
        if "cursor" in request.url.params:
            await asyncio.Event().wait()
        return httpx.Response(200, json=found)

    searching = tools(handler, search_seconds=0.2).search(CONTEXT, q="x", run="r")
    answer = asyncio.run(asyncio.wait_for(searching, 60))
    assert ([match.line for match in answer.matches], answer.more) == ([7], True)


def away_before(answered: Json) -> Callable[[httpx.Request], Awaitable[httpx.Response]]:
    """A server that takes a question, is away twice, and then has its answer."""
    replies: list[Json | None] = [None, None, answered]

    async def handler(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(201, json=OPEN)
        if not request.url.path.endswith("/questions/q"):
            return httpx.Response(200, json=RUN)
        reply = replies.pop(0)
        if reply is None:
            raise httpx.ConnectError("away", request=request)
        return httpx.Response(200, json=reply)

    return handler


def test_a_permission_is_waited_for_through_an_outage() -> None:
    answered = OPEN | {"state": "answered", "answer": {"option": "allow"}}
    handler = away_before(answered)
    told = asyncio.run(tools(handler).permission_prompt(CONTEXT, "Bash", {"command": "ls"}))
    assert json.loads(told)["behavior"] == "allow"


def test_an_answer_is_waited_for_through_an_outage() -> None:
    """Else the agent would never learn the question's id, and would ask again."""
    options = [{"id": "y~1", "label": "yes, all of it"}]
    answered = OPEN | {"state": "answered", "answer": {"option": "y~1"}, "options": options}
    handler = away_before(answered)
    told = asyncio.run(tools(handler).ask_human(CONTEXT, "All of it?"))
    assert (told.question_id, told.answer) == ("q", "yes, all of it")


def test_a_text_is_found_on_any_page() -> None:
    """A page ends early where looking takes long; what it didn't come to may hold the text."""
    runs = [RUN, RUN | {"last_line_number": 9_000}]
    pages = [{"logs": [], "next_cursor": "c"}, {"logs": [{"line_number": 8_000}]}]

    async def handler(request: httpx.Request) -> httpx.Response:
        answers = pages if request.url.path.endswith("/logs") else runs
        return httpx.Response(200, json=answers.pop(0) if len(answers) > 1 else answers[0])

    waited = asyncio.run(tools(handler).wait(CONTEXT, "r", "text", text="x"))
    assert (waited.met, waited.line) == (True, 8_000)


@pytest.mark.parametrize("ending", ["cancelled", "failing"])
def test_a_permission_that_no_call_waits_for_is_taken_back(ending: str) -> None:
    asked: list[str] = []
    waits = asyncio.Event()

    async def handler(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.path.rpartition('/')[2]}")
        if request.method == "POST":
            return httpx.Response(201, json=OPEN)
        if not request.url.path.endswith("/questions/q"):
            return httpx.Response(200, json=RUN)
        waits.set()
        if ending == "failing":
            return httpx.Response(403, json={})
        await asyncio.Event().wait()
        raise AssertionError

    async def session() -> None:
        call = asyncio.create_task(tools(handler).permission_prompt(CONTEXT, "Bash", {}))
        await waits.wait()
        if ending == "cancelled":
            call.cancel()
        await asyncio.wait([call])
        assert call.cancelled() or call.exception() is not None

    asyncio.run(session())
    assert asked[-1] == "POST cancel"
