"""The page under `/docs`: the OpenAPI document for people, made here. It runs no script and asks no other
host for anything, so nobody else's server is part of a page on the console's origin, and it works offline."""

from __future__ import annotations

import base64
import hashlib
import json
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
            tagged.setdefault(tag, []).append(_operation(method, path, operation))
    for tag, shown in tagged.items():
        parts += [f"<h2>{escape(tag)}</h2>", *shown]
    parts.append("<h2>Models</h2>")
    parts += [_model(*each) for each in sorted(document["components"]["schemas"].items())]
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style>{''.join(parts)}</html>"
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    said = operation.get("description") or operation.get("summary") or ""
    return (
        f"<details><summary><b>{method.upper()}</b><code>{escape(path)}</code></summary>"
        f"<div><p>{escape(said)}</p>{''.join(_parts(operation))}</div></details>"
    )


def _parts(operation: Mapping[str, Any]) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        needed = ", required" if parameter.get("required") else ""
        said = parameter.get("description") or ""
        yield (
            f"<p><code>{escape(parameter['name'])}</code> ({parameter['in']}{needed}) {escape(said)}</p>"
        )
    if body := operation.get("requestBody"):
        yield f"<p>Body</p>{_json(body.get('content'))}"
    for status, answer in operation.get("responses", {}).items():
        if status != "default":
            yield f"<p>{escape(status)} {escape(answer.get('description', ''))}</p>"
            yield _json(answer["content"]) if "content" in answer else ""


def _model(name: str, schema: Mapping[str, Any]) -> str:
    return f"<details><summary><code>{escape(name)}</code></summary>{_json(schema)}</details>"


def _json(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
