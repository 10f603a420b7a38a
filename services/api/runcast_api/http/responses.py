"""Answers in JSON, written once by orjson."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson
from starlette.responses import Response

HEAD = "Runcast-Head"


class Answer(NamedTuple):
    """What a change answers, before the head is known."""

    content: Any
    status: int = 200


def answer(
    content: Any,
    *,
    status: int = 200,
    head: int | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A JSON answer; `head` says up to which event the state in it goes."""
    sent = {"Cache-Control": "no-store"} | (headers or {})
    if head is not None:
        sent[HEAD] = str(head)
    return Response(
        orjson.dumps(content), status_code=status, media_type="application/json", headers=sent
    )


def no_content(head: int | None = None) -> Response:
    """204."""
    return Response(status_code=204, headers={} if head is None else {HEAD: str(head)})
