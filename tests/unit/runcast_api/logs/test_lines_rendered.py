"""Lines as the data of their events: all at once or one by one, they say the same."""

import json
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast._support import line_parser
from runcast_api.logs import sources
from runcast_api.logs.sources import Accepted, Batch, SourceKey
from runcast_server.eventlog import frames
from runcast_server.eventlog.frames import Lines

RUN = UUID("01a1f94d-287c-779b-bb7d-f56e512a6ff7")
AT = datetime(2026, 1, 31, 10, tzinfo=UTC)
KEY = SourceKey(RUN, 'a "source"')

ODD = [
    *["", " ", "\t", "[INFO] ", "INFO ", "INFORMED", "{", '{"level": "warn"}', "[09:00:00] ", "1-"],
    *["2026-01-31T09:00:00Z ", "000000001 ", "\xa0ERROR ", "\x0bERROR ", "\n", "\x7f", "\0"],
    *['"', "\\", ',"', '",', '","', '["', "\\u0000"],
]
odd = st.sampled_from(ODD)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
texts = st.lists(st.builds(lambda *parts: "".join(parts), odd, text, odd), max_size=5)


@given(texts, st.integers(0, 5))
def test_each_line_says_what_it_says_alone(given_texts: list[str], start: int) -> None:
    batch = Batch(1, 11, 0, 99, given_texts, AT)
    datas = sources.datas_of(KEY, batch, Accepted(start), base=100)
    members = [orjson.loads(data) for data in datas]
    assert not any("\n" in data for data in datas)
    for place, (text, found) in enumerate(zip(given_texts[start:], members, strict=True)):
        said = line_parser.read(text, AT)
        expected = {
            "run_id": str(RUN),
            "line_number": 101 + place,
            "line": text.replace("\0", "\u2400"),
            "ts": said.ts or "2026-01-31T10:00:00.000Z",
            "source": KEY.source,
            "source_line": 11 + start + place,
        }
        assert found == expected | ({"level": said.level} if said.level else {})


def test_members_stand_in_the_order_that_is_always_the_same() -> None:
    batch = Batch(2, 1, 0, 99, ["[ERROR] x", "y"], AT, flags={1: {"invalid_utf8": True}})
    first, second = sources.datas_of(KEY, batch, Accepted(0), base=0)
    assert list(json.loads(first)) == [
        "run_id", "line_number", "line", "ts", "level", "source", "generation", "source_line",
    ]  # fmt: skip
    assert list(json.loads(second))[-2:] == ["source_line", "invalid_utf8"]


@pytest.mark.parametrize("runs", [[RUN], [RUN, UUID(int=7), RUN]])
def test_a_block_of_texts_is_the_block_of_their_events(runs: list[UUID]) -> None:
    batch = Batch(1, 1, 0, 99, ["x", "é", "[09:00:00] z"], AT)
    parts, events = [], []
    for place, run in enumerate(runs):
        key = SourceKey(run, "s")
        base = 3 * place
        parts.append(Lines(run, base + 1, sources.datas_of(key, batch, Accepted(0), base)))
        events += sources.events_of(key, batch, Accepted(0), base)
    assert frames.build_texts(7, 41, parts) == frames.build(7, 41, events)
