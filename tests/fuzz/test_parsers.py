"""Everything that reads bytes of others, fed with anything: it understands, or refuses in its own words.

`make fuzz` feeds it more.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runcast._recording import line_splitter
from runcast._support import line_parser, sse
from runcast._support.terminal import harmless
from runcast_api.accounts.oidc import Journey
from runcast_api.http import pagination, request_body
from runcast_api.ingest import batch_items
from runcast_api.logs import entries
from runcast_hub import connections, filters, stream_request
from runcast_server.auth import principal
from runcast_server.errors import Problem
from runcast_server.eventlog import bus

MANY = settings(
    max_examples=int(os.environ.get("RUNCAST_FUZZ_CASES", "600")) // 10,
    derandomize="RUNCAST_FUZZ_CASES" not in os.environ,
    database=None,
    deadline=None,
)
AT = datetime(2026, 1, 31, 10, tzinfo=UTC)

KEYS = [
    "type",
    "run_id",
    "data",
    "source",
    "generation",
    "first_line",
    "first_offset",
    "lines",
    "id",
]
KEYS += ["project", "key", "auth", "flags", "closed", "file", "message", "level", "ts", "payload"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["agent:log", "lines", "x:y", "run:progress", str(UUID(int=7)), "1" * 40])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=8)
    ),
    max_leaves=20,
)


@contextlib.contextmanager
def refused_with(status: int) -> Iterator[None]:
    """What is inside may refuse, with this status and nothing else."""
    try:
        yield
    except Problem as problem:
        if problem.status != status:
            raise


def encoded(value: Any) -> bytes:
    """As any language's JSON library might write it: `NaN` and huge numbers too."""
    return json.dumps(value).encode()


@MANY
@given(st.binary(max_size=300) | JSON.map(encoded))
def test_messages_of_workers(raw: bytes) -> None:
    item = batch_items.read(raw)
    assert (item.message is None) == (item.refusal is not None)


@MANY
@given(JSON)
def test_log_entries_and_lines_over_http(value: Any) -> None:
    for read in (entries.entry_of, entries.message_of):
        with refused_with(422):
            read(value)


@MANY
@given(st.binary(max_size=300) | JSON.map(encoded))
def test_bodies(raw: bytes) -> None:
    with refused_with(400):
        request_body.parse(raw)


@MANY
@given(st.text(max_size=300))
def test_lines_of_logs(text: str) -> None:
    assert len(line_parser.read(text, AT)) > 0


@MANY
@given(st.binary(max_size=400), st.integers(1, 50), st.integers(0, 10**12))
def test_bytes_of_files(data: bytes, limit: int, offset: int) -> None:
    for batch in line_splitter.split(data, offset=offset, limit=limit):
        for line in batch.texts:
            line.encode()


@MANY
@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=8))
def test_streams_in_any_portions(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    whole, pieces = sse.Decoder(), sse.Decoder()
    expected = whole.feed(data)
    found = [frame for a, b in itertools.pairwise(places) for frame in pieces.feed(data[a:b])]
    assert found == expected
    assert pieces.last_event_id == whole.last_event_id


FIELDS = st.sampled_from(["data", "id", "event", "retry", "other", ""])
LINE = st.tuples(FIELDS, st.sampled_from([":", ": ", "", ":\x00"]), st.text(max_size=8))


@MANY
@given(st.lists(LINE, max_size=12), st.sampled_from(["\n", "\r", "\r\n"]))
def test_streams_as_the_standard_reads_them(
    fields: list[tuple[str, str, str]], ending: str
) -> None:
    """Against a plain reading of the HTML standard, section 9.2.6, line by line."""
    text = "".join(f"{name}{colon}{value}{ending}" for name, colon, value in fields) + ending
    read = [(frame.event, frame.data, frame.id) for frame in sse.Decoder().feed(text.encode())]
    assert read == plainly(text)


def plainly(text: str) -> list[tuple[str, str, str]]:
    events: list[tuple[str, str, str]] = []
    data: list[str] = []
    event = last_id = fresh_id = ""
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "" if line == "":
                last_id = fresh_id
                if data:
                    events.append((event or "message", "\n".join(data), last_id))
                data, event = [], ""
            case "data":
                data.append(value)
            case "event":
                event = value
            case "id" if "\x00" not in value:
                fresh_id = value
    return events


@MANY
@given(st.text(max_size=100) | st.lists(SCALARS, max_size=5))
def test_cursors(given_cursor: Any) -> None:
    if not isinstance(given_cursor, str):
        try:
            given_cursor = base64.urlsafe_b64encode(orjson.dumps(given_cursor)).decode()
        except (TypeError, orjson.JSONEncodeError):
            return
    for read in (pagination.read, pagination.decode):
        with pytest.raises(Problem) as refused:
            read(given_cursor, "runs")
        assert refused.value.status == 422


@MANY
@given(st.lists(SCALARS, max_size=4))
def test_cursors_that_were_forged_after_their_query(members: list[Any]) -> None:
    try:
        forged = pagination.encode(members, "runs")
    except (TypeError, orjson.JSONEncodeError):
        return
    with refused_with(422):
        pagination.read(forged, "runs")


NAMES = st.sampled_from(
    ["last_event_id", "log_tail", "on_lag", "epoch", "project", "subscribe_logs", "ticket"]
)


@MANY
@given(st.dictionaries(NAMES, st.text(max_size=30)), st.none() | st.text(max_size=30))
def test_queries_of_streams(query: dict[str, str], last_event_id: str | None) -> None:
    with refused_with(422):
        stream_request.parse_query(query, last_event_id)
        filters.parse(query.get("subscribe_logs"))


@MANY
@given(st.binary(max_size=200) | JSON.map(encoded))
def test_changes_of_connections(body: bytes) -> None:
    with refused_with(422):
        connections.parse_change(body)


@MANY
@given(st.binary(max_size=200))
def test_messages_between_servers(message: bytes) -> None:
    for prefix in (b"", b"b", b"h", b"d"):
        bus.parse_live(prefix + message)


@MANY
@given(st.text(max_size=200), st.text(max_size=100), st.text(max_size=100))
def test_what_callers_show(sent: str, query: str, cookies: str) -> None:
    headers = {"authorization": sent, "cookie": cookies, "host": sent}
    token = principal.presented(headers, f"share={query}")
    assert token is None or token


@MANY
@given(st.text(max_size=200))
def test_cookies_of_journeys(cookie: str) -> None:
    with pytest.raises(Problem) as refused:
        Journey.unpack(cookie)
    assert refused.value.status == 401


@MANY
@given(st.text(max_size=200))
def test_text_on_a_terminal(text: str) -> None:
    shown = harmless(text, colours=False)
    assert not any(ord(c) < 32 and c not in "\t\n" for c in shown)
    assert not any(0x7F <= ord(c) <= 0x9F for c in shown)
