"""Parameters of several values, in one form everywhere: repeat the parameter (`status=a&status=b`), or
separate the values by commas (`status=a,b`)."""

from __future__ import annotations

from typing import Any

from pydantic import BeforeValidator

MOST = 200
"""Values of one parameter."""


def separate(given: Any) -> Any:
    """The values, without those that are empty."""
    if given is None:
        return None
    texts = [given] if isinstance(given, str) else given
    parts = [part.strip() for text in texts for part in str(text).split(",")]
    values = [part for part in parts if part]
    if len(values) > MOST:
        raise ValueError(f"at most {MOST} values")
    return values or None


Separated = BeforeValidator(separate)
