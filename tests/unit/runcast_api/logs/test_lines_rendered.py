"""Lines as records: all at once or one by one, they say the same."""

import json
from datetime import UTC, datetime
from uuid import UUID

import orjson
from hypothesis import given
from hypothesis import strategies as st

from runcast._support import line_parser, traces
from runcast_api.logs import sources
from runcast_api.logs.sources import Batch, SourceKey
from runcast_server.eventlog import segments

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


@given(texts, st.integers(0, 4))
def test_each_line_says_what_it_or_its_entry_says(given_texts: list[str], start: int) -> None:
    if start >= len(given_texts):
        return
    batch = Batch(1, 11, 0, 99, given_texts, AT)
    lines = sources.lines_of(KEY, batch, start)
    records = lines.records.split(b"\n")
    assert lines.length == len(records) == len(given_texts) - start
    levels = 0
    entries = traces.Entries()
    saids = [entries.place(text, line_parser.read(text, AT)) for text in given_texts]
    for place, (text, record) in enumerate(zip(given_texts[start:], records, strict=True)):
        said = saids[start + place]
        expected = {
            "line": text.replace("\0", "\u2400"),
            "ts": said.ts or "2026-01-31T10:00:00.000Z",
            "source": KEY.source,
            "source_line": 11 + start + place,
        }
        assert orjson.loads(b"{" + record) == expected | (
            {"level": said.level} if said.level else {}
        )
        levels |= segments.level_bit(said.level)
    assert lines.levels == levels


def test_members_stand_in_the_order_that_is_always_the_same() -> None:
    batch = Batch(2, 1, 0, 99, ["[ERROR] x", "y"], AT, flags={1: {"invalid_utf8": True}})
    first, second = sources.lines_of(KEY, batch).records.split(b"\n")
    assert list(json.loads(b"{" + first)) == [
        "line", "ts", "level", "source", "generation", "source_line",
    ]  # fmt: skip
    assert list(json.loads(b"{" + second))[-2:] == ["source_line", "invalid_utf8"]


def test_what_a_writer_knows_of_its_lines_stands_beside_the_segment() -> None:
    entries = {0: {"level": "debug", "agent_name": "Planner"}, 2: {"agent_name": "Critic"}}
    batch = Batch(1, 1, 0, 99, ["a", "[ERROR] b", "c"], AT, entries=entries)
    lines = sources.lines_of(KEY, batch)
    bits = (segments.level_bit(level) for level in ("debug", "error", None))
    assert (lines.levels, lines.agents) == (sum(bits), {"Planner", "Critic"})
