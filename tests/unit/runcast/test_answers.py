"""Every answer of the Python client has the type that the server's description gives it."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tools import answers as generator

from runcast.client import answers
from runcast.client.calls import Call, Endpoint, Listing
from runcast.client.endpoints import Endpoints

DESCRIPTION = generator.described()
ANSWERED = generator.answered(DESCRIPTION)
PATTERNS = {
    operation: re.compile(re.sub(r"\{[^}]+\}", "[^/]+", operation[1])) for operation in ANSWERED
}
OTHERS = {"add_log", "add_logs", "add_lines", "log_text", "server"}
"""They read one of several answers, or none that the description has."""
SAMPLES: dict[str, Any] = {"Path": Path(__file__), "Sequence": ["x"], "Mapping": {}, "int": 1}


def arguments(build: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
    """Something for each argument that must be given."""
    given: list[Any] = []
    named: dict[str, Any] = {}
    for each in inspect.signature(build).parameters.values():
        if each.default is not each.empty or each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL):
            continue
        known = str(each.annotation)
        sample = next((value for name, value in SAMPLES.items() if name in known), "x")
        if each.kind is each.KEYWORD_ONLY:
            named[each.name] = sample
        else:
            given.append(sample)
    return given, named


def operation_of(call: Call[Any]) -> tuple[str, str] | None:
    found = [
        each
        for each, pattern in PATTERNS.items()
        if each[0] == call.method and pattern.fullmatch(call.path)
    ]
    return min(found, key=lambda each: (each[1] != call.path, each[1].count("{")), default=None)


NAMES = [
    name
    for name, value in vars(Endpoints).items()
    if isinstance(value, (Endpoint, Listing)) and name not in OTHERS
]


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_typed_as_described(name: str) -> None:
    build = vars(Endpoints)[name]._build
    given, named = arguments(build)
    operation = operation_of(build(*given, **named))
    scope = vars(inspect.getmodule(build)) | {"answers": answers}
    [typed] = typing.get_args(typing.get_type_hints(build, scope)["return"])
    if operation is None:
        assert typed in (type(None), bytes, list[dict[str, Any]]), typed
        return
    expected = vars(answers)[generator.name_of(ANSWERED[operation]) or ""]
    assert expected in (typed, *typing.get_args(typed)), (operation, typed)


def test_the_types_are_those_of_the_description() -> None:
    """After a change of the API: python -m tools.answers"""
    assert generator.TARGET.read_text() == generator.formatted(generator.module(DESCRIPTION))
