"""The page of every REST operation, from the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runcast_api.reference.describe import TAGS, each_operation

_INTRODUCTION = """# Every operation

Made from the server's own `/openapi.json`, which is what programs read; generate a client from it with
`openapi-typescript`, `openapi-python-client` or any other generator for OpenAPI 3.1. What holds for all
operations is in [the REST API](../api.md); errors are in [Errors and limits](../errors.md).
"""


def page(document: Mapping[str, Any]) -> str:
    """All operations by tag, then all models."""
    tagged: dict[str, list[str]] = {tag: [] for tag in TAGS}
    for name, operation in each_operation(dict(document)):
        tagged[operation["tags"][0]].append("\n".join(_operation(name, operation, document)))
    parts = [_INTRODUCTION]
    for tag, shown in tagged.items():
        parts += [f"## {tag.capitalize()}\n\n{TAGS[tag]}\n", *shown]
    parts.append("## Models\n")
    models = document["components"]["schemas"]
    parts += ["\n".join(_model(name, models[name])) for name in sorted(models)]
    return "\n".join(parts)


def _operation(
    name: str, operation: Mapping[str, Any], document: Mapping[str, Any]
) -> Iterator[str]:
    yield f"### `{name}` {{ #{operation['operationId']} }}\n\n{operation['description']}\n"
    if parameters := operation.get("parameters"):
        yield "| parameter | | type | |\n|---|---|---|---|"
        for each in parameters:
            needed = "required" if each.get("required") else each["in"]
            yield f"| `{each['name']}` | {needed} | {_type(each['schema'])} | {_cell(each)} |"
        yield ""
    if body := operation.get("requestBody"):
        yield f"Body: {_contents(body)}\n"
    yield "| status | |\n|---|---|"
    for status, given in operation["responses"].items():
        if status == "default":
            continue
        answer = given
        if "$ref" in given:
            answer = document["components"]["responses"][_name(given)]
        contents = "" if "$ref" in given else _contents(answer)
        yield f"| {status} | {_cell(answer)} {contents} |"
    yield ""


def _model(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {name} {{ #model-{name.lower()} }}\n\n{schema.get('description', '')}\n"
    if values := schema.get("enum"):
        yield ", ".join(f"`{value}`" for value in values) + "\n"
    if fields := schema.get("properties"):
        needed = schema.get("required", ())
        yield "| field | type | |\n|---|---|---|"
        for field, each in fields.items():
            star = " (required)" if field in needed else ""
            examples = "".join(f" Example: `{_code(value)}`." for value in each.get("examples", ()))
            yield f"| `{field}`{star} | {_type(each)} | {_cell(each)}{examples} |"
        yield ""


def _contents(answer: Mapping[str, Any]) -> str:
    return "; ".join(
        f"{_type(content.get('schema', {}))} (`{media_type}`)"
        for media_type, content in answer.get("content", {}).items()
    )


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return f"[{_name(schema)}](#model-{_name(schema).lower()})"
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(each) for each in choices)
    if "const" in schema or "enum" in schema:
        return " or ".join(f"`{each}`" for each in schema.get("enum") or [schema["const"]])
    if schema.get("type") == "array":
        return f"array of {_type(schema.get('items', {}))}"
    limits = [schema["format"]] if "format" in schema else []
    if "minimum" in schema:
        limits.append(f"from {schema['minimum']:g}")
    if "maximum" in schema:
        limits.append(f"to {schema['maximum']:g}")
    if "maxLength" in schema:
        limits.append(f"at most {schema['maxLength']:,} characters")
    named = schema.get("type", "any JSON")
    return f"{named} ({', '.join(limits)})" if limits else named


def _name(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _cell(part: Mapping[str, Any]) -> str:
    text = str(part.get("description", "")).replace("\n", " ")
    return text.replace("|", "\\|")


def _code(value: Any) -> str:
    return str(value).replace("|", "\\|")
