"""Whatever is handed over becomes something that the server's own models take."""

import math
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast import contract
from runcast._support import acceptable
from runcast_api.ingest.messages import MAX_CUSTOM_BYTES
from runcast_api.logs.entries import LogEntry
from runcast_api.projects import ProjectNew
from runcast_api.runs.progress import ProgressNew
from runcast_api.runs.schemas import RunNew, RunPatch


class Hostile:
    """A value none of whose methods can be trusted."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __float__(self) -> float:
        raise RuntimeError("no number")

    def __iter__(self) -> Any:
        raise RuntimeError("nothing to iterate")


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=30),
    st.text(alphabet="a\0\ud800é😀\n", max_size=300),
    st.binary(max_size=20),
    st.uuids(),
    st.datetimes(),
    st.builds(Hostile),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.text(max_size=5), st.integers(), st.none()), inner, max_size=4
        ),
    ),
    max_leaves=8,
)
NAMES = (acceptable.name, acceptable.title)


@given(ANYTHING, ANYTHING, ANYTHING)
def test_what_a_run_is_made_of_is_taken_by_the_server(one: Any, two: Any, three: Any) -> None:
    RunNew(
        key=acceptable.key(one),
        name=acceptable.title(two),
        agent_name=acceptable.name(three),
        steps=acceptable.steps(one),
        input=orjson.loads(orjson.dumps(acceptable.json(two))),
        metadata=acceptable.mapping(three),
    )
    ProjectNew(name="n", slug=acceptable.project(one) if not acceptable.as_uuid(one) else None)


@given(ANYTHING, ANYTHING)
def test_what_a_run_says_is_taken_by_the_server(one: Any, two: Any) -> None:
    RunPatch(
        error=acceptable.text(one), pr_url=acceptable.url(two), metadata=acceptable.mapping(one)
    )
    ProgressNew(
        stage=acceptable.name(one) or "-",
        message=acceptable.text(two),
        percent=acceptable.percent(one),
        step=acceptable.whole(two),
    )
    LogEntry(
        message=acceptable.text(one), level=acceptable.level(two), agent_name=acceptable.name(one)
    )
    assert contract.EVENT_NAME.fullmatch(acceptable.event_name(two))
    assert 0 < len(acceptable.source(one)) <= contract.NAME_CHARACTERS + 1


@given(ANYTHING)
def test_making_acceptable_twice_is_like_once(value: Any) -> None:
    for make in (
        acceptable.text,
        acceptable.title,
        acceptable.name,
        acceptable.key,
        acceptable.project,
        acceptable.event_name,
        acceptable.steps,
        acceptable.json,
        acceptable.percent,
        acceptable.labels,
    ):
        once: Any = make(value)
        assert make(once) == once, make


def test_what_is_left_of_a_projects_name_is_never_taken_for_an_id() -> None:
    made = acceptable.project("11111111_111111111111111111111111")
    assert made == "p-11111111-111111111111111111111111"
    assert acceptable.project(made) == made


def test_what_is_left_of_a_key_is_never_taken_for_an_id() -> None:
    made = acceptable.key([10_000_000, 10_000_000, 10_000_000])
    assert acceptable.as_uuid(made) is None
    assert acceptable.key(made) == made


@pytest.mark.parametrize("size", [65_536, 65_537, 1_000_000])
def test_a_long_text_is_cut_and_says_so(size: int) -> None:
    shown = acceptable.text("é" * (size // 2))
    assert len(shown.encode()) <= contract.TEXT_BYTES
    assert shown.endswith(" bytes]") == (size > 65_537)


def test_nul_and_surrogates_are_shown() -> None:
    assert acceptable.text("a\0b\ud800c") == "a\u2400b\ufffdc"


def test_a_large_or_deep_value_says_what_is_missing() -> None:
    large = acceptable.json({"a": "x" * 1_000_000})
    assert (large["cut"], large["bytes"]) == (True, 1_000_008)
    deep: Any = "end"
    for _ in range(200):
        deep = [deep]
    encoded = orjson.dumps(acceptable.json(deep))
    assert encoded.count(b"[") <= acceptable.DEPTH
    assert "…".encode() in encoded


@given(st.lists(st.text(alphabet="ab/ .é", max_size=8), unique=True, min_size=2, max_size=6))
def test_names_are_kept_apart(names: list[str]) -> None:
    assert len({acceptable.key(each) for each in names}) == len(names)
    long = ["x" * 300 + each for each in names]
    assert len({acceptable.name(each) for each in long}) == len(names)
    assert len({acceptable.key(each) for each in long}) == len(names)


def test_numbers_are_clamped() -> None:
    assert [acceptable.percent(each) for each in (150, -1, 33.4, "7", True, math.inf)] == [
        100,
        0,
        33,
        7,
        1,
        100,
    ]
    assert [acceptable.percent(each) for each in (math.nan, "many", None, [], Hostile())] == [
        None
    ] * 5


def test_steps_are_named_once() -> None:
    assert acceptable.steps(["a", "b", "a", 3, "x" * 300])[:3] == ["a", "b", "3"]
    assert len(acceptable.steps(map(str, range(500)))) == contract.STEPS
    assert acceptable.steps("spec") == ["spec"]
    assert acceptable.steps([]) == list(contract.DEFAULT_STEPS)


def test_a_log_is_no_feed() -> None:
    assert acceptable.source("spool.jsonl") not in contract.FEEDS


def test_the_limits_are_the_servers() -> None:
    assert contract.EVENT_BYTES == MAX_CUSTOM_BYTES


@given(ANYTHING)
def test_any_value_is_a_moment(value: Any) -> None:
    datetime.fromtimestamp(acceptable.moment(value), UTC)


@pytest.mark.parametrize(
    ("given_", "seconds"),
    [
        (datetime(2024, 1, 15, 10, 0, 5, 250_000, tzinfo=UTC), 1705312805.25),
        ("2024-01-15T10:00:05.250Z", 1705312805.25),
        (1705312805, 1705312805.0),
        (-1.5, -1.5),
    ],
)
def test_a_moment_is_kept(given_: Any, seconds: float) -> None:
    assert acceptable.moment(given_) == seconds
