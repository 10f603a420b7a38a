"""What agents read is as small as was promised, whatever logs and runs hold."""

import json
from typing import Any

import pydantic_core
import pytest
from hypothesis import given, settings, strategies

from runcast.mcp import bounds
from runcast.mcp.answers import Log

TEXTS = strategies.one_of(
    strategies.text(max_size=600),
    strategies.sampled_from(["", "\x1b" * 700, "日本" * 400, '"\\' * 400, "x" * 600]),
)
ENTRIES = strategies.lists(
    strategies.fixed_dictionaries(
        {"message": TEXTS, "event_type": strategies.sampled_from([None, "k" * 200, "\x01" * 200])}
    ),
    min_size=2,
    max_size=60,
)


@settings(max_examples=40)
@given(ENTRIES, strategies.integers(8_000, 32_000))
def test_an_answer_has_as_many_bytes_as_were_asked_for(
    entries: list[dict[str, Any]], most: int
) -> None:
    shown = [
        bounds.shown(entry | {"line_number": 10**6 + number, "ts": "2026-11-26T08:00:00.000Z"})
        for number, entry in enumerate(entries)
    ]
    kept = bounds.fitting(shown, most)
    answer = Log(lines=kept, first=1, last=10**7, more_before=True, more_after=True)
    # As the library writes it for an agent.
    assert len(pydantic_core.to_json(answer, indent=2)) <= most
    if len(kept) < len(shown):
        more = Log(lines=shown[: len(kept) + 1], first=1, last=1, more_before=True, more_after=True)
        assert len(pydantic_core.to_json(more, indent=2)) > most - 100, "nothing left out for less"


@pytest.mark.parametrize(
    ("wanted", "regex"), [("e42", False), ("E4[0-9]", True), ("stop e42", False)]
)
def test_what_was_found_is_shown_wherever_it_lies(wanted: str, regex: bool) -> None:
    text = f"{'İx ' * 5_000}stop E42{' y' * 5_000}"
    shown = bounds.around(text, bounds.finder(wanted, regex=regex))
    assert "E42" in shown
    assert len(shown) <= bounds.AROUND_CHARACTERS + 2


def test_an_expression_that_is_none_shows_the_beginning() -> None:
    assert bounds.around("x" * 500, bounds.finder("(", regex=True)).startswith("x")


def test_a_large_run_says_what_was_left_out() -> None:
    run = {"id": "r", "result": "x" * 100_000, "metadata": {"a": 1}, "input": "é" * 50_000}
    small = bounds.small(run)
    assert small["result"] == {"cut": True, "bytes": 100_002}
    assert (small["id"], small["metadata"]) == ("r", {"a": 1})
    assert len(json.dumps(small)) < bounds.RESOURCE_BYTES
