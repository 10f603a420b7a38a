"""What the holders of share links don't see of events and runs: what is asked of people, and what they
say."""

from __future__ import annotations

import re

import orjson

HIDDEN_FROM_GUESTS = ("question:", "message:")
"""How the types begin of events that guests don't see."""

_ATTENTION = re.compile(rb'"attention":(\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\})')


def reduced(encoded: bytes) -> bytes:
    """JSON as orjson writes it, or frames with it, where each run's `attention` says only its kind and since
    when: its summary may quote a question."""
    return _ATTENTION.sub(_reduce, encoded) if b'"attention":{' in encoded else encoded


def _reduce(found: re.Match[bytes]) -> bytes:
    said = orjson.loads(found[1])
    kept = {
        "kind": said.get("kind"),
        "since": said.get("since"),
        "summary": "",
        "question_id": None,
    }
    return b'"attention":' + orjson.dumps(kept)
