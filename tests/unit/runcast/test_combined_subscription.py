"""A stream over several projects as the client follows it: positions, projects, and parts that end."""

import json
from typing import Any

import pytest

from runcast.client import streams
from runcast.client.subscription import Subscription
from runcast.errors import StreamEnded
from runcast.events import Event

ONE = "0192f000-0000-7000-8000-00007f3a9c2e"
TWO = "0192f000-0000-7000-8000-00000b12d4aa"


def frame(type: str, data: Any, id: str | None = None) -> bytes:
    position = b"" if id is None else f"id: {id}\n".encode()
    return position + f"event: {type}\ndata: {json.dumps(data)}\n\n".encode()


def connected(project: str, epoch: str = "7") -> bytes:
    return frame("connected", {"project_id": project, "epoch": epoch, "head": 5, "heartbeat_s": 30})


def feed(stream: Subscription, *portions: bytes) -> list[Event]:
    return [event for portion in portions for event in stream.feed(portion)]


def test_events_say_their_project_and_the_position_is_of_all() -> None:
    stream = streams.events(projects=[ONE, TWO], logs="all")
    first = stream.request()
    assert first["url"] == "/events"
    assert first["params"] == {"projects": f"{ONE},{TWO}", "subscribe_logs": "all"}
    assert "Last-Event-ID" not in first["headers"]
    got = feed(
        stream,
        connected(ONE),
        connected(TWO, "8"),
        frame("x:a", {}, "0b12d4aa:3,7f3a9c2e:6"),
        frame("x:b", {}, "7f3a9c2e:6,0b12d4aa:4"),
        frame("x:c", {}, f"7f3a9c2e:6,{TWO}:5"),
    )
    assert [(event.id, event.project_id) for event in got] == [(6, ONE), (4, TWO), (5, TWO)]
    again = stream.request()
    assert again["headers"]["Last-Event-ID"] == f"7f3a9c2e:6,{TWO}:5"
    assert again["params"]["epoch"] == f"{ONE}:7,{TWO}:8"


def test_a_heartbeat_moves_the_position() -> None:
    stream = streams.events(projects="all")
    stream.request()
    assert feed(stream, connected(ONE), b": hb\nid: 7f3a9c2e:9\n\n") == []
    assert stream.request()["headers"]["Last-Event-ID"] == "7f3a9c2e:9"


def test_a_part_that_ends_is_told_and_the_stream_goes_on() -> None:
    stream = streams.events(projects=[ONE, TWO])
    stream.request()
    bye = {"project_id": ONE, "reason": "revoked"}
    got = feed(stream, connected(ONE), connected(TWO), frame("bye", bye))
    assert got == [Event("bye", bye, None, ONE)]
    assert stream.broken(None) >= 0
    assert stream.request()["params"]["epoch"] == f"{TWO}:7"
    feed(stream, frame("bye", {"reason": "revoked"}))
    with pytest.raises(StreamEnded):
        stream.broken(None)


def test_a_position_may_be_numbers_by_project() -> None:
    stream = streams.events(projects=["a", "b"], after={"a": 3, "b": 0})
    assert stream.request()["headers"]["Last-Event-ID"] == "a:3,b:0"


def test_one_project_or_several() -> None:
    for wrong in ({}, {"project": "a", "projects": ["b"]}):
        with pytest.raises(ValueError, match="one project or several"):
            streams.events(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="after"):
        streams.events(projects=["a"], after=3)
    with pytest.raises(ValueError, match="after"):
        streams.events("a", after="a:3")
