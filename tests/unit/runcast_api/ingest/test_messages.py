"""What can be said about a message without the database."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runcast_api.ingest import batch_items, messages
from runcast_api.ingest.batch_items import Item
from runcast_api.ingest.messages import Refused
from runcast_api.ingest.run_lookup import Address
from runcast_api.ingest.stream import as_numbers

RUN_ID = UUID(int=5)


def lines(count: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "type": "lines", "run_id": str(RUN_ID), "source": "s", "first_line": 1, "first_offset": 0,
        "lines": ["x"] * count,
    } | more  # fmt: skip


def parse(members: Any) -> messages.Message:
    return messages.parse(json.dumps(members).encode())


def test_a_run_is_addressed_by_id_or_by_key_in_a_project() -> None:
    assert parse({"type": "agent:started", "run_id": str(RUN_ID)}).run_id == RUN_ID
    for named in ({"key": "my-run"}, {"run_id": "my-run"}):
        message = parse({"type": "agent:started", "project": "demo"} | named)
        assert (message.run_id, message.key, message.project) == (None, "my-run", "demo")


@pytest.mark.parametrize(
    ("source", "given", "weight"),
    [
        ("logs.txt", ['{"type":"run:updated"}'] * 5, 3),
        ("spool.jsonl", ['{"type":"agent:log"}', '{"type": "x:tick"}'] * 50, 50),
        ("spool.jsonl", ['{"type":"run:updated"}'] * 100, 1_000),
        ("spool.jsonl", ['{"type":"run:updated"}', '{"type":"agent:log"}'] * 2, 21),
        ("spool.jsonl", ['{"data":{"type":"agent:log"},"type":"run:updated"}'], 10),
        ("events.jsonl", ['{"stage":"outline"}'] * 3, 30),
    ],
)
def test_each_line_of_a_feed_weighs_what_it_does(
    source: str, given: list[str], weight: int
) -> None:
    """A batch of changes is shorter than one of lines, whether they come one by one or as a feed."""
    message = parse(lines(source=source) | {"lines": given})
    assert [message.weight, message.weight] == [weight, weight]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([], "not an object"),
        ({"run_id": "r"}, "type is missing"),
        ({"type": 3}, "type is not a text"),
        ({"type": "agent:log"}, "run_id is missing"),
        ({"type": "agent:log", "key": "k"}, "needs a project"),
        ({"type": "agent:log", "key": "a b", "project": "p"}, "key may hold"),
        ({"type": "agent:log", "run_id": str(RUN_ID), "data": []}, "data is not an object"),
        ({"type": "agent:log", "run_id": str(RUN_ID), "id": ""}, "id is empty"),
        ({"type": "x:", "run_id": str(RUN_ID)}, "not a name of an event"),
        ({"type": "x:a\nb", "run_id": str(RUN_ID)}, "not a name of an event"),
        (lines(first_line=0), "first_line"),
        (lines(lines="x"), "lines"),
        (lines(source=""), "source"),
        (lines(next_offset=-1), "next_offset"),
        (lines(closed={"reason": "because"}), "reason"),
    ],
)
def test_what_is_refused_says_why(members: Any, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        parse(members)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_be_refused(raw: bytes) -> None:
    item = batch_items.read(raw)
    assert (item.message is None) == (item.refusal is not None)


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["type", "run_id", "lines", "data", "source", "closed"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_no_json_does_worse_than_be_refused(members: Any) -> None:
    batch_items.read(json.dumps(members).encode())


def test_lone_surrogates_become_something_that_can_be_stored() -> None:
    message = messages.parse(json.dumps(lines(lines=["\ud800x"])).encode())
    assert message.lines is not None
    assert message.lines.lines[0].encode().endswith(b"x")


def test_ids_are_compared_as_numbers() -> None:
    assert as_numbers("9-5") < as_numbers("10-0") < as_numbers("10-9") < as_numbers("10-10")


def test_the_lines_of_a_spool_are_messages_of_its_run() -> None:
    inner = [
        {"type": "agent:completed", "run_id": str(UUID(int=9))},
        lines(source="spool.jsonl"),
        {"type": "agent:log"},
    ]
    texts = [*map(json.dumps, inner), "", "{"]
    item = batch_items.read(json.dumps(lines(source="spool.jsonl", lines=texts)).encode())
    item.address = Address(RUN_ID, UUID(int=1))
    batch_items.open_feed(item)
    completed, feed, log, empty, broken = item.inner
    assert completed.message is not None
    assert completed.message.run_id == RUN_ID  # whoever it says that it is
    assert feed.refusal == "a feed within a feed"
    assert log.is_open
    assert empty.is_done
    assert broken.refusal is not None
    assert item.refused() == [feed, broken]


def test_a_refusal_is_noted_and_anything_else_goes_on() -> None:
    item = Item(b"", messages.parse(json.dumps(lines()).encode()))
    with item:
        raise Refused("no")
    assert item.refusal == "no"
    with pytest.raises(ZeroDivisionError), item:
        raise ZeroDivisionError
