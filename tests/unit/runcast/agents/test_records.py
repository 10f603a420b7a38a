"""A text that was cut in the middle of an emoji costs half of that emoji, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from runcast.agents import records
from runcast.agents.streams.reading import Reading
from runcast.agents.streams.said import Entry, Over


def test_halves_of_surrogate_pairs_are_replaced() -> None:
    text = (
        rb'{"a": ["\ud83d", "\ud83d\ude00", {"\udE00b": 1}], "n": 123456789012345678901, "f": 1.5}'
    )
    found = records.loads(text)
    assert found == {
        "a": ["\ufffd", "\U0001f600", {"\ufffdb": 1}],
        "n": 123456789012345678901.0,
        "f": 1.5,
    }
    assert records.loads(b'["\xed\xa0\xbd"]') == ["\ufffd"]


@pytest.mark.parametrize(
    "text",
    [
        rb'{"a": "\ud83d"',
        rb'["\ud83d", NaN]',
        b"not json",
        b"[" * 300 + rb'"\ud83d"' + b"]" * 300,
        b"[" * 200_000 + rb'"\ud83d"' + b"]" * 200_000,
    ],
)
def test_what_is_no_json_stays_unreadable(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        records.loads(text)


def test_record_of_a_stream_with_half_an_emoji_is_read() -> None:
    begin = {"type": "system", "subtype": "init", "session_id": "s1", "model": "m", "cwd": "/w"}
    said = {"type": "assistant", "message": {"id": "1", "content": [{"type": "text", "text": "X"}]}}
    over = {"type": "result", "subtype": "success", "is_error": True, "result": "X"}
    lines = [json.dumps(each).replace("X", r"cut \ud83d") for each in (begin, said, over)]
    heard = list(Reading(["claude"]).feed("".join(line + "\n" for line in lines).encode()))
    assert not [each for each in heard if isinstance(each, Sequence)]
    assert "cut \ufffd" in [each.message for each in heard if isinstance(each, Entry)]
    [end] = [each for each in heard if isinstance(each, Over)]
    assert end.error is not None
