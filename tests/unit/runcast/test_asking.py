"""Whatever a program asks is a question that the server takes, or none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.runcast._support.test_acceptable import ANYTHING

from runcast._support import acceptable
from runcast.asking import question_of, seconds_to_answer
from runcast_api.questions.schemas import QuestionNew

LONG = st.sampled_from(["x" * 600, "é" * 3_000, "", "\0\ud800"])
OPTION = st.one_of(
    ANYTHING,
    LONG,
    st.fixed_dictionaries({}, optional={"id": ANYTHING, "label": LONG, "more": ANYTHING}),
)


@given(
    st.one_of(ANYTHING, LONG),
    st.one_of(st.none(), st.lists(OPTION, max_size=4)),
    st.one_of(ANYTHING, st.sampled_from([0, -1, 1e300])),
    st.fixed_dictionaries({}, optional={"body": LONG, "dedupe_key": st.one_of(ANYTHING, LONG)}),
)
def test_what_is_asked_is_taken_by_the_server(
    title: Any, options: Any, timeout: Any, fields: dict[str, Any]
) -> None:
    if timeout is not None and acceptable.number(timeout) is None:
        with pytest.raises(ValueError, match="no number"):
            seconds_to_answer(timeout)
        timeout = None
    asked = question_of(title, options, seconds_to_answer(timeout), fields)
    QuestionNew.model_validate(acceptable.mapping(asked))


def test_a_long_title_is_read_whole() -> None:
    asked = question_of("t" * 600, None, None, {"body": "because"})
    assert len(asked["title"]) == 500
    assert asked["body"] == "t" * 600 + "\n\nbecause"


def test_what_can_not_be_asked_whole_is_not_asked() -> None:
    with pytest.raises(ValueError, match="at most"):
        question_of("?", None, None, {"body": "x" * 300_000})
    with pytest.raises(ValueError, match="at most"):
        question_of("?", range(101), None, {})
