"""The page under `/docs`: the OpenAPI document for people. It runs no script and loads nothing from other
hosts, so no other server is part of a page on the console's origin, and the page works offline."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
summary { cursor: pointer; padding: .2rem 0 } code, pre { font-family: ui-monospace, monospace }
pre { overflow: auto; padding: .7rem; background: #8882; border-radius: 4px }
b { display: inline-block; min-width: 4.5rem } details > div { margin: .3rem 0 1rem 1rem }
:root { color-scheme: light dark }
"""
_CODE = re.compile(r"`([^`]+)`")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; script-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""The page's content security policy."""


def page(document: Mapping[str, Any]) -> str:
    """The document as HTML: operations by tag, then the models that they name."""
    info = document["info"]
    parts = [
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        f"<p>{escape(info.get('description', ''))} For programs: "
        '<a href="/openapi.json">openapi.json</a>.</p>',
    ]
    tagged: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            tagged.setdefault(tag, []).append(_operation(method, path, operation, document))
    for tag, shown in tagged.items():
        parts += [f"<h2>{escape(tag)}</h2>", *shown]
    parts.append("<h2>Models</h2>")
    parts += [_model(*each) for each in sorted(document["components"]["schemas"].items())]
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style>{''.join(parts)}</html>"
    )


def _operation(
    method: str, path: str, operation: Mapping[str, Any], document: Mapping[str, Any]
) -> str:
    said = operation.get("description") or operation.get("summary") or ""
    paragraphs = "".join(f"<p>{_text(each)}</p>" for each in said.split("\n\n"))
    return (
        f"<details><summary><b>{method.upper()}</b><code>{escape(path)}</code></summary>"
        f"<div>{paragraphs}{''.join(_parts(operation, document))}</div></details>"
    )


def _parts(operation: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        needed = ", required" if parameter.get("required") else ""
        yield (
            f"<p><code>{escape(parameter['name'])}</code> {_type(parameter['schema'])} "
            f"<i>({parameter['in']}{needed})</i> {_text(parameter.get('description') or '')}</p>"
        )
    if body := operation.get("requestBody"):
        yield f"<p>Body: {_contents(body)}</p>"
    for status, answer in operation.get("responses", {}).items():
        if "$ref" in answer:
            answer = document["components"]["responses"][_name(answer)]
        if status != "default":
            yield f"<p>{escape(status)} {_text(answer.get('description', ''))} {_contents(answer)}</p>"


def _contents(answer: Mapping[str, Any]) -> str:
    shown = (
        f"{_type(content.get('schema', {}))} <i>({escape(media_type)})</i>"
        for media_type, content in answer.get("content", {}).items()
    )
    return "; ".join(shown)


def _model(name: str, schema: Mapping[str, Any]) -> str:
    needed = schema.get("required", ())
    fields = "".join(
        f"<p><code>{escape(each)}</code> {_type(field)}"
        f"{' <i>(required)</i>' if each in needed else ''} {_text(field.get('description', ''))}</p>"
        for each, field in schema.get("properties", {}).items()
    )
    values = ", ".join(f"<code>{escape(str(each))}</code>" for each in schema.get("enum", ()))
    return (
        f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>"
        f"<div><p>{_text(schema.get('description', ''))} {values}</p>{fields}</div></details>"
    )


def _type(schema: Mapping[str, Any]) -> str:
    """A schema in a few words: `string (date-time)`, `array of Run`, `integer from 0 to 100`."""
    if "$ref" in schema:
        name = escape(_name(schema))
        return f"<a href='#{name}'>{name}</a>"
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(each) for each in choices)
    if "const" in schema or "enum" in schema:
        values = schema.get("enum") or [schema["const"]]
        return " or ".join(f"<code>{escape(str(each))}</code>" for each in values)
    if schema.get("type") == "array":
        return f"array of {_type(schema.get('items', {}))}"
    named = escape(str(schema.get("type", "any JSON")))
    return f"{named}{_limits(schema)}"


def _limits(schema: Mapping[str, Any]) -> str:
    shown = f" ({escape(schema['format'])})" if "format" in schema else ""
    if "minimum" in schema:
        shown += f" from {schema['minimum']:g}"
    if "maximum" in schema:
        shown += f" to {schema['maximum']:g}"
    if "maxLength" in schema:
        shown += f" of at most {schema['maxLength']:,} characters"
    return shown


def _name(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _text(text: str) -> str:
    """Plain text with `code` as such."""
    return _CODE.sub(r"<code>\1</code>", escape(text))
