"""How much of large runs is taken apart, compared and answered."""

from __future__ import annotations

from typing import Any

import orjson

from runcast_api.runs import comparison


def row(number: int, given: Any) -> dict[str, Any]:
    plain: dict[str, Any] = dict.fromkeys((*comparison._NAMED, *comparison._PLAIN))
    json = dict.fromkeys(comparison._JSON, "{}")
    return plain | json | {"number": number, "input": orjson.dumps(given).decode()}


def compared(*inputs: Any) -> dict[str, Any]:
    return comparison.compare([row(number, each) for number, each in enumerate(inputs)])


def test_no_more_is_compared_than_is_answered() -> None:
    leaves = [{str(name): (run, name) for name in range(5000)} for run in range(2)]
    found = comparison.differences(leaves)
    assert next(iter(found)) == {"member": "0", "values": [(0, 0), (1, 0)]}
    told = compared({f"m{n}": 1 for n in range(1500)}, {f"m{n}": 2 for n in range(1500)})
    assert (len(told["differences"]), told["complete"]) == (comparison.DIFFERENCES, False)


def test_an_object_of_too_many_members_is_one_value() -> None:
    wide = {"few": {"a": 1}, "many": {f"m{number}": number for number in range(5000)}}
    told = compared(wide, wide | {"few": {"a": 2}, "many": {}})
    assert [each["member"] for each in told["differences"]] == ["input.few.a", "input.many"]
    assert told["complete"]


def test_a_long_name_is_not_written_before_every_member_under_it() -> None:
    long = "k" * 100_000
    told = compared(*({long: {f"m{n}": run for n in range(900)}} for run in range(2)))
    assert [each["member"] for each in told["differences"]] == ["input"]
