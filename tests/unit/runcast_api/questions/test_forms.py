"""Answers to forms: what a schema allows, in time that doesn't grow with the product of both."""

from typing import Any

import pytest
from pydantic import ValidationError

from runcast_api.questions import forms
from runcast_api.questions.schemas import QuestionNew
from runcast_server.errors import Invalid

Json = dict[str, Any]


def form(**properties: Json) -> Json:
    return {"type": "object", "properties": properties}


class Counted(str):
    """A text that counts how often it is compared."""

    compared = 0
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_choices_are_read_once_however_many_items_there_are() -> None:
    offered = [Counted(f"choice {number}") for number in range(1_000)]
    schema = form(many={"type": "array", "items": {"enum": offered}})
    data = {"many": [f"choice {number}" for number in range(1_000)]}
    assert forms.check(schema, data) == data
    assert Counted.compared <= 3 * len(offered)


def test_more_items_than_a_thousand_are_refused_by_the_fields_name() -> None:
    schema = form(many={"type": "array", "items": {"enum": ["x"]}})
    with pytest.raises(Invalid, match=r"body\.data\.many: has more than 1,000 items"):
        forms.check(schema, {"many": ["x"] * 1_001})


@pytest.mark.parametrize(
    "field",
    [
        {"enum": list(range(1_001))},
        {"oneOf": [{"const": number} for number in range(1_001)]},
    ],
)
def test_a_schema_of_more_choices_than_a_thousand_is_refused_when_it_is_asked(field: Json) -> None:
    with pytest.raises(ValidationError, match=r"properties\.a: offers more than 1,000 choices"):
        QuestionNew(kind="form", title="?", schema=form(a=field))
    listed = form(b={"type": "array", "items": field})
    with pytest.raises(ValidationError, match=r"properties\.b\.items: offers more than"):
        QuestionNew(kind="form", title="?", schema=listed)


def test_equality_is_that_of_json() -> None:
    schema = form(a={"enum": [1, "x", None, [True], {"b": 2}]})
    for value in (1, 1.0, "x", None, [True], {"b": 2.0}):
        forms.check(schema, {"a": value})
    for value in (True, "y", False, [1], {"b": 3}, {}):
        with pytest.raises(Invalid, match="is not one of"):
            forms.check(schema, {"a": value})
