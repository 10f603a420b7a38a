"""Whether an answer fits its question. Every refusal names the field (422)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runcast_api.questions import forms
from runcast_api.questions.schemas import AnswerNew
from runcast_server.errors import Invalid

Json = dict[str, Any]


def check(question: Json, given: AnswerNew) -> Json:
    """The answer's members `option`, `options`, `text`, `data`, as they are kept. Raises `Invalid`."""
    kept: Json = {"option": None, "options": None, "text": given.text or None, "data": None}
    if question["parts"]:
        return kept | {"data": _parts(question["parts"], given.data)}
    match question["kind"]:
        case "form":
            return kept | {"data": forms.check(question["schema"], given.data)}
        case "text":
            if not given.text:
                raise Invalid.of("body.text", "this question asks for a text")
            return kept
    return kept | _chosen(question, given)


def _chosen(question: Json, given: AnswerNew) -> Json:
    """The options that were chosen, of those that the question offers."""
    chosen = given.options if given.option is None else [given.option, *(given.options or ())]
    offered = {option["id"]: option for option in question["options"] or ()}
    if not chosen:
        if given.text and question["text"]:
            return {}
        raise Invalid.of("body.option", f"choose one of {', '.join(offered)}")
    _require_offered(offered, chosen, "body.option")
    if given.text and not question["text"] and not any(offered[name]["text"] for name in chosen):
        raise Invalid.of("body.text", f"{chosen[0]!r} takes no text")
    if question["multiple"]:
        return {"options": list(dict.fromkeys(chosen))}
    if len(chosen) > 1:
        raise Invalid.of("body.options", "only one option may be chosen")
    return {"option": chosen[0]}


def _require_offered(offered: Mapping[str, Any], chosen: Sequence[str], field: str) -> None:
    for name in chosen:
        if name not in offered:
            raise Invalid.of(field, f"{name[:100]!r} is not one of {', '.join(offered)}")


def _parts(parts: Sequence[Json], data: Json | None) -> Json:
    """An answer to each part: an option's id or label, several of them, or a text."""
    given = data or {}
    if unknown := given.keys() - {part["id"] for part in parts}:
        raise Invalid.of(f"body.data.{min(unknown)[:100]}", "the question has no such part")
    return {part["id"]: _part(part, given.get(part["id"])) for part in parts}


def _part(part: Json, value: Any) -> Any:
    field = f"body.data.{part['id']}"
    values: list[Any] = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str) and each for each in values):
        raise Invalid.of(field, "answer every part with a text, or a list of texts")
    if len(values) > 1 and not part["multiple"]:
        raise Invalid.of(field, "only one option may be chosen")
    labels = {option["id"]: option["label"] for option in part["options"]}
    named = [labels.get(each, each) for each in values]
    if not part["text"] and part["options"]:
        _require_offered(dict.fromkeys(labels.values()), named, field)
    if any(len(each) > forms.MAX_TEXT for each in named):
        raise Invalid.of(field, f"longer than {forms.MAX_TEXT:,} characters")
    return named if isinstance(value, list) else named[0]
