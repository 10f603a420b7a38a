"""A stream's position over any number of connections: no socket, no clock."""

import json
from typing import Any

import httpx
import pytest

from runcast import errors
from runcast.client.streams import events, stream_run
from runcast.client.subscription import Subscription
from runcast.events import Event


def frame(type: str, data: dict[str, Any], id: int | None = None) -> bytes:
    number = b"" if id is None else b"id: %d\n" % id
    return number + f"event: {type}\ndata: {json.dumps(data)}\n\n".encode()


def connected(head: int = 10, **fields: Any) -> bytes:
    data = {"head": head, "epoch": "e1", "heartbeat_s": 30, "resumed_from": None, **fields}
    return frame("connected", data)


def line(number: int, id: int | None = None, run_id: str = "r") -> bytes:
    return frame("agent:log", {"run_id": run_id, "line_number": number, "line": str(number)}, id)


def numbers(got: list[Event]) -> list[int]:
    return [event.data["line_number"] for event in got]


def feed(subscription: Subscription, *portions: bytes) -> list[Event]:
    return [event for portion in portions for event in subscription.feed(portion)]


def test_the_first_request_is_live_and_has_the_filter() -> None:
    request = events("demo", logs=["a", "b"], log_tail=5).request()
    assert request["url"] == "/projects/demo/events"
    assert request["params"] == {"subscribe_logs": "a,b", "log_tail": 5}
    assert "Last-Event-ID" not in request["headers"]
    assert request["headers"]["Accept"] == "text/event-stream"


def test_a_reconnect_goes_on_behind_the_last_event() -> None:
    stream = events("demo")
    stream.request()
    got = feed(stream, connected(), frame("x:a", {"n": 1}, 11), frame("x:b", {}, 12))
    assert got == [Event("x:a", {"n": 1}, 11), Event("x:b", {}, 12)]
    request = stream.request()
    assert request["headers"]["Last-Event-ID"] == "12"
    assert request["params"]["epoch"] == "e1"


def test_a_live_stream_that_breaks_before_its_first_event_goes_on_from_its_head() -> None:
    stream = events("demo")
    feed(stream, connected(head=10))
    assert stream.request()["headers"]["Last-Event-ID"] == "10"


def test_heartbeats_move_the_position() -> None:
    stream = events("demo")
    feed(stream, connected(), b": hb\nid: 99\n\n")
    assert stream.request()["headers"]["Last-Event-ID"] == "99"


def test_a_torn_event_is_not_counted() -> None:
    stream = events("demo", after=5)
    stream.request()
    assert feed(stream, connected(), frame("x:a", {}, 6)[:-1]) == []
    assert stream.request()["headers"]["Last-Event-ID"] == "5"


def test_backfilled_lines_have_no_number_and_come_once() -> None:
    stream = stream_run("r", log_tail=3)
    stream.request()
    got = feed(stream, connected(head=50), line(7), line(8))
    assert stream.request()["params"]["log_tail"] == 3
    done = frame("backfill", {"run_id": "r", "from_line": 8, "to_line": 10, "complete": True})
    got += feed(stream, connected(head=52), line(8), line(9), line(10), done, line(11, id=53))
    assert numbers(got) == [7, 8, 9, 10, 11]
    assert [event.id for event in got] == [None, None, None, None, 53]
    assert "log_tail" not in stream.request()["params"]


def test_lines_of_other_runs_are_told_apart() -> None:
    stream = events("demo", logs="all")
    got = feed(stream, line(1, 1, "a"), line(1, 2, "b"), line(2, 3, "a"))
    assert numbers(got) == [1, 1, 2]


def test_a_gap_is_always_told_and_moves_the_position() -> None:
    stream = events("demo", after=5)
    stream.request()
    gap = {"from": 6, "to": 40, "reason": "retention", "refetch": ["/projects/demo/runs"]}
    got = feed(stream, connected(), frame("gap", gap, 40))
    assert got == [Event("gap", gap, 40)]
    assert stream.request()["headers"]["Last-Event-ID"] == "40"


def test_a_gap_moves_a_position_back_that_was_beyond_the_head() -> None:
    stream = events("demo", after=500)
    stream.request()
    gap = {"from": 10, "to": 10, "reason": "ahead_of_head", "refetch": []}
    feed(stream, connected(head=10), frame("gap", gap, 10))
    assert stream.position == 10


def test_lines_of_a_history_that_begins_again_are_all_new() -> None:
    stream = events("demo", logs="all", after=0)
    stream.request()
    reset = {"from": 1, "to": 10, "reason": "reset", "refetch": []}
    before = feed(stream, connected(), *(line(n, n) for n in range(1, 9)))
    after = feed(stream, frame("gap", reset, 10), *(line(n, n + 10) for n in range(1, 5)))
    assert numbers(before) == list(range(1, 9))
    assert numbers(after[1:]) == [1, 2, 3, 4]


def test_control_frames_are_for_those_who_ask() -> None:
    portions = [connected(), frame("bye", {"reason": "timeout"})]
    assert feed(events("demo"), *portions) == []
    told = feed(events("demo", with_control=True), *portions)
    assert [event.type for event in told] == ["connected", "bye"]


def test_a_completed_run_is_the_end() -> None:
    stream = stream_run("r")
    feed(stream, connected(), frame("bye", {"reason": "complete"}))
    assert stream.broken(None) == 0
    assert stream.is_over


@pytest.mark.parametrize("reason", ["token_expired", "revoked", "deleted"])
def test_what_can_not_be_mended_is_raised(reason: str) -> None:
    stream = events("demo")
    feed(stream, connected(), frame("bye", {"reason": reason}))
    with pytest.raises(errors.StreamEnded, match=reason):
        stream.broken(None)


@pytest.mark.parametrize("status", [401, 403, 404, 422])
def test_a_refusal_is_raised(status: int) -> None:
    with pytest.raises(errors.ApiError):
        events("demo").broken(errors.from_problem(status, {}, None))


def test_a_shutdown_says_when_to_come_back() -> None:
    stream = events("demo")
    feed(stream, connected(), b"retry: 1500\n\n", frame("bye", {"reason": "shutdown"}))
    assert stream.broken(None) == 1.5


def test_waits_grow_to_thirty_seconds_and_begin_anew_after_a_connection() -> None:
    stream = events("demo")
    waits = [stream.broken(errors.Unreachable("no")) for _ in range(200)]
    assert all(1 <= wait <= 30 for wait in waits)
    assert max(waits[:1]) <= 2
    assert max(waits[5:]) > 15
    feed(stream, connected())
    assert stream.broken(None) <= 2


def test_a_limit_says_when_to_come_back() -> None:
    wait = events("demo").broken(errors.from_problem(429, {}, "12"))
    assert 12 <= wait <= 13


def test_without_reconnection_the_cause_is_raised() -> None:
    with pytest.raises(errors.Unreachable):
        events("demo", reconnects=False).broken(errors.Unreachable("no"))
    stream = events("demo", reconnects=False)
    stream.broken(None)
    assert stream.is_over


def test_silence_beyond_two_heartbeats_is_a_broken_link() -> None:
    stream = events("demo")
    feed(stream, connected(heartbeat_s=4))
    assert stream.request()["timeout"].read == 15


@pytest.mark.parametrize(
    ("status", "media_type", "is_stream"),
    [
        (200, "text/event-stream", True),
        (200, "Text/Event-Stream; charset=utf-8", True),
        (204, "", False),
        (503, "application/problem+json", False),
    ],
)
def test_which_answers_are_streams(status: int, media_type: str, is_stream: bool) -> None:
    response = httpx.Response(status, headers={"Content-Type": media_type})
    assert events("demo").accept(response) is is_stream


def test_204_ends_for_good() -> None:
    stream = events("demo")
    stream.accept(httpx.Response(204))
    assert stream.is_over


@pytest.mark.parametrize("media_type", ["text/html", "text/event-stream-x", "text/event_stream"])
def test_another_media_type_is_no_stream(media_type: str) -> None:
    request = httpx.Request("GET", "http://x")
    response = httpx.Response(200, headers={"Content-Type": media_type}, request=request)
    with pytest.raises(errors.RuncastError, match="not an event stream"):
        events("demo").accept(response)
