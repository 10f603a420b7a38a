"""Both clients' streams over real sockets: connections that break, redirect, refuse and dawdle.

The HTTP cases of launchdarkly/sse-contract-tests and of WPT's eventsource/, against a scripted
server.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runcast import AsyncClient, Client, Event, errors
from runcast._support.backoff import Backoff
from tests.scripted import Script, Scripted, answers, says, serve, streams

Take = Callable[..., list[Event]]


def take_blocking(url: str, number: int, **options: Any) -> list[Event]:
    with Client(url, "rc_x") as client:
        return list(itertools.islice(client.events("demo", **options), number))


def take_asynchronous(url: str, number: int, **options: Any) -> list[Event]:
    async def take() -> list[Event]:
        taken: list[Event] = []
        async with AsyncClient(url, "rc_x") as client:
            async for event in client.events("demo", **options):
                taken.append(event)
                if len(taken) == number:
                    break
        return taken

    return asyncio.run(take())


@pytest.fixture(params=[take_blocking, take_asynchronous], ids=["Client", "AsyncClient"])
def take(request: pytest.FixtureRequest) -> Take:
    chosen: Take = request.param
    return chosen


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Backoff, "next_seconds", lambda self, at_least=None: 0.01)


@pytest.fixture
def server() -> Iterator[Callable[..., Scripted]]:
    with contextlib.ExitStack() as stack:
        yield lambda *scripts: stack.enter_context(serve(*scripts))


def frame(type: str, data: Any, id: int | None = None) -> bytes:
    number = b"" if id is None else b"id: %d\n" % id
    return number + f"event: {type}\ndata: {json.dumps(data)}\n\n".encode()


def connected(head: int = 0) -> bytes:
    return frame("connected", {"head": head, "epoch": "e", "heartbeat_s": 30})


def test_the_request_says_what_it_wants(take: Take, server: Callable[..., Scripted]) -> None:
    asked_of = server(streams(connected(), frame("x:a", {}, 1)))
    take(asked_of.url, 1, logs="all")
    [asked] = asked_of.asked
    assert asked.line == "GET /projects/demo/events?subscribe_logs=all HTTP/1.1"
    assert asked.headers["accept"] == "text/event-stream"
    assert asked.headers["cache-control"] == "no-store"
    assert asked.headers["authorization"] == "Bearer rc_x"
    assert "last-event-id" not in asked.headers


def test_the_first_request_can_resume(take: Take, server: Callable[..., Scripted]) -> None:
    asked_of = server(streams(connected(9), frame("x:a", {}, 8)))
    take(asked_of.url, 1, after=7)
    assert asked_of.asked[0].headers["last-event-id"] == "7"


def test_a_broken_connection_is_taken_up_where_it_was(
    take: Take, server: Callable[..., Scripted]
) -> None:
    torn = frame("x:a", {"n": 3}, 3)[:-5]
    asked_of = server(
        streams(connected(), frame("x:a", {"n": 1}, 1), frame("x:a", {"n": 2}, 2), torn),
        streams(connected(3), frame("x:a", {"n": 3}, 3)),
    )
    assert [event.data["n"] for event in take(asked_of.url, 3)] == [1, 2, 3]
    assert asked_of.asked[1].headers["last-event-id"] == "2"


def test_frames_without_id_do_not_lose_the_position(
    take: Take, server: Callable[..., Scripted]
) -> None:
    asked_of = server(
        streams(connected(), frame("x:a", {}, 5), frame("x:b", {})),
        streams(connected(), frame("x:c", {}, 6)),
    )
    assert [event.id for event in take(asked_of.url, 3)] == [5, None, 6]
    assert asked_of.asked[1].headers["last-event-id"] == "5"


@pytest.mark.parametrize(
    "failure",
    [
        answers("503 Service Unavailable", b'{"title": "no"}', "Content-Type: application/json"),
        answers("500 Internal Server Error"),
        answers("429 Too Many Requests", b"", "Retry-After: 1"),
        says(),
        says(b"HTTP/1.1 200"),
    ],
    ids=["503", "500", "429", "closed", "torn head"],
)
def test_failures_are_waited_out(
    take: Take, server: Callable[..., Scripted], failure: Script
) -> None:
    asked_of = server(failure, failure, streams(connected(), frame("x:a", {}, 1)))
    assert len(take(asked_of.url, 1)) == 1
    assert len(asked_of.asked) == 3


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "404 Not Found"])
def test_refusals_are_raised(take: Take, server: Callable[..., Scripted], status: str) -> None:
    with pytest.raises(errors.ApiError, match=status[:3]):
        take(server(answers(status)).url, 1)


def test_204_is_the_end(take: Take, server: Callable[..., Scripted]) -> None:
    asked_of = server(answers("204 No Content"))
    assert take(asked_of.url, 1) == []
    assert len(asked_of.asked) == 1


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
def test_redirects_are_followed(take: Take, server: Callable[..., Scripted], status: str) -> None:
    target = server(streams(connected(), frame("x:a", {}, 1)))
    asked_of = server(answers(f"{status} Elsewhere", b"", f"Location: {target.url}/there"))
    assert len(take(asked_of.url, 1, after=0)) == 1
    assert target.asked[0].line.startswith("GET /there")
    assert target.asked[0].headers["last-event-id"] == "0"
    assert "authorization" not in target.asked[0].headers


def test_another_media_type_is_no_stream(take: Take, server: Callable[..., Scripted]) -> None:
    asked_of = server(answers("200 OK", b"<html>", "Content-Type: text/html"))
    with pytest.raises(errors.RuncastError, match="not an event stream"):
        take(asked_of.url, 1)


def test_single_bytes_with_multi_byte_characters(
    take: Take, server: Callable[..., Scripted]
) -> None:
    text = (
        b"\xef\xbb\xbf"
        + connected()
        + 'id: 1\r\nevent: x:a\r\ndata: {"t": "€豆腐"}\r\n\r\n'.encode()
    )
    asked_of = server(streams(*(text[at : at + 1] for at in range(len(text)))))
    assert take(asked_of.url, 1)[0].data == {"t": "€豆腐"}


def test_a_large_event_and_many_small_ones(take: Take, server: Callable[..., Scripted]) -> None:
    many = b"".join(frame("x:a", {"n": number}, number) for number in range(1, 2_001))
    large = frame("x:b", {"text": "x" * 500_000}, 2_001)
    got = take(server(streams(connected() + many + large)).url, 2_001)
    assert [event.id for event in got] == list(range(1, 2_002))
    assert len(got[-1].data["text"]) == 500_000


def test_a_gap_is_told(take: Take, server: Callable[..., Scripted]) -> None:
    gap = {"from": 2, "to": 9, "reason": "retention", "refetch": []}
    asked_of = server(streams(connected(9), frame("gap", gap, 9)), streams(frame("x:a", {}, 10)))
    assert [event.type for event in take(asked_of.url, 2, after=1)] == ["gap", "x:a"]
    assert asked_of.asked[1].headers["last-event-id"] == "9"


def test_a_stream_that_ended_for_good(take: Take, server: Callable[..., Scripted]) -> None:
    asked_of = server(streams(connected(), frame("bye", {"reason": "deleted"})))
    with pytest.raises(errors.StreamEnded):
        take(asked_of.url, 1)


def test_silence_breaks_the_connection(
    take: Take, server: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = frame("connected", {"head": 0, "epoch": "e", "heartbeat_s": 30})
    monkeypatch.setattr("runcast.client.subscription.silence_seconds", lambda _: 0.3)
    asked_of = server(streams(quiet, b":", pause=1.0), streams(connected(), frame("x:a", {}, 1)))
    assert len(take(asked_of.url, 1)) == 1
    assert len(asked_of.asked) == 2
