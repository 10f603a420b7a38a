"""The OpenAPI document says what everything is, names every enumeration, and its examples hold."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any, cast

import jsonschema_rs
import pytest

from runcast_api import app as api_app
from runcast_api.dependencies import Api
from runcast_api.reference import enums, refusals, texts
from runcast_api.reference.describe import TAGS, each_operation
from runcast_server import errors
from runcast_server.auth.operations import ANYBODY, OPERATIONS

PAGES = {"GET /", "GET /docs", "GET /openapi.json"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return api_app.create(cast(Api, None), version("runcast")).openapi()


def fields(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for model, schema in document["components"]["schemas"].items():
        for name, field in schema.get("properties", {}).items():
            yield model, name, field


def test_every_operation_is_described_once_and_says_who_may_call_it(
    document: dict[str, Any],
) -> None:
    operations = dict(each_operation(document))
    assert set(operations) == set(OPERATIONS) - PAGES
    undescribed = [
        name
        for name, operation in operations.items()
        if not operation["description"].partition("\n\n")[0].strip()
    ]
    assert undescribed == [], "give its handler a docstring"
    ids = [operation["operationId"] for operation in operations.values()]
    assert len(ids) == len(set(ids))
    for name, operation in operations.items():
        assert (operation["security"] == []) == (OPERATIONS[name] is ANYBODY), name
        assert operation["tags"][0] in TAGS, name


def test_every_parameter_and_field_is_described(document: dict[str, Any]) -> None:
    parameters = [
        f"{name} {parameter['in']}:{parameter['name']}"
        for name, operation in each_operation(document)
        for parameter in operation.get("parameters", ())
        if not parameter.get("description")
    ]
    undescribed = [
        f"{model}.{name}" for model, name, f in fields(document) if not f.get("description")
    ]
    models = [
        name
        for name, schema in document["components"]["schemas"].items()
        if not schema.get("description")
    ]
    assert (parameters, undescribed, models) == ([], [], []), (
        "describe them in the code, or in services/api/runcast_api/reference/*.toml"
    )


def test_every_text_describes_something(document: dict[str, Any]) -> None:
    """A text of a field that was renamed or taken away goes with it."""
    known = texts.load()
    names = {text for model, name, _ in fields(document) for text in (name, f"{model}.{name}")}
    assert known.fields.keys() - names == set()
    assert known.examples.keys() - names == set()
    assert known.models.keys() - document["components"]["schemas"].keys() == set()
    assert known.errors.keys() - OPERATIONS.keys() == set()
    parameters = set()
    for name, operation in each_operation(document):
        for parameter in operation.get("parameters", ()):
            given = parameter["name"]
            plain = f"{parameter['in']}:{given.lower() if parameter['in'] == 'header' else given}"
            parameters |= {plain, f"{name} {plain}"}
    assert known.parameters.keys() - parameters == set()


def test_enumerations_have_names(document: dict[str, Any]) -> None:
    unnamed = [
        where
        for where, value in walk(document, "")
        if isinstance(value, dict)
        and len(value.get("enum", ())) > 2
        and value.get("title") not in {name for name, _ in enums.NAMES.values()}
    ]
    assert unnamed == [], "name it in runcast_api/reference/enums.py"


def test_times_say_that_they_are(document: dict[str, Any]) -> None:
    wrong = [
        f"{model}.{name}"
        for model, name, field in fields(document)
        if name.endswith("_at") and "date-time" not in str(field)
    ]
    assert wrong == []


def test_examples_hold_to_their_schemas(document: dict[str, Any]) -> None:
    seen = 0
    for model, name, field in fields(document):
        for example in field.get("examples", ()):
            whole = field | {"components": document["components"]}
            jsonschema_rs.validator_for(whole).validate(example)
            seen += 1
            assert name, model
    assert seen > 40


def test_every_refusal_of_an_operation_has_its_text() -> None:
    known = set(refusals.STATUSES) | {405, 414, 421, 431, 500}
    problems = [each for each in vars(errors).values() if isinstance(each, type)]
    statuses = {
        each.status for each in problems if issubclass(each, errors.Problem) and each.status
    }
    assert statuses - known == set()


def walk(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Each part of a document with its path."""
    yield where, value
    if isinstance(value, dict):
        for name, child in value.items():
            yield from walk(child, f"{where}/{name}")
    elif isinstance(value, list):
        for place, child in enumerate(value):
            yield from walk(child, f"{where}/{place}")
