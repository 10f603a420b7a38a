"""Which member an answer says is wrong, where a body may be one thing or an array of them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from runcast_api.http import problems


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


QUERY = {"loc": ("query", "limit"), "type": "int_parsing", "msg": "no number"}
WHOLE = {"loc": ("body",), "type": "value_error", "msg": "odd"}


def told(of: Any, body: Any, *others: dict[str, Any]) -> list[str]:
    """The fields that an answer names."""
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(of).validate_python(body)
    errors = [{**each, "loc": ("body", *each["loc"])} for each in raised.value.errors()]
    return [each.field for each in problems.invalid([*errors, *others]).errors]


@pytest.mark.parametrize("names", [("list[a]",), ("list[a]", "a"), ("list[Thing]", "Thing")])
def test_a_member_that_is_called_like_a_list_is_named(names: tuple[str, ...]) -> None:
    sent = {"name": "x"} | dict.fromkeys(names, 1)
    assert told(Thing, sent) == [f"body.{name}" for name in names]
    assert told(Thing | list[Thing], sent) == [f"body.{name}" for name in names]
    assert told(Thing | list[Thing], [sent]) == [f"body.0.{name}" for name in names]


def test_what_is_wrong_elsewhere_keeps_its_name() -> None:
    assert told(Thing | list[Thing], {}, QUERY) == ["body.name", "query.limit"]
    assert told(Thing | list[Thing], [1], QUERY) == ["body.0", "query.limit"]
    assert told(Thing, {"list[a]": 1, "name": "x"}, QUERY, WHOLE) == [
        "body.list[a]",
        "query.limit",
        "body",
    ]
