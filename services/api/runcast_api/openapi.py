"""The OpenAPI document: FastAPI's, with what it can't know. The console's types are generated from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from runcast_api.reference import describe, stream_models
from runcast_api.routes import artifacts, logs, run_sets
from runcast_server.errors import PROBLEM_MEDIA_TYPE

_REF = "#/components/schemas/{model}"


class InvalidField(BaseModel):
    """One invalid field: where it stands (`body.steps.2`, `query.limit`), and what is wrong with it."""

    field: str
    message: str


class Problem(BaseModel):
    """A refusal (RFC 9457). `type` is stable; `docs/errors.md` lists them all."""

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[InvalidField] | None = None


_THERE = "It was there already, under the id that the request chose."
_ANSWER = {
    "description": "An error; `type` says which.",
    "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
}


def complete(app: FastAPI) -> None:
    """Has the application answer the completed document; it is made when it is first asked for."""
    plain: Callable[[], dict[str, Any]] = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _completed(plain())
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    """Bodies that are read by hand get their models; every refusal is a problem, unless its
    route says what else."""
    models: list[type[BaseModel]] = [
        *logs.BODY_MODELS,
        *artifacts.BODY_MODELS,
        *run_sets.BODY_MODELS,
        *stream_models.MODELS,
        Problem,
    ]
    _, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REF
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    _add_models(schemas, definitions["$defs"])
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            responses = operation["responses"]
            responses.pop("422", None)
            responses.setdefault("default", _ANSWER)
            if "201" in responses and _takes_an_id(operation, schemas):
                responses.setdefault("200", responses["201"] | {"description": _THERE})
    describe.complete(document)
    return document


def _add_models(schemas: dict[str, Any], more: dict[str, Any]) -> None:
    """Raises `ValueError` for two models of one name: one would be described as the other."""
    for name, schema in more.items():
        there = schemas.get(name, schema)
        if there.get("properties", {}).keys() != schema.get("properties", {}).keys():
            raise ValueError(f"two models are called {name}")
        for field in schema.get("properties", {}).values():
            if field.get("default", field) is None:
                del field[
                    "default"
                ]  # generators take a field with a default for one that is always there
        schemas[name] = schema


def _takes_an_id(operation: dict[str, Any], schemas: dict[str, Any]) -> bool:
    """Whether a client may choose the id of what it makes, and so may make it twice."""
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = body.get("schema", {})
    models = [one.get("$ref", "").rpartition("/")[2] for one in [schema, *schema.get("anyOf", ())]]
    return any("id" in schemas.get(model, {}).get("properties", {}) for model in models)
